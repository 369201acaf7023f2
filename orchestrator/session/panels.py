"""Patterns by the names of models: what was written down or typed becomes agents, and the outcome joins the record."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import anyio.to_thread
from pydantic import ValidationError

from ..agent import Agent
from ..config.pattern_parameters import pattern_type
from ..config.patterns import (
    AskSettings,
    ConsultSettings,
    DebateSettings,
    EscalateSettings,
    HandoffSettings,
    ParallelSettings,
    PatternSettings,
    PipelineSettings,
    PlanSettings,
    RefineSettings,
    RouteSettings,
    VoteSettings,
)
from ..errors import ConfigError, OutOfBudget, Paused
from ..events import Journaled, Notice
from ..patterns import (
    Ask,
    Job,
    Outcome,
    Stage,
    attempt,
    consult,
    debate,
    durable,
    escalate,
    handoff,
    parallel,
    pausing,
    pipeline,
    plan,
    refine,
    route,
    synthesise,
    vote,
)
from ..patterns.durable import Approve, Behind, Journal, Remembered
from ..patterns.pipeline import filled
from ..patterns.recorded import recorded
from ..store.resumable import CALL, OUTCOME, PAUSED, Begun
from .alone import alone
from .measured import with_odds
from .members import Members
from .preview import Preview, preview
from .session import Session

Work = Callable[[Ask, str], Awaitable[Outcome]]
Person = Callable[[str], Awaitable[str]]
"""Answers a question: "yes", or what must be otherwise."""


async def run_pattern(
    session: Session,
    settings: PatternSettings,
    question: str,
    *,
    name: str | None = None,
    words: Mapping[str, str] | None = None,
    person: Person | None = None,
    resumed: Begun | None = None,
    journal: Journal | None = None,
    run: str | None = None,
) -> Outcome:
    """The outcome of this pattern for this question; it is a turn of the session's conversation.

    `words`: for the parameters in braces. `person` decides where the pattern asks; without one it is paused there.
    Each reply is journaled as it comes; `resumed`: what was, of the run to go on with. `journal`: keeps it besides, and
    first, under the run's number `run`. Raises ConfigError, Paused.
    """
    key, members = resumed.run if resumed else run or secrets.token_hex(4), Members(session, words)

    def tell(place: str, value: Any) -> None:
        session.emit(Journaled(run=key, key=place, value=value))

    async def call() -> Any:
        return {
            "name": name or settings.use,
            "settings": settings.model_dump(mode="json"),
            "question": question,
            "words": dict(words or {}),
        }

    async def journaled(heard: Ask) -> Outcome:
        await kept.once(CALL, call)
        outcome = await work(heard, prompt)
        outcome = replace(outcome, run=key, warnings=(*foreseen.warnings, *outcome.warnings))
        if isinstance(settings, AskSettings):
            outcome = replace(outcome, pattern=name or settings.use)
        await kept.once(OUTCOME, _valued(outcome.as_json()))
        return outcome

    near = Remembered(resumed.values if resumed and journal is None else None, tell)
    kept = near if journal is None else Behind(near, journal)
    prompt = asked(settings, question, words or {})
    work = built(members, settings, pausing(kept, "person", person=person))
    foreseen = await preview(members, settings, prompt)
    session.emit(Notice(text=str(foreseen)))
    _refuse_what_is_too_dear(session, foreseen)
    ask = durable(members.ask, kept, "reply")
    try:
        with alone(key):
            return await recorded(
                name or settings.use, prompt, journaled, ask=ask, emit=session.emit, key=key
            )
    except Paused as exc:
        await kept.once(f"{PAUSED}/{exc.key}", _valued({"question": exc.question, "key": exc.key}))
        raise


def _valued(value: Any) -> Callable[[], Awaitable[Any]]:
    async def work() -> Any:
        return value

    return work


def _refuse_what_is_too_dear(session: Session, foreseen: Preview) -> None:
    limit, least = session.config.budget_usd, foreseen.least_usd
    if limit is not None and least is not None and least > limit - session.budget.spent_usd:
        raise OutOfBudget(
            f"it would cost at least ${least:.4f}, and ${limit - session.budget.spent_usd:.4f} are left of the budget;"
            " nobody was asked"
        )


async def resume_pattern(
    session: Session, run: Begun, *, person: Person | None = None, journal: Journal | None = None
) -> Outcome:
    """Go on with a run that was broken off or paused. No finished reply is asked for again. Raises as `run_pattern`."""
    call = run.values[CALL]
    try:
        settings = pattern_type().validate_json(json.dumps(call["settings"]))
    except ValidationError as exc:
        raise ConfigError(
            f"the run {run.run} was begun by another Understudy and cannot be read: {exc}"
        ) from exc
    return await run_pattern(
        session,
        settings,
        call["question"],
        name=call["name"],
        words=call["words"],
        person=person,
        resumed=run,
        journal=journal,
    )


def asked(settings: PatternSettings, question: str, words: Mapping[str, str]) -> str:
    """The prompt with its words filled in. Raises ConfigError for an empty question, or a word there is none of."""
    if not question.strip():
        raise ConfigError("the question is empty; say what to ask")
    if strange := [word for word in words if word not in settings.parameters]:
        known = ", ".join(settings.parameters) or "none"
        raise ConfigError(f"no parameter {strange[0]!r}; there are {known}")
    values = {**settings.parameters, **words, "question": question, "input": question}
    return filled(settings.prompt, values)


def built(members: Members, settings: PatternSettings, approve: Approve) -> Work:
    """What does it, over any `ask`. Raises ConfigError where a model it cannot do without means nothing."""
    match settings:
        case AskSettings():
            agent = members.one(settings.model, settings.role, system=settings.system or None)
            agent = replace(agent, role=settings.role)
            return lambda ask, prompt: _asked_once(ask, agent, prompt)
        case ConsultSettings():
            advisers = members.panel(settings.models, "adviser")
            if settings.judge is None:
                return lambda ask, prompt: consult(ask, advisers, prompt)
            judge = members.one(settings.judge, "judge")
            return lambda ask, prompt: synthesise(ask, advisers, prompt, judge=judge)
        case VoteSettings():
            voters = [
                voter for voter in members.panel(settings.models, "voter") for _ in range(settings.samples)
            ]
            same = members.meaning(settings.judge, settings.embed)
            return lambda ask, prompt: vote(
                ask,
                voters,
                prompt,
                choices=settings.choices,
                meaning=same(ask),
                stop_early=settings.stop_early,
            )
        case DebateSettings():
            debaters, judge = (
                members.panel(settings.models, "debater"),
                members.maybe(settings.judge, "judge"),
            )
            worker = members.maybe(settings.implement, "worker", tools=None)
            same = members.meaning(None, settings.embed)
            return lambda ask, prompt: debate(
                ask,
                debaters,
                prompt,
                rounds=settings.rounds,
                meaning=same(ask),
                judge=judge,
                implement=worker,
            )
        case EscalateSettings():
            panel, same = (
                members.panel(settings.models, "adviser"),
                members.meaning(settings.judge, settings.embed),
            )
            return lambda ask, prompt: escalate(ask, panel, prompt, meaning=same(ask))
        case RefineSettings():
            author, critic = members.pair(settings)
            worker = members.maybe(settings.implement, "worker", tools=None)
            return lambda ask, prompt: refine(
                ask,
                author,
                critic,
                prompt,
                iterations=settings.iterations,
                token=settings.token,
                implement=worker,
            )
        case HandoffSettings():
            first, second = members.one(settings.first, "first"), members.one(settings.second, "second")
            reviewer = members.maybe(settings.reviewer, "reviewer")
            return lambda ask, prompt: handoff(ask, first, second, prompt, reviewer=reviewer)
        case RouteSettings():
            specialists, router = members.specialists(settings), members.maybe(settings.router, "router")

            async def routed(ask: Ask, prompt: str) -> Outcome:
                known = await anyio.to_thread.run_sync(with_odds, members, specialists, prompt)
                return await route(ask, known, prompt, router=router, min_odds=settings.min_odds)

            return routed
        case PlanSettings():
            manager, workers = members.one(settings.manager, "manager"), members.workers(settings)
            return lambda ask, prompt: plan(
                ask,
                manager,
                workers,
                prompt,
                approve=approve if settings.approve else None,
                max_concurrent=settings.max_concurrent,
                timeout_s=settings.timeout_s,
                synthesis=settings.synthesis,
            )
        case ParallelSettings():
            return partial(_side_by_side, members, settings)
        case PipelineSettings():
            stages = [
                _stage(members, name, each, settings, approve) for name, each in settings.stages.items()
            ]
            return lambda ask, prompt: pipeline(ask, stages, prompt)


async def _side_by_side(members: Members, settings: ParallelSettings, ask: Ask, prompt: str) -> Outcome:
    words = {**settings.parameters, **members.words, "question": prompt, "input": prompt}
    jobs = [
        Job(
            agent=members.member(one.model, name),
            prompt=filled(one.prompt, words),
            name=name,
            priority=one.priority,
            timeout_s=one.timeout_s or settings.timeout_s,
        )
        for name, one in settings.jobs.items()
    ]
    return replace(await parallel(ask, jobs, max_concurrent=settings.max_concurrent), question=prompt)


def _stage(
    members: Members, name: str, settings: PatternSettings, whole: PipelineSettings, approve: Approve
) -> Stage:
    prompt = "{input}" if settings.prompt == "{question}" else settings.prompt
    return Stage(
        name=name,
        work=built(members, settings, approve),
        prompt=filled(prompt, {**whole.parameters, **settings.parameters, **members.words}),
        when=lambda given, outputs: (
            (settings.when is None or re.search(settings.when, given) is not None)
            and (settings.unless is None or re.search(settings.unless, given) is None)
        ),
        validate_output=None if settings.valid is None else lambda text: _valid(settings.valid or "", text),
        tries=settings.tries,
    )


def _valid(wanted: str, text: str) -> bool:
    if wanted == "json":
        json.loads(text)
        return True
    return re.search(wanted, text) is not None


async def _asked_once(ask: Ask, agent: Agent, prompt: str) -> Outcome:
    said = await attempt(ask, agent, prompt)
    error = None if said.ok else f"{said.model} failed: {said.error}"
    reason = f"answered by {said.model}" if said.ok else ""
    return Outcome(
        pattern="ask",
        question=prompt,
        text=said.text,
        error=error,
        reason=reason,
        responses=(said,),
        seconds=said.seconds,
    )
