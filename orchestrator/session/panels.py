"""Patterns by the names of models: what was written down or typed becomes agents, and the outcome joins the record."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..agent import Agent
from ..config.patterns import (
    AskSettings,
    ConsultSettings,
    DebateSettings,
    EscalateSettings,
    HandoffSettings,
    PatternSettings,
    PipelineSettings,
    PlanSettings,
    RefineSettings,
    RouteSettings,
    SpecialistSettings,
    VoteSettings,
)
from ..errors import ConfigError, Paused
from ..events import Journaled
from ..patterns import (
    Ask,
    Meaning,
    Outcome,
    Specialist,
    Stage,
    attempt,
    by_judge,
    by_words,
    consult,
    debate,
    durable,
    escalate,
    handoff,
    pausing,
    pipeline,
    plan,
    refine,
    route,
    synthesise,
    vote,
)
from ..patterns.durable import Approve, Remembered
from ..patterns.pipeline import filled
from ..patterns.recorded import recorded
from ..reply import Reply
from ..store.resumable import CALL, OUTCOME, PAUSED, Begun
from ..types import Message
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
) -> Outcome:
    """The outcome of this pattern for this question; it is a turn of the session's conversation.

    `words`: for the parameters in braces. `person` decides where the pattern asks; without one it is paused there.
    Each reply is journaled as it comes; `resumed`: what was, of the run to go on with. Raises ConfigError, Paused.
    """
    key, members = resumed.run if resumed else secrets.token_hex(4), Members(session, words)

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
        await journal.once(CALL, call)
        outcome = replace(await work(heard, prompt), run=key)
        if isinstance(settings, AskSettings):
            outcome = replace(outcome, pattern=name or settings.use)
        tell(OUTCOME, outcome.as_json())
        return outcome

    journal = Remembered(resumed.values if resumed else None, tell)
    prompt = asked(settings, question, words or {})
    work = built(members, settings, pausing(journal, "person", person=person))
    ask = durable(members.ask, journal, "reply")
    try:
        return await recorded(name or settings.use, prompt, journaled, ask=ask, emit=session.emit, key=key)
    except Paused as exc:
        tell(PAUSED, {"question": exc.question, "key": exc.key})
        raise


async def resume_pattern(session: Session, run: Begun, *, person: Person | None = None) -> Outcome:
    """Go on with a run that was broken off or paused. No finished reply is asked for again. Raises as `run_pattern`."""
    call = run.values[CALL]
    try:
        settings = _settings().validate_json(json.dumps(call["settings"]))
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
    )


@cache
def _settings() -> TypeAdapter[PatternSettings]:
    return TypeAdapter(PatternSettings)


def asked(settings: PatternSettings, question: str, words: Mapping[str, str]) -> str:
    """The prompt with its words filled in. Raises ConfigError for a word there is none of."""
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
            same = members.meaning(settings.judge)
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
            return lambda ask, prompt: debate(
                ask, debaters, prompt, rounds=settings.rounds, judge=judge, implement=worker
            )
        case EscalateSettings():
            panel, same = members.panel(settings.models, "adviser"), members.meaning(settings.judge)
            return lambda ask, prompt: escalate(ask, panel, prompt, meaning=same(ask))
        case RefineSettings():
            author = members.one(settings.author, "author")
            critic = members.one(settings.critic or members.other(author), "critic")
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
            return lambda ask, prompt: route(
                ask, specialists, prompt, router=router, min_odds=settings.min_odds
            )
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
        case PipelineSettings():
            stages = [
                _stage(members, name, each, settings, approve) for name, each in settings.stages.items()
            ]
            return lambda ask, prompt: pipeline(ask, stages, prompt)


class Members:
    """The agents of one pattern. A member of a panel whose name means nothing fails when it is asked, alone."""

    def __init__(self, session: Session, words: Mapping[str, str] | None = None) -> None:
        self.session, self.words = session, words or {}  # words: for the parameters of its stages
        self._unknown: dict[str, str] = {}  # model: why it cannot be asked

    async def ask(self, agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
        if agent.model in self._unknown:
            raise ConfigError(self._unknown[agent.model])
        return await self.session.ask(agent, prompt, history=history)

    def one(self, spec: str | None, name: str, *, system: str | None = None) -> Agent:
        """A model, or an agent of the configuration by its name. Raises ConfigError."""
        if spec is not None and spec in self.session.config.agents:
            return self.session.agent(name=spec, system=system)
        agent = self.session.agent(spec, name=name, system="" if system is None else system)
        return agent if name in self.session.config.agents else replace(agent, tools=())

    def maybe(self, spec: str | None, name: str, *, tools: tuple[str, ...] | None = ()) -> Agent | None:
        if spec is None:
            return None
        agent = self.one(spec, name)
        return agent if spec in self.session.config.agents else replace(agent, tools=tools)

    def panel(self, specs: Sequence[str] | None, name: str) -> list[Agent]:
        """Raises ConfigError where nobody is named."""
        found = specs or self.session.config.panel
        if not found:
            raise ConfigError(
                "no models are named: give --models a,b, or `panel: [a, b]` in config.yaml, as provider:model"
            )
        return [self._any(spec, name) for spec in found]

    def other(self, author: Agent) -> str | None:
        """Of the panel, the first that is another model than the author's; None: there is none."""
        others = (self._any(spec, "critic").model for spec in self.session.config.panel or ())
        return next((model for model in others if model != author.model), None)

    def meaning(self, judge: str | None) -> Callable[[Ask], Meaning]:
        if judge is None:
            return lambda ask: by_words
        agent = self.one(judge, "judge")
        return lambda ask: by_judge(ask, agent)

    def specialists(self, settings: RouteSettings) -> list[Specialist]:
        if settings.specialists:
            return [
                Specialist(agent=self._specialist(name, one), description=one.description, odds=one.odds)
                for name, one in settings.specialists.items()
            ]
        return [Specialist(agent=agent) for agent in self.panel(None, "specialist")]

    def workers(self, settings: PlanSettings) -> dict[str, Agent]:
        if settings.specialists:
            return {name: self._specialist(name, one) for name, one in settings.specialists.items()}
        return {"worker": self.one(settings.manager, "worker")}

    def _specialist(self, name: str, one: SpecialistSettings) -> Agent:
        agent = self._any(one.model, name)
        if one.model in self.session.config.agents:
            return replace(agent, name=name, system=one.system or agent.system)
        return replace(agent, system=one.system or one.description, tools=one.tools)

    def _any(self, spec: str, name: str) -> Agent:
        try:
            return self.one(spec, name)
        except ConfigError as exc:
            self._unknown[spec] = str(exc)
            return Agent(name=name, model=spec)


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
