"""Results of tools that would fill a model's context: cut, with what was cut said, and the whole kept to read on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from anyio import to_thread

from servers.ollama.forecast.token_estimates import CHARS_PER_TOKEN
from servers.state.home import home

from ..tools import Progress, Toolbox, no_progress
from ..types import Image, Message, Text, ToolCall, ToolResult, ToolSpec, result

READ_MORE = "read_more"
RESULT_SHARE = 4  # one result may take a quarter of the context
RUN_SHARE = 0.75  # all results of a run together
LEAST_CHARS = 4_000
MOST_CHARS = 100_000  # whatever the context: reading more costs more than it tells
UNKNOWN_WINDOW = 16_384  # tokens, where nobody knows the model's
KEPT_FILES = 500

_SPEC = ToolSpec(
    name=READ_MORE,
    description="Read on in a tool result that was cut.",
    parameters={
        "type": "object",
        "properties": {
            "result": {"type": "string", "description": "the name given where it was cut"},
            "start": {"type": "integer", "description": "first character to read"},
        },
        "required": ["result", "start"],
    },
    read_only=True,
)
_KEPT = re.compile(r"read_more\(result=\"[0-9a-f]{12}\"")


class WindowOf(Protocol):
    async def __call__(self) -> int | None:
        """The context of the model in tokens; None when nobody knows."""
        ...


class Bounded:
    """A toolbox whose results fit the model. One for one run."""

    def __init__(self, inner: Toolbox, window: WindowOf, history: Sequence[Message] = ()) -> None:
        self.inner, self._window = inner, window
        self._cut = any(_mentions(message) for message in history)
        self._left: float | None = None  # bytes of results the run has room for; None: not known yet
        self._most = 0

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return (*self.inner.specs, _SPEC) if self._cut else self.inner.specs

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        if call.name == READ_MORE and all(spec.name != READ_MORE for spec in self.inner.specs):
            return await self._more(call)
        answer = await self.inner.call(call, progress)
        text = answer.text
        room = await self._room(text)
        if len(text) > room:
            name = await to_thread.run_sync(_keep, text)
            tail = room // 5
            text = f"{text[: room - tail]}\n{_said(name, room - tail, len(text) - tail, len(text))}\n{text[len(text) - tail :]}"
            images = tuple(part for part in answer.content if isinstance(part, Image))
            answer, self._cut = replace(answer, content=(Text(text=text), *images)), True
        self._take(text)
        return answer

    async def _more(self, call: ToolCall) -> ToolResult:
        name, start = call.arguments.get("result"), call.arguments.get("start", 0)
        if not isinstance(name, str) or not isinstance(start, int) or start < 0:
            return result(call, "wanted result, the name given where it was cut, and start", is_error=True)
        text = await to_thread.run_sync(_kept, name)
        if text is None:
            return result(call, f"no result {name!r} is kept; call the tool again", is_error=True)
        room = await self._room(text[start:])
        shown = text[start : start + room]
        end = start + len(shown)
        self._take(shown)
        if not shown:
            return result(call, f"the result has {len(text):,} characters; there is none from {start:,} on")
        return result(
            call, shown if end == len(text) else f"{shown}\n{_said(name, end, len(text), len(text))}"
        )

    async def _room(self, text: str) -> int:
        """How many characters of `text` may be shown. By bytes: scripts of many bytes have as many tokens."""
        if len(text) <= LEAST_CHARS:
            return LEAST_CHARS
        if self._left is None:
            window = (await self._window() or UNKNOWN_WINDOW) * CHARS_PER_TOKEN
            self._left, self._most = window * RUN_SHARE, min(int(window / RESULT_SHARE), MOST_CHARS)
        room = min(self._most, self._left / 2)
        return max(int(room * len(text) / len(text.encode("utf-8", "replace"))), LEAST_CHARS)

    def _take(self, text: str) -> None:
        if self._left is not None:
            self._left -= len(text.encode("utf-8", "replace"))


def _said(name: str, start: int, end: int, whole: int) -> str:
    return (
        f"[{end - start:,} of {whole:,} characters left out here; "
        f'read_more(result="{name}", start={start}) shows them]'
    )


def _mentions(message: Message) -> bool:
    return any(isinstance(part, ToolResult) and _KEPT.search(part.text) for part in message.parts)


def _keep(text: str) -> str:
    """Keep `text` for later; its name. What cannot be kept is cut all the same."""
    data = text.encode("utf-8", "replace")
    name = hashlib.sha256(data).hexdigest()[:12]
    with suppress(OSError):
        folder = _folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / f"{name}.txt").write_bytes(data)
        files = sorted(folder.glob("*.txt"), key=lambda file: file.stat().st_mtime)
        for old in files[:-KEPT_FILES]:
            old.unlink(missing_ok=True)
    return name


def _kept(name: str) -> str | None:
    if not re.fullmatch(r"[0-9a-f]{12}", name):
        return None
    try:
        return (_folder() / f"{name}.txt").read_bytes().decode("utf-8")
    except OSError:
        return None


def _folder() -> Path:
    return home() / "results"
