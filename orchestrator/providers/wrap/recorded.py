"""Writes down what a provider says, in the form `scripted:FILE.jsonl` plays."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from ...errors import ProviderError
from ...events import Emit, Notice, ignore
from ...types import Completion, Delta, Request
from .. import Provider
from ..scripted import script_line
from . import Around


class Recorded(Around):
    """Appends one line for every call to `path`, failures included. Figures in it were measured once.

    A file that cannot be written is told once and ends the recording, not the conversation.
    """

    def __init__(self, inner: Provider, path: str | Path, *, emit: Emit = ignore) -> None:
        super().__init__(inner)
        self.path = Path(path)
        self.emit = emit
        self._failed = False

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        try:
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    if isinstance(item, Completion):
                        self._write(item)
                    yield item
        except ProviderError as exc:
            self._write(exc)
            raise

    def _write(self, said: Completion | ProviderError) -> None:
        if self._failed:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(script_line(said) + "\n")
        except OSError as exc:
            self._failed = True
            told = f"{self.name} is no longer recorded: {self.path}: {exc.strerror or exc}"
            self.emit(Notice(text=told, level="warning"))
