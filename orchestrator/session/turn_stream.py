"""One turn as it happens, for `for` and for `async for`: what is said and done, and at the end the Reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from queue import SimpleQueue
from typing import Self, TypeAlias

import anyio
import anyio.to_thread

from ..events import Event, Notice, RunStarted, Streamed, ToolFinished, ToolProgress, ToolStarted
from ..reply import Reply
from .background_loop import Work

Item: TypeAlias = Streamed | ToolStarted | ToolProgress | ToolFinished | Notice | Reply


class TurnStream:
    """Begins when it is iterated, once; there is nothing more afterwards. Leaving the loop early stops the turn, and so does
    leaving a `with`; what was said until then is kept.

    A failure is raised where the Reply would come; its `reply` says what was done. `start` begins the work, and tells
    a listener what happens; it is called when the iteration begins.
    """

    def __init__(self, start: Callable[[Callable[[Event], None]], Work[Reply]]) -> None:
        self._start = start
        self._heard: SimpleQueue[Item | None] = SimpleQueue()
        self._runs: set[str] = set()  # of the turn itself; what its workers say is theirs
        self._work: Work[Reply] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._work is not None:
            self._end(self._work)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        if self._work is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._end, self._work)

    def __iter__(self) -> Generator[Item]:
        if self._work is not None:
            return
        work = self._begin()
        try:
            while (item := self._heard.get()) is not None:
                yield item
            yield work.result()
        finally:
            self._end(work)

    async def __aiter__(self) -> AsyncGenerator[Item]:
        if self._work is not None:
            return
        work = await anyio.to_thread.run_sync(self._begin)
        try:
            while (
                item := await anyio.to_thread.run_sync(self._heard.get, abandon_on_cancel=True)
            ) is not None:
                yield item
            yield await anyio.to_thread.run_sync(work.result)
        finally:
            self._end(work)

    def _begin(self) -> Work[Reply]:
        work = self._work = self._start(self._hear)
        work.when_done(lambda: self._heard.put(None))
        return work

    def _end(self, work: Work[Reply]) -> None:
        with suppress(Exception):
            work.cancel()
        self._heard.put(None)  # whoever still waits for an item is let go

    def _hear(self, event: Event) -> None:
        match event:
            case RunStarted(parent=None):
                self._runs.add(event.run)
            case Streamed() | ToolStarted() | ToolProgress() | ToolFinished() if event.run in self._runs:
                self._heard.put(event)
            case Notice():
                self._heard.put(event)
            case _:
                pass
