"""Collects streamed fragments into one Message; every adapter feeds it, so deltas and record cannot disagree."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from ..errors import ProviderError
from ..types import Delta, JsonObject, Message, Part, Request, Stop, Text, Thinking, ToolCall
from .portable_history import wire_name
from .sanitize import clean, sane, word

MAX_ANSWER_CHARS = 32_000_000
"""Where a server that never stops is stopped."""

Key = int | tuple[int, int]
"""Where a fragment belongs: the vendor's block index. Parts stand in the order of their keys."""


class Assembly:
    """The answer so far to one request, as the person who asked named model and tools."""

    def __init__(self, provider: str, request: Request) -> None:
        self.provider = provider
        self.origin = f"{provider}:{request.model_name}"
        self.names = {wire_name(tool.name): tool.name for tool in request.tools}
        self._drafts: dict[Key, _Draft] = {}
        self._chars = 0

    def text(self, key: Key, fragment: str) -> Delta:
        self._grow(self._draft(key, "text"), fragment)
        return Delta(text=clean(fragment))

    def thinking(self, key: Key, fragment: str) -> Delta:
        self._grow(self._draft(key, "thinking"), fragment)
        return Delta(text=clean(fragment), thinking=True)

    def call(
        self, key: Key, name: str, *, id: str | None = None, arguments: JsonObject | None = None
    ) -> None:
        """A tool call begins; its arguments come whole here or in fragments later."""
        draft = self._draft(key, "tool_call")
        draft.name = draft.name or word(name)
        draft.id = draft.id or word(id)
        draft.arguments = arguments

    def rename(self, key: Key, name: str) -> None:
        """The whole name of the call at `key`, where it came in pieces."""
        self._drafts[key].name = word(name)

    def arguments(self, key: Key, fragment: str) -> None:
        self._grow(self._draft(key, "tool_call"), fragment)

    def replace(self, key: Key, content: str) -> None:
        """The finished content of the part at `key`, where the vendor repeats it whole."""
        draft = self._drafts[key]
        draft.fragments.clear()
        self._grow(draft, content)

    def seal(self, key: Key, kind: Literal["text", "thinking", "tool_call"], **data: Any) -> None:
        """Opaque vendor data of the part at `key`; None values are left out."""
        self._draft(key, kind).seal.update({k: v for k, v in data.items() if v is not None})

    def has(self, key: Key) -> bool:
        return key in self._drafts

    def count(self) -> int:
        """Parts so far: a fresh number for vendors that do not index."""
        return len(self._drafts)

    def message(self) -> Message:
        """Parts without text and seal are left out; ids are unique within the message."""
        parts: list[Part] = []
        taken: set[str] = set()
        for key in sorted(self._drafts, key=lambda k: k if isinstance(k, tuple) else (k, 0)):
            draft = self._drafts[key]
            if draft.kind == "tool_call":
                if not draft.id or draft.id in taken:
                    draft.id = new_call_id()
                taken.add(draft.id)
                draft.name = self.names.get(draft.name, draft.name)
            if (part := draft.part()) is not None:
                parts.append(part)
        return Message(role="assistant", parts=tuple(parts), origin=self.origin)

    def stop(self, said: str | None, meanings: dict[str, Stop]) -> Stop:
        """The neutral stop reason; vendors that say "stop" for tool turns are corrected by the parts."""
        stop = meanings.get(said or "", "end")
        called = any(d.kind == "tool_call" for d in self._drafts.values())
        return "tool" if called and stop == "end" else stop

    def cut(self) -> NoReturn:
        """For a stream that ended before the vendor's terminal event."""
        raise ProviderError(
            self.provider,
            "the answer was cut off: the stream ended before its end was announced",
            retryable=True,
        )

    def _draft(self, key: Key, kind: Literal["text", "thinking", "tool_call"]) -> _Draft:
        return self._drafts.setdefault(key, _Draft(kind=kind))

    def _grow(self, draft: _Draft, fragment: Any) -> None:
        if not isinstance(fragment, str):  # SDKs do not check what servers send
            raise TypeError(f"wanted a piece of text, found {type(fragment).__name__}")
        self._chars += len(fragment)
        if self._chars > MAX_ANSWER_CHARS:
            raise ProviderError(self.provider, f"the answer exceeds {MAX_ANSWER_CHARS:,} characters; stopped")
        draft.fragments.append(fragment)


@dataclass(slots=True)
class _Draft:
    kind: Literal["text", "thinking", "tool_call"]
    fragments: list[str] = field(default_factory=list[str])
    seal: dict[str, Any] = field(default_factory=dict[str, Any])
    id: str = ""
    name: str = ""
    arguments: JsonObject | None = None

    def part(self) -> Part | None:
        content, seal = clean("".join(self.fragments)), sane(self.seal) or None
        if self.kind == "tool_call":
            arguments, raw = (
                (self.arguments, None) if self.arguments is not None else parse_arguments(content)
            )
            return ToolCall(id=self.id, name=self.name, arguments=sane(dict(arguments)), raw=raw, seal=seal)
        if not content and not seal:
            return None
        return Text(text=content, seal=seal) if self.kind == "text" else Thinking(text=content, seal=seal)


def parse_arguments(written: str) -> tuple[JsonObject, str | None]:
    """(arguments, None) of a JSON object; ({}, what was written) of anything else. Nothing written means {}."""
    if not written.strip():
        return {}, None
    try:
        value = json.loads(written, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return {}, written
    return (value, None) if isinstance(value, dict) else ({}, written)


def new_call_id() -> str:
    """An id no other call in any conversation has; every vendor accepts its form."""
    return f"call_{secrets.token_hex(8)}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")  # NaN would come back from every vendor as a refused request
