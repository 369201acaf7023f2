"""The words every other module speaks. Imports nothing from this project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    text: str
    seal: JsonObject | None = None  # opaque vendor data, see Thinking
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    data: str  # base64
    mime: str  # "image/png", "image/jpeg", "image/webp" or "image/gif"
    kind: Literal["image"] = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """Reasoning shown or hidden by the model.

    `seal` is opaque JSON-safe data (signature, encrypted content) that goes back unchanged, and only
    to the `Message.origin` it came from; every other model gets the history without this part.
    """

    text: str
    seal: JsonObject | None = None
    kind: Literal["thinking"] = "thinking"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    id: str
    name: str
    arguments: JsonObject
    raw: str | None = None  # what the model wrote where that was not a JSON object; arguments are {} then
    seal: JsonObject | None = None
    kind: Literal["tool_call"] = "tool_call"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool said. A failed tool is a value the model can read, not an exception."""

    call_id: str
    name: str  # of the tool; some vendors want it back
    content: tuple[Text | Image, ...]
    is_error: bool = False
    kind: Literal["tool_result"] = "tool_result"

    @property
    def text(self) -> str:
        return "\n".join(p.text for p in self.content if isinstance(p, Text))


Part = Text | Image | Thinking | ToolCall | ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: Literal["user", "assistant", "tool"]
    parts: tuple[Part, ...]
    origin: str = ""  # "provider:model" that wrote it; empty for people and tools

    @property
    def text(self) -> str:
        return "".join(p.text for p in self.parts if isinstance(p, Text))

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(p for p in self.parts if isinstance(p, ToolCall))


def user(*parts: Part | str) -> Message:
    return Message(role="user", parts=_parts(parts))


def assistant(*parts: Part | str, origin: str = "") -> Message:
    return Message(role="assistant", parts=_parts(parts), origin=origin)


def result(call: ToolCall, text: str, *, is_error: bool = False) -> ToolResult:
    """A text result of `call`."""
    return ToolResult(call_id=call.id, name=call.name, content=(Text(text=text),), is_error=is_error)


def _parts(parts: tuple[Part | str, ...]) -> tuple[Part, ...]:
    return tuple(Text(text=p) if isinstance(p, str) else p for p in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    name: str
    description: str
    parameters: JsonObject  # JSON Schema of the arguments object
    read_only: bool | None = None  # the tool's own claim; None when it makes none
    destructive: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, seconds and money of one or more model calls. None means "not reported", never zero."""

    input_tokens: int | None = None  # includes cached_tokens and cache_write_tokens
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None  # includes thinking_tokens
    thinking_tokens: int | None = None
    queue_s: float | None = None  # local runtimes only: waiting for the slot
    load_s: float | None = None  # local runtimes only: weights into memory
    prefill_s: float | None = None
    decode_s: float | None = None
    total_s: float | None = None
    cost_usd: float | None = None

    def known(self) -> dict[str, int | float]:
        """What was reported, by name."""
        return {name: value for name in Usage.__slots__ if (value := getattr(self, name)) is not None}

    def __add__(self, other: Usage) -> Usage:
        def plus(a: Any, b: Any) -> Any:
            return b if a is None else a if b is None else a + b

        return Usage(**{name: plus(getattr(self, name), getattr(other, name)) for name in Usage.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One model call. What is None or empty is not sent: vendors refuse parameters they do not expect."""

    model: str  # "provider:model", or the bare model name
    messages: tuple[Message, ...]
    system: str = ""
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str | None = (
        None  # None: the model decides; "any": must call one; else the name of the one to call
    )
    schema: JsonObject | None = None  # JSON Schema the answer must follow
    max_tokens: int | None = None  # cap of the answer, thinking included
    temperature: float | None = None
    think: bool | Literal["low", "medium", "high"] | None = None  # None: the vendor's default
    timeout_s: float | None = None  # longest silence on the wire; None: the provider's default
    options: JsonObject = field(default_factory=dict[str, Any])  # sent as they are, to this provider only

    @property
    def model_name(self) -> str:
        """What the vendor calls the model: everything after the first colon, if a provider stands before it."""
        provider, colon, name = self.model.partition(":")
        return name if colon else provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A fragment for the eyes. Never the record: the record is the Completion that follows."""

    text: str
    thinking: bool = False


Stop = Literal["end", "tool", "length", "refusal", "context", "pause"]
Provenance = Literal["measured", "recorded", "simulated"]
"""How seconds came to be: measured now, recorded earlier or written by hand, or made up by what only pretends to run."""


def provenance(*, recorded: bool, simulated: bool) -> Provenance:
    return "simulated" if simulated else "recorded" if recorded else "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    message: Message
    usage: Usage
    stop: Stop = "end"
    recorded: bool = False  # its durations were recorded or made up, not measured: scripted models
    simulated: bool = False  # made up by an engine that only pretends; `recorded` is set too
    doubts: tuple[str, ...] = ()  # sentences about what looked like a call and is none
    nudge: str = ""  # what to tell the model about it, once
    raw: JsonObject = field(
        default_factory=dict[str, Any]
    )  # the vendor's final object where it holds more than we keep
