"""A conversation on a terminal that only prints: nothing moves, nothing is coloured, lines are typed one by one."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio

from ...events import Notice
from ...tools import fitting
from ..screen.page import PROMPT
from .input import Attended, Lines


class DumbTerminal(Lines):
    """The terminal itself shows what is typed. What is typed during a turn waits in it, unseen."""

    interactive = True
    echoed = True

    def __init__(self) -> None:
        super().__init__()
        self._talk: Attended | None = None
        self._one = anyio.Lock()  # one question after another, in the order they came

    @asynccontextmanager
    async def attended(self, talk: Attended) -> AsyncGenerator[None]:
        self._talk = talk
        yield

    async def read(self) -> str | None:
        _write(PROMPT)
        return await super().read()

    async def choose(self, question: str, choices: Sequence[str]) -> str | None:
        assert self._talk is not None
        async with self._one:
            self._talk.display(Notice(text=question, level="warning"))
            while True:
                _write(f"[{'/'.join(choices)}] " if choices else "> ")
                line = await self._line()
                answer = fitting(line.strip(), choices)
                if not line or answer is not None:
                    return answer if line else None
                told = f"one of {', '.join(choices)}; Ctrl-C stops the turn"
                self._talk.display(Notice(text=told, level="warning"))


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
