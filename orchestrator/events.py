"""What happened, as it happens. Display, store and tests are functions of these."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from .errors import ends_more, reason
from .types import Message, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Role = Literal["lead", "worker", "adviser", "author", "critic", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    run: str
    parent: str | None  # the run that asked for this one; None at the top
    agent: str
    model: str  # "provider:model"
    prompt: str
    role: Role = "lead"
    question: Message | None = None  # the prompt whole, with its pictures; None: `prompt` is all of it
    labels: Mapping[str, str] = field(default_factory=dict[str, str])  # whose money it spends, and for what
    kind: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    run: str
    text: str
    thinking: bool
    kind: Literal["streamed"] = "streamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """How long the model call that just began should take; None is what nobody can tell."""

    run: str
    load_s: float | None = None  # weights into memory, before anything is read
    prefill_s: float | None = None  # reading the prompt
    total_s: float | None = None
    low_s: float | None = None  # 90 % interval of total_s
    high_s: float | None = None
    runs: int | None = None  # measured runs behind it
    waiting_for: str | None = None  # who holds the slot this call waits for
    simulated: bool = False
    kind: Literal["foreseen"] = "foreseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    run: str
    call: ToolCall
    kind: Literal["tool_started"] = "tool_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolProgress:
    run: str
    call_id: str
    done: float
    total: float | None  # None when the tool does not know
    message: str
    kind: Literal["tool_progress"] = "tool_progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished:
    run: str
    result: ToolResult
    seconds: float
    kind: Literal["tool_finished"] = "tool_finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Messages that joined the history as soon as they were whole: an answer with its question, then tool results."""

    run: str
    messages: tuple[Message, ...]
    usage: Usage
    recorded: bool = False  # the durations in `usage` were recorded or made up, not measured now
    simulated: bool = False  # of those: made up by an engine that only pretends
    cause: str | None = (
        None  # why the run was broken off: these messages close what was open. None: they were said
    )
    kind: Literal["appended"] = "appended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A model was asked once, every try and every fallback by itself, and this is what it took."""

    run: str | None  # that asked; None outside of every run
    model: str  # "provider:model" that was really asked
    usage: Usage  # its cost_usd is None where nobody knows it; of a failed call, what it cost all the same
    seconds: float
    error: str | None = None  # None: it answered
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    kind: Literal["called"] = "called"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    run: str
    usage: Usage
    seconds: float
    error: str | None = None
    kind: Literal["run_ended"] = "run_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """The conversation goes on with another model."""

    old: str
    new: str
    reason: str = ""
    kind: Literal["switched"] = "switched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarised:
    """From here on one message stands for the beginning of the conversation."""

    message: Message
    stands_for: int  # the conversation's first messages
    digest: str  # of those, so that the summary is used for no others
    kind: Literal["summarised"] = "summarised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journaled:
    """A value that a run will find again when it is resumed, under its place in the run."""

    run: str
    key: str
    value: Any  # JSON
    kind: Literal["journaled"] = "journaled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One sentence for the human: a retry, a fallback, a server that failed to start."""

    text: str
    level: Literal["info", "warning", "error"] = "info"
    kind: Literal["notice"] = "notice"


Event = (
    RunStarted
    | Streamed
    | Foreseen
    | ToolStarted
    | ToolProgress
    | ToolFinished
    | Appended
    | Called
    | RunEnded
    | Switched
    | Summarised
    | Journaled
    | Notice
)
Emit = Callable[[Event], None]
current_run: ContextVar[RunStarted | None] = ContextVar("current_run", default=None)
"""The run in which something happens: the parent of the next one, and who pays for a call."""


def ignore(event: Event) -> None:
    """The default subscriber."""


def tee(*sinks: Emit) -> Emit:
    """All of these; each is told whatever another raises, and the first fault is raised behind them."""

    def emit(event: Event) -> None:
        fault: Exception | None = None
        for sink in sinks:
            try:
                sink(event)
            except Exception as exc:  # noqa: BLE001  (raised below)
                fault = fault or exc
        if fault is not None:
            raise fault

    return emit


def guarded(sink: Callable[[Event], Any], name: str, tell: Emit) -> Emit:
    """Somebody else's sink: what it raises is told once, as a Notice, and ends nothing; it goes on being told.

    A BrokenPipeError is raised all the same: nobody reads any more what is written.
    """
    told = False

    def emit(event: Event) -> None:
        nonlocal told
        try:
            sink(event)
        except BrokenPipeError:
            raise
        except BaseException as exc:
            if ends_more(exc):
                raise
            if not told:
                told = True
                said = (
                    f"{name} failed at {event.kind}: {reason(exc)}; the work goes on, and this is said once"
                )
                tell(Notice(text=said, level="warning"))

    return emit


def event_json(event: Event) -> str:
    """One line of JSON; ASCII alone: no terminal finds anything in it to obey, and a lone surrogate survives too."""
    return json.dumps(_events().dump_python(event, mode="json", warnings="none"))


def event_of(value: Any) -> Event:
    return _events().validate_python(value)


@cache
def _events() -> TypeAdapter[Event]:
    from pydantic import TypeAdapter

    return TypeAdapter(Event)
