"""An event loop in a thread of its own, for callers that are not asynchronous or already run another loop."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import Generic, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ..errors import OrchestratorError

T = TypeVar("T")
END_S = 5.0  # longest wait for cancelled work to end


class Work(Generic[T]):
    """Something that runs there."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        # Our own scope and not the future's: an interrupt may come before there is a future to cancel.
        self._scopes: list[anyio.CancelScope] = []
        self._abandoned, self._ended = threading.Event(), threading.Event()
        self._future: Future[T] | None = None

    def start(self, work: Callable[[], Awaitable[T]]) -> Self:
        async def watched() -> T:
            with anyio.CancelScope() as scope:
                self._scopes.append(scope)
                try:
                    if not self._abandoned.is_set():
                        return await work()
                finally:
                    self._ended.set()
            raise CancelledError

        self._future = self._portal.start_task_soon(watched)
        return self

    def result(self) -> T:
        """Wait for it. Raises what it raised, CancelledError when it was cancelled."""
        assert self._future is not None
        return self._future.result()

    def cancel(self) -> None:
        """Stop it and wait a moment for its end; nothing where it has ended."""
        self._abandoned.set()
        if self._scopes and not self._ended.is_set():
            self._portal.start_task_soon(self._scopes[0].cancel)
            self._ended.wait(END_S)

    def when_done(self, call: Callable[[], None]) -> None:
        """Call `call` once it has ended, in whatever way; at once where it has."""
        assert self._future is not None
        self._future.add_done_callback(lambda _future: call())


class Background:
    """Runs coroutines and waits for them. Unclosed ones are closed when the program ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._portal: BlockingPortal = self._stack.enter_context(
            start_blocking_portal("asyncio", name="understudy")
        )
        self._thread: int = self._portal.call(threading.get_ident)
        self._process = os.getpid()
        atexit.register(self.close)

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, run there. An interrupt here, Ctrl-C for one, cancels it there and waits for its end."""
        self.refuse_within()
        begun = Work(self._portal)
        try:
            return begun.start(work).result()
        except BaseException:
            begun.cancel()
            raise

    def start(self, work: Callable[[], Awaitable[T]]) -> Work[T]:
        """Begin `work` there and go on here."""
        return Work[T](self._portal).start(work)

    def refuse_within(self) -> None:
        """Raises RuntimeError in the thread that would have to do the work it waits for, OrchestratorError after a fork."""
        if os.getpid() != self._process:
            raise OrchestratorError("it was made before the process was forked; make a new one after it")
        if threading.get_ident() == self._thread:
            raise RuntimeError("called from within itself, perhaps from a callback; it would wait for ever")

    def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """What the context manager gives; it is left when this is closed, in the task that entered it."""
        return self._stack.enter_context(self._portal.wrap_async_context_manager(context))

    def close(self) -> None:
        """Leave everything entered and end the thread. Closing twice is the same as once."""
        atexit.unregister(self.close)
        if os.getpid() == self._process:  # the thread of a process that was forked did not come along
            self._stack.close()
