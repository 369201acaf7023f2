"""Somebody else's function, called in a thread: whatever it raises is raised where it is waited for, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from anyio import to_thread

T = TypeVar("T")


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """What `function` gives. Cancelling this leaves the thread to itself."""

    def work() -> tuple[T | None, BaseException | None]:
        try:
            return function(*args), None
        except BaseException as exc:  # noqa: BLE001  (a GeneratorExit in a future would close all who wait for it)
            return None, exc

    found, fault = await to_thread.run_sync(work, abandon_on_cancel=True)
    if fault is not None:
        raise fault
    return cast("T", found)
