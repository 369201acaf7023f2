"""Ballots, and what most of them say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic

import anyio

from ..agent import Agent
from ..errors import reason
from .agreement import ASK_FOR_LINE, Grouped, Meaning, by_words, plain, position
from .ask import Ask, attempt, reader, together
from .consult import nobody
from .outcome import Outcome, Response

NOT_NEEDED = "not needed: the result could no longer change"


async def vote(
    ask: Ask,
    voters: Sequence[Agent],
    question: str,
    *,
    choices: Sequence[str] = (),
    voting_fn: Callable[[Sequence[str]], str] | None = None,
    meaning: Meaning = by_words,
    stop_early: bool = False,
    weights: Sequence[float] | None = None,
) -> Outcome:
    """What most voters say, each without seeing the others. A tie is said to be one, and has no result.

    `choices`: the only valid ballots; without them a ballot is what an answer comes down to (its ANSWER line).
    `voting_fn`: given all valid ballots in the voters' order, returns the result. `meaning`: which ballots are the
    same. `stop_early`: once no ballot under way can change the winner, it is called off; `agreement` then counts
    those that came. `agreement`: the share of valid ballots for the winner, or for the leading ones of a tie.
    `weights`: how much each voter's ballot counts, 1 each by default.
    """
    started = monotonic()
    choices = _distinct(choices)
    counts = list(weights) if weights is not None else [1.0] * len(voters)
    prompt = question + (_one_of(choices) if choices else ASK_FOR_LINE)
    decided = (
        _Decided(len(voters), counts) if stop_early and voting_fn is None and meaning is by_words else None
    )
    responses = await _ballots(ask, voters, prompt, choices, decided)
    places = [place for place, response in enumerate(responses) if response.ok]
    ballots = [_ballot(responses[place].text, choices) or "" for place in places]
    if not ballots:
        return Outcome(
            pattern="vote",
            question=question,
            responses=responses,
            error=nobody(responses),
            seconds=monotonic() - started,
        )
    grouped = await meaning(question, ballots)
    weight = [sum(counts[places[n]] for n in group) for group in grouped.groups]
    result, error, why = _result(grouped, weight, ballots, voting_fn)
    best = max(weight)
    return Outcome(
        pattern="vote",
        question=question,
        text=result,
        error=error,
        reason=why,
        responses=(*responses, *grouped.responses),
        agreement=best / sum(weight) if sum(weight) else 0.0,
        seconds=monotonic() - started,
        details={
            "ballots": [
                {"ballot": ballots[group[0]], "votes": len(group), "voters": [places[n] + 1 for n in group]}
                for group in grouped.groups
            ],
            "tie": error is not None and voting_fn is None,
            "compared_by": grouped.method,
        },
        warnings=grouped.warnings,
    )


async def _ballots(
    ask: Ask, voters: Sequence[Agent], prompt: str, choices: Sequence[str], decided: _Decided | None
) -> tuple[Response, ...]:
    async def one(place: int, voter: Agent) -> Response:
        scope = decided.scopes[place] if decided else anyio.CancelScope()
        with scope:
            said = _valid(await attempt(ask, reader(voter, "adviser"), prompt, step="ballot"), choices)
            if decided:
                decided.count(place, _ballot(said.text, choices) if said.ok else None)
            return said
        return Response(agent=voter.name, model=voter.model, step="ballot", error=NOT_NEEDED)

    return await together([partial(one, place, voter) for place, voter in enumerate(voters)])


class _Decided:
    """Calls off what cannot change the winner any more."""

    def __init__(self, voters: int, weights: Sequence[float]) -> None:
        self.scopes = [anyio.CancelScope() for _ in range(voters)]
        self._open = dict(enumerate(weights))
        self._votes: dict[str, float] = {}

    def count(self, place: int, ballot: str | None) -> None:
        weight = self._open.pop(place)
        if ballot is not None:
            key = plain(ballot)
            self._votes[key] = self._votes.get(key, 0.0) + weight
        first, second, *_ = sorted((*self._votes.values(), 0.0, 0.0), reverse=True)
        if self._open and first > second + sum(self._open.values()):
            for other in self._open:
                self.scopes[other].cancel()


def _result(
    grouped: Grouped,
    weight: Sequence[float],
    ballots: Sequence[str],
    voting_fn: Callable[[Sequence[str]], str] | None,
) -> tuple[str, str | None, str]:
    """(result, why there is none, how it was found)."""
    if voting_fn is not None:
        name = getattr(voting_fn, "__name__", "voting_fn")
        try:
            return voting_fn(list(ballots)), None, f"chosen by {name} out of {len(ballots)} ballots"
        except Exception as exc:  # noqa: BLE001  (the caller's function; the ballots are paid for and kept)
            return "", f"{name} failed: {reason(exc)}; the ballots are kept", ""
    best = max(weight)
    leading = [
        ballots[group[0]] for group, votes in zip(grouped.groups, weight, strict=True) if votes == best
    ]
    of = f"{best:g} of {sum(weight):g} votes"
    if len(leading) > 1:
        return "", f"a tie between {' and '.join(leading)}, {of} each", "a tie"
    return leading[0], None, f"{of}; compared by {grouped.method}"


def _distinct(choices: Sequence[str]) -> tuple[str, ...]:
    """Without those that say nothing, and those that a ballot could not tell apart."""
    found: dict[str, str] = {}
    for choice in choices:
        if choice.strip():
            found.setdefault(choice.strip().casefold(), choice.strip())
    return tuple(found.values())


def _one_of(choices: Sequence[str]) -> str:
    return f"\n\nAnswer with exactly one of these and nothing else: {' | '.join(choices)}"


def _valid(said: Response, choices: Sequence[str]) -> Response:
    if said.ok and choices and _ballot(said.text, choices) is None:
        shown = " ".join(said.text.split())[:80]
        return replace(
            said,
            text=said.text,
            error=f"no valid ballot: wanted one of {', '.join(choices)}, found {shown!r}",
        )
    return said


def _ballot(text: str, choices: Sequence[str]) -> str | None:
    """What the answer votes for; None when it is none of the choices, or more than one."""
    answer = position(text)
    if not choices:
        return answer
    for said in (answer, text.strip().split("\n")[-1], text):
        plain = said.casefold().strip(" \n.,;:!?*_`\"'()")
        exact = [choice for choice in choices if choice.casefold() == plain]
        named = exact or [
            c for c in choices if re.search(rf"(?<!\w){re.escape(c)}(?!\w)", said, re.IGNORECASE)
        ]
        if len(named) == 1:
            return named[0]
    return None
