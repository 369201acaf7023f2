"""Asks again after failures that waiting can cure. The only layer that retries: the SDKs' own retries are off."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

import anyio

from ...errors import ProviderError
from ...events import Emit, Notice, ignore
from ...types import Completion, Delta, Request
from .. import Provider
from . import Around

P = ParamSpec("P")
R = TypeVar("R")


def curable(exc: Exception) -> bool:
    """Whether waiting can help: what the error itself says."""
    return isinstance(exc, ProviderError) and exc.retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When to try again, and after how long. Also a decorator for async functions.

    The wait doubles from `first_s` to `max_s`, shortened at random by up to half so that many clients do not
    return at once. A vendor that names a wait is given at least that; one that names more than `max_s` is not
    waited for.
    """

    attempts: int = 3
    first_s: float = 1.0
    max_s: float = 60.0
    when: Callable[[Exception], bool] = curable
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    jitter: Callable[[], float] = random.random

    def wait_s(self, failed: int, exc: Exception) -> float | None:
        """Seconds before the next try after `failed` of them; None when there should be none."""
        if failed >= self.attempts or not self.when(exc):
            return None
        asked = exc.retry_after_s if isinstance(exc, ProviderError) else None
        wait = min(self.first_s * 2.0 ** min(failed - 1, 60), self.max_s) * (1 - self.jitter() / 2)
        if asked is None:
            return wait
        return max(asked, wait) if asked <= self.max_s else None

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @wraps(function)
        async def persistent(*args: P.args, **kwargs: P.kwargs) -> R:
            failed = 0
            while True:
                try:
                    return await function(*args, **kwargs)
                except Exception as exc:
                    failed += 1
                    if (wait := self.wait_s(failed, exc)) is None:
                        raise
                await self.sleep(wait)

        return persistent


class Retrying(Around):
    """An answer that broke off is asked for anew: its deltas were for the eyes, only a Completion is kept."""

    def __init__(self, inner: Provider, retry: Retry | None = None, *, emit: Emit = ignore) -> None:
        super().__init__(inner)
        self.retry = retry or Retry()
        self.emit = emit

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        failed = 0
        while True:
            try:
                async with aclosing(self.inner.stream(request)) as items:
                    async for item in items:
                        yield item
                return
            except ProviderError as exc:
                failed += 1
                if (wait := self.retry.wait_s(failed, exc)) is None:
                    raise
                self.emit(Notice(text=f"{exc}; asking again in {wait:.1f} s", level="warning"))
            await self.retry.sleep(wait)
