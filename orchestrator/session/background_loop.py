"""An event loop in a thread of its own, for callers that are not asynchronous or already run another loop."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, ExitStack
from typing import TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

T = TypeVar("T")
END_S = 5.0  # longest wait for cancelled work to end


class Background:
    """Runs coroutines and waits for them. Unclosed ones are closed when the program ends."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._portal: BlockingPortal = self._stack.enter_context(
            start_blocking_portal("asyncio", name="understudy")
        )
        self._thread: int = self._portal.call(threading.get_ident)
        atexit.register(self.close)

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`, run there. An interrupt here, Ctrl-C for one, cancels it there and waits for its end."""
        self.refuse_within()
        # Our own scope and not the future's: an interrupt may come before there is a future to cancel.
        scopes: list[anyio.CancelScope] = []
        abandoned, ended = threading.Event(), threading.Event()

        async def watched() -> T:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                try:
                    if not abandoned.is_set():
                        return await work()
                finally:
                    ended.set()
            raise CancelledError

        try:
            return self._portal.start_task_soon(watched).result()
        except BaseException:
            abandoned.set()
            if scopes and not ended.is_set():
                self._portal.start_task_soon(scopes[0].cancel)
                ended.wait(END_S)
            raise

    def refuse_within(self) -> None:
        """Raises RuntimeError in the thread that would have to do the work it waits for."""
        if threading.get_ident() == self._thread:
            raise RuntimeError("called from within itself, perhaps from a callback; it would wait for ever")

    def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """What the context manager gives; it is left when this is closed, in the task that entered it."""
        return self._stack.enter_context(self._portal.wrap_async_context_manager(context))

    def close(self) -> None:
        """Leave everything entered and end the thread. Closing twice is the same as once."""
        atexit.unregister(self.close)
        self._stack.close()
