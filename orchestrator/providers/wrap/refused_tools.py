"""Goes on without a tool whose declaration the vendor refuses: one schema of a foreign server must not cost the run.

Vendors name it by its place in the request (`tools.3.custom.input_schema`, `function_declarations[3]`) or by name.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from ...errors import BadRequest
from ...events import Emit, Notice, ignore
from ...types import Completion, Delta, Request, ToolSpec
from .. import Provider
from ..portable_history import wire_name
from . import Around, asked_again

_GOOGLE = re.compile(r"function_?declarations\W{1,3}(\d+)", re.IGNORECASE)
_PLACE = re.compile(r"""\btools?['"]?(?:\s*[.,/\]]\s*|\s*\[\s*|\s+)['"]?(\d+)""", re.IGNORECASE)
_NAMED = r"""\b(?:functions?|tools?|schema|declaration|parameters)\b[^'"`.]{{0,40}}['"`]{name}['"`]"""
_MEMBER = re.compile(r"\btools\.(\d+)\.member\b")
"""How AWS counts: from one."""
_MOST = re.compile(
    r"\b(?:tools?|functions?)\b.{0,80}?\b(?:maximum|at most|max|limit|up to|more than|exceeds?)\b\D{0,20}(?P<after>\d+)"
    r"|\b(?:maximum|at most|max|limit|up to|more than)\b\D{0,20}(?P<before>\d+) (?:tools|functions)"
    r"|\b(?:maximum|max)\b[^.]{0,20} (?:tools|functions)\D{0,20}(?P<of>\d+)",
    re.IGNORECASE,
)


class RefusedTools(Around):
    """Remembers what was refused for as long as it lives."""

    def __init__(self, inner: Provider, *, emit: Emit = ignore) -> None:
        super().__init__(inner)
        self.emit = emit
        self._refused: dict[str, list[ToolSpec]] = {}  # by model
        self._most: dict[str, int] = {}  # how many tools a model takes

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        return asked_again(self.inner, self._taken(request), self._without)

    def _without(self, request: Request, exc: BadRequest) -> Request | None:
        return self._taken(request) if self._learned(request, exc) else None

    def _taken(self, request: Request) -> Request:
        refused = self._refused.get(request.model, [])
        kept = tuple(tool for tool in request.tools if tool not in refused)
        return replace(request, tools=kept[: self._most.get(request.model)])

    def _learned(self, request: Request, exc: BadRequest) -> bool:
        """Whether the refusal is of tools that can be left out."""
        model, tools = request.model, request.tools
        most = _most_of(exc.message, len(tools))
        wrong = tools[most:] if most is not None else named_in(exc.message, tools)
        if not wrong or request.tool_choice in {tool.name for tool in wrong}:
            return False
        if most is not None:
            self._most[model] = most
        else:
            self._refused.setdefault(model, []).extend(wrong)
        names = ", ".join(f"`{tool.name}`" for tool in wrong[:5]) + ("" if len(wrong) <= 5 else ", ...")
        one = len(wrong) == 1
        said = f"{model} does not take {'the tool' if one else f'{len(wrong)} of the tools:'} {names}"
        self.emit(
            Notice(text=f"{said}; asking again without {'it' if one else 'them'} ({exc})", level="warning")
        )
        return True


def named_in(message: str, tools: Sequence[ToolSpec]) -> tuple[ToolSpec, ...]:
    """The tools whose declarations a vendor's refusal is about."""
    if re.match(r"\W*(messages|input|contents)\b", message, re.IGNORECASE):
        return ()  # about a call or a result in the conversation
    places = {int(found) for found in (_GOOGLE.findall(message) or _PLACE.findall(message))}
    if from_one := _MEMBER.findall(message):
        places = {int(found) - 1 for found in from_one}
    found = tuple(tool for place, tool in enumerate(tools) if place in places)
    if found:
        return found
    return tuple(
        tool
        for tool in tools
        if re.search(_NAMED.format(name=re.escape(wire_name(tool.name))), message, re.IGNORECASE)
    )


def _most_of(message: str, count: int) -> int | None:
    """How many tools the vendor takes, where it refuses their number."""
    found = _MOST.search(message)
    if found is None or _PLACE.search(message) or _GOOGLE.search(message):
        return None
    most = int(next(number for number in found.groups() if number))
    return most if 0 < most < count else None
