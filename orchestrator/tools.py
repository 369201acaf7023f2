"""Tools as the loop sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from .types import ToolCall, ToolResult, ToolSpec, result

Progress = Callable[[float, float | None, str], None]
"""done, total (None when unknown), message."""


Approve = Callable[[str, Sequence[str]], Awaitable[str | None]]
"""Puts a question of a tool or a server to the person with the choices there are, the most willing first, or with
none where anything may be written; None declines."""


def fitting(answer: str, choices: Sequence[str]) -> str | None:
    """What a written answer means: the only choice that begins so, or anything where there are none; else None."""
    if not choices:
        return answer
    words = answer.strip().casefold()
    whole = [choice for choice in choices if choice.casefold() == words]
    begun = whole or [choice for choice in choices if words and choice.casefold().startswith(words)]
    return begun[0] if len(begun) == 1 else None


def no_progress(done: float, total: float | None, message: str) -> None:
    """The default: nobody is watching."""


class Toolbox(Protocol):
    @property
    def specs(self) -> tuple[ToolSpec, ...]: ...

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        """Never raises for a failed tool: the failure is the result."""
        ...


class NoTools:
    specs: tuple[ToolSpec, ...] = ()

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        return result(call, f"no tool {call.name!r}; there are none here", is_error=True)


NO_TOOLS = NoTools()


class Merged:
    """Several toolboxes as one; the first that offers a name answers for it."""

    def __init__(self, *boxes: Toolbox) -> None:
        self.boxes = boxes

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        seen: dict[str, ToolSpec] = {}
        for box in self.boxes:
            for spec in box.specs:
                seen.setdefault(spec.name, spec)
        return tuple(seen.values())

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        for box in self.boxes:
            if any(spec.name == call.name for spec in box.specs):
                return await box.call(call, progress)
        known = ", ".join(spec.name for spec in self.specs) or "none"
        return result(call, f"no tool {call.name!r}; there are: {known}", is_error=True)


class ReadOnly:
    """Those tools of a box that say of themselves that they change nothing."""

    def __init__(self, box: Toolbox) -> None:
        self.box = box

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(spec for spec in self.box.specs if spec.read_only)

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        if any(spec.name == call.name for spec in self.specs):
            return await self.box.call(call, progress)
        known = ", ".join(spec.name for spec in self.specs) or "none"
        why = f"{call.name} is not offered before the work is agreed upon; to look there are: {known}"
        return result(call, why, is_error=True)
