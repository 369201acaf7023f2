"""Two unlike models first, more only where they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic

from ..agent import Agent
from .agreement import ASK_FOR_LINE, Meaning, by_words, position
from .ask import Ask, ask_all
from .consult import nobody
from .outcome import Outcome, Response

FIRST = 2


async def escalate(
    ask: Ask, members: Sequence[Agent], question: str, *, meaning: Meaning = by_words
) -> Outcome:
    """Ask the first two members; where both say the same it is the result. Else ask the next ones, one at a time,
    until an answer has more voices than any other.

    Put unlike models first: two runs of one model agree on its errors. Where one of the first fails, the next
    stands in for it.
    """
    started, prompt = monotonic(), question + ASK_FOR_LINE
    responses = await ask_all(ask, members[:FIRST], prompt)
    waiting = list(members[FIRST:])
    warnings: tuple[str, ...] = ()
    judged: tuple[Response, ...] = ()
    while True:
        answers = [position(one.text) for one in responses if one.ok]
        grouped = await meaning(question, answers) if len(answers) > 1 else None
        if grouped is not None:
            warnings, judged = grouped.warnings, (*judged, *grouped.responses)
            first, second, *_ = [*map(len, grouped.groups), 0]
            if first >= FIRST and first > second:
                break
        if not waiting:
            break
        (said,) = await ask_all(ask, [waiting.pop(0)], prompt, step=f"escalation {len(responses) - 1}")
        responses = (*responses, said)
    if not answers:
        return Outcome(pattern="escalate", question=question, responses=responses, error=nobody(responses))
    winner = answers[grouped.groups[0][0]] if grouped else answers[0]
    sizes = [*map(len, grouped.groups), 0] if grouped else [1, 0]
    tie, votes = sizes[0] == sizes[1], sizes[0]
    if len(members) > 1 and len({agent.model for agent in members[:FIRST]}) < FIRST:
        warnings = (*warnings, "the first two are one model: that they agree says little")
    return Outcome(
        pattern="escalate",
        question=question,
        text="" if tie else winner,
        error=f"{len(responses)} models were asked and no answer has most voices" if tie else None,
        reason=f"{votes} of {len(answers)} answers agree; {len(waiting)} of {len(members)} were not needed",
        responses=(*responses, *(replace(one, step="grouping") for one in judged)),
        agreement=votes / len(answers),
        seconds=monotonic() - started,
        details={"asked": len(responses), "not_needed": [agent.model for agent in waiting]},
        warnings=warnings,
    )
