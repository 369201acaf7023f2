"""At most so many model calls at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio

from ...types import Completion, Delta, Request
from .. import Provider
from . import Around


class Limited(Around):
    """Others wait their turn. Held per call, not per run: a local lead may wait for a worker on the same machine.

    Several providers share a limit by sharing the limiter: two addresses of one machine, say.
    """

    def __init__(self, inner: Provider, limit: int | anyio.CapacityLimiter) -> None:
        super().__init__(inner)
        self.limiter = anyio.CapacityLimiter(limit) if isinstance(limit, int) else limit

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        holder = object()  # not the task: another one may close the stream
        await self.limiter.acquire_on_behalf_of(holder)
        try:
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    yield item
        finally:
            self.limiter.release_on_behalf_of(holder)
