"""Patterns as tools of a model: our own lead's, and, through `understudy serve`, of any MCP host."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup

from ..config.pattern_meanings import MEANINGS
from ..config.pattern_parameters import parameters, settings_of
from ..config.patterns import BY_USE, PatternSettings
from ..errors import OrchestratorError, Paused
from ..function_tools import FunctionTool
from ..patterns import Outcome
from .panels import run_pattern
from .session import Session

WAIT_S = 45.0  # hosts give up on a call after about a minute
MAX_JOBS = 200  # that are remembered
READING = ("consult", "vote", "escalate")  # whose members only read, whatever they are given


class Patience(Protocol):
    """How long a call waits, and what then."""

    @property
    def seconds(self) -> float: ...

    def leaves(self, id: str) -> None:
        """The call ends and its work goes on."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Patience of who is told the job's id."""

    seconds: float

    def leaves(self, id: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Job:
    """A pattern under way, or what became of it."""

    id: str
    pattern: str
    began: float = field(default_factory=time.time)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)
    outcome: Outcome | None = None
    error: str = ""

    def told(self, chars: int | None = None) -> str:
        """Its outcome as a model reads it. Raises OrchestratorError where there is none."""
        if self.outcome is None:
            raise OrchestratorError(self.error or "it was stopped")
        short = self.outcome.short() if chars is None else self.outcome.short(chars)
        return f"{short}\n[job {self.id}]"


class PatternTools:
    """The patterns of a session as functions. With a task group, what takes longer than `wait_s` goes on as a job.

    `own`: the patterns of config.yaml, by name.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        group: Callable[[], TaskGroup | None],
        *,
        own: Mapping[str, PatternSettings] | None = None,
        wait_s: float = WAIT_S,
        patience: Callable[[float], Patience] = Waits,
    ) -> None:
        self._session, self._group, self._wait_s, self._patience = session, group, wait_s, patience
        self._own = own or {}
        self._jobs: dict[str, Job] = {}

    @property
    def tools(self) -> list[FunctionTool[..., Any]]:
        made: list[FunctionTool[..., Any]] = [
            FunctionTool(
                partial(self._built_in, use),
                name=use,
                read_only=use in READING or None,
                signature=_of_definition(use),
            )
            for use in BY_USE
        ]
        if self._own:
            made.append(FunctionTool(self._configured, name="pattern", signature=_of_own(self._own)))
        return [*made, FunctionTool(self.outcome, read_only=True)]

    async def outcome(self, job: str, whole: bool = False, stop: bool = False) -> str:
        """Wait for a pattern that goes on as a job, or read its outcome again; whole: with every answer uncut; stop: end it."""
        found = self.job(job)
        if stop:
            found.scope.cancel()
        return await self._waited(found, chars=1_000_000 if whole else None)

    def job(self, id: str) -> Job:
        """Raises OrchestratorError where there is none."""
        found = self._jobs.get(id)
        if found is None:
            raise OrchestratorError(f"no job {id!r}; there are {', '.join(self._jobs) or 'none'}")
        return found

    async def _built_in(self, use: str, **given: Any) -> str:
        question = str(given.pop(BY_USE[use].asks))
        values = {key: value for key, value in given.items() if value is not None}
        return await self._run(settings_of({"use": use, **values}), question)

    async def _configured(self, name: str, question: str, words: Mapping[str, str] | None = None) -> str:
        if name not in self._own:
            raise OrchestratorError(f"no pattern {name!r}; there are {', '.join(self._own)}")
        return await self._run(self._own[name], question, name=name, words=words)

    async def _run(
        self,
        settings: PatternSettings,
        question: str,
        *,
        name: str | None = None,
        words: Mapping[str, str] | None = None,
    ) -> str:
        job = Job(id=secrets.token_hex(3), pattern=name or settings.use)
        self._jobs[job.id] = job
        while len(self._jobs) > MAX_JOBS:
            del self._jobs[next(iter(self._jobs))]

        async def work() -> None:
            try:
                with job.scope:
                    job.outcome = await run_pattern(
                        self._session(), settings, question, name=name, words=words
                    )
            except Paused as exc:
                job.error = f"{exc}; a person decides with: understudy patterns approve"
            except OrchestratorError as exc:
                job.error = str(exc)
            finally:
                job.done.set()

        group = self._group()
        if group is None:
            await work()
        else:
            group.start_soon(work)
        try:
            return await self._waited(job)
        except anyio.get_cancelled_exc_class():
            job.scope.cancel()  # who asked has called it off: nobody waits for it any more
            raise

    async def _waited(self, job: Job, *, chars: int | None = None) -> str:
        patience = self._patience(self._wait_s)
        with anyio.move_on_after(patience.seconds):
            await job.done.wait()
        if job.done.is_set():
            return job.told(chars)
        patience.leaves(job.id)
        return f"the {job.pattern} still runs as job {job.id}: call outcome with it"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Definition:
    """What a tool takes, as written down elsewhere than in the signature of a function."""

    name: str
    description: str
    schema: Mapping[str, Any]
    context: None = None
    wants_object: bool = False

    def bound(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Raises ValueError in one sentence; whether values are what they should be is seen by who takes them."""
        known: Mapping[str, Any] = self.schema["properties"]
        takes = f"it takes {', '.join(known)}"
        if strange := [name for name in arguments if name not in known]:
            raise ValueError(f"there is no parameter {strange[0]}; {takes}")
        for name in self.schema["required"]:
            if name not in arguments:
                raise ValueError(f"{name} is missing; {takes}")
            if known[name]["type"] == "string" and not isinstance(arguments[name], str):
                raise ValueError(f"{name}: wanted text, found {type(arguments[name]).__name__}")
        return [], dict(arguments)


def _of_definition(use: str) -> _Definition:
    settings, meaning = BY_USE[use], MEANINGS[use]
    listed = parameters(use)
    return _Definition(
        name=use,
        description=" ".join([f"{meaning[0].upper()}{meaning[1:]}.", settings.note]).strip(),
        schema={
            "type": "object",
            "properties": {settings.asks: {"type": "string"}, **{one.name: one.schema for one in listed}},
            "required": [settings.asks, *(one.name for one in listed if one.required)],
        },
    )


def _of_own(own: Mapping[str, PatternSettings]) -> _Definition:
    told = [
        f"{name}: {one.description or MEANINGS[one.use]}"
        + (
            f" (words: {', '.join(f'{key}={value}' for key, value in one.parameters.items())})"
            if one.parameters
            else ""
        )
        for name, one in own.items()
    ]
    return _Definition(
        name="pattern",
        description="\n".join(["Run a pattern of the configuration.", *told]),
        schema={
            "type": "object",
            "properties": {
                "name": {"type": "string", "enum": list(own)},
                "question": {"type": "string"},
                "words": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["name", "question"],
        },
    )
