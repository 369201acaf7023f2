"""What the stub says, before any vendor's words: turns made of blocks, and named scenarios."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal


def seal(wire: str) -> str:
    """The opaque signature of one wire. Seen on any other wire it is a leak."""
    return base64.b64encode(f"sealed by {wire}".encode()).decode()


@dataclass(frozen=True)
class Thought:
    text: str


@dataclass(frozen=True)
class Said:
    text: str


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: dict[str, Any]
    written: str | None = (
        None  # what stands on wires that carry arguments as text; None: the JSON of `arguments`
    )

    @property
    def json(self) -> str:
        return dumps(self.arguments) if self.written is None else self.written


Block = Thought | Said | Call


@dataclass(frozen=True)
class Turn:
    blocks: tuple[Block, ...] = (Said("Hello from the stub."),)
    stop: Literal["end", "tool", "length", "refusal", "context"] = "end"
    after: Literal["", "hang", "drop", "error", "cut", "garbage", "unknown"] = ""  # what happens mid-stream

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(b for b in self.blocks if isinstance(b, Call))


USAGE = {"fresh": 30, "cached": 60, "written": 10, "out": 20, "thought": 5}
"""Of every turn: 100 tokens in, 60 of them cached and 10 written to the cache; 20 out, 5 of them thinking."""

TWO_CALLS = (
    Call("call_A", "get_weather", {"city": "Łódź", "n": 1}),
    Call("call_B", "get_weather", {"city": "Oslo", "n": 2.5}),
)

TURNS: dict[str, Turn] = {
    "text": Turn(),
    "think": Turn((Thought("Pondering it."), Said("Forty-two."))),
    "tools": Turn((Thought("Two cities, two calls."), Said("Let me look."), *TWO_CALLS), "tool"),
    "plain": Turn(TWO_CALLS[:1], "tool"),
    "noargs": Turn((Call("call_1", "ping", {}, written=""),), "tool"),
    "badargs": Turn((Call("call_1", "ping", {}, written='{"a": NaN'),), "tool"),
    "twins": Turn((Call("same", "ping", {"n": 1}), Call("same", "ping", {"n": 2})), "tool"),
    "printed": Turn((Said('<tool_call>\n{"name": "ping", "arguments": {"n": 3}}\n</tool_call>'),)),
    "cutcall": Turn((Said("I begin."), Call("call_1", "ping", {}, written="")), "length"),
    "length": Turn(stop="length"),
    "refusal": Turn((Said("No."),), "refusal"),
    "context": Turn(stop="context"),
    "empty": Turn(()),
    "thoughtonly": Turn((Thought("I think and think"),), "length"),
    "hang": Turn(after="hang"),
    "drop": Turn(after="drop"),
    "streamerr": Turn(after="error"),
    "cut": Turn(after="cut"),
    "garbage": Turn(after="garbage"),
    "unknown": Turn(after="unknown"),
}

REFUSALS: dict[str, tuple[int, str]] = {
    "e400": (400, "bad"),
    "ectx": (400, "context"),
    "e401": (401, "auth"),
    "e403": (403, "permission"),
    "e404": (404, "missing"),
    "e413": (413, "big"),
    "e429": (429, "rate"),
    "equota": (429, "quota"),
    "e500": (500, "server"),
    "e503": (503, "unavailable"),
    "e529": (529, "overloaded"),
}
"""Scenario: status and kind of error; every dialect has its own body for a kind."""


@dataclass(frozen=True)
class Dialect:
    """How one vendor's server talks."""

    name: str
    frames: Callable[[Turn, str, dict[str, Any]], list[bytes]]  # turn, model, request body
    refusal: Callable[[str, int], tuple[int, dict[str, Any], dict[str, str]]]
    midway: bytes  # an error inside the stream
    stranger: bytes  # an event of a kind nobody knows
    complaint: Callable[[dict[str, Any]], str | None]  # why this server would refuse the request
    media: str = "text/event-stream"
    first: int = 2  # frames before something happens mid-stream
    answered: tuple[str, ...] = field(
        default=("tool_result", '"tool"', "function_call_output", "functionResponse")
    )


def pieces(text: str, size: int = 7) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)]


def dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def sse(event: dict[str, Any], *, named: bool = False) -> bytes:
    return (f"event: {event['type']}\n" if named else "").encode() + f"data: {dumps(event)}\n\n".encode()
