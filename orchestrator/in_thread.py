"""Between threads and event loops: others' functions in a thread, and our own work for who has no loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import anyio
from anyio import to_thread

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """What `function` of somebody else gives, called in a thread; what it raises is raised here, and nowhere else.

    Cancelling this leaves the thread to itself.
    """

    def work() -> tuple[T | None, BaseException | None]:
        try:
            return function(*args), None
        except BaseException as exc:  # noqa: BLE001  (a GeneratorExit in a future would close all who wait for it)
            return None, exc

    found, fault = await to_thread.run_sync(work, abandon_on_cancel=True)
    if fault is not None:
        raise fault
    return cast("T", found)


def waited_for(work: Callable[..., Awaitable[T]], *args: Any) -> T:
    """What `work` gives, for a program that is not asynchronous, or waits for it although a loop runs in its thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return anyio.run(work, *args)
    with ThreadPoolExecutor(1) as pool:  # the work gets a loop of its own
        return pool.submit(anyio.run, work, *args).result()
