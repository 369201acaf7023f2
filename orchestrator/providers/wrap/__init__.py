"""Providers around providers: same shape in, same shape out. Each works alone, from Python or from config."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from ...errors import BadRequest
from ...types import Completion, Delta, Request
from .. import Closes, Lists, ModelInfo, Provider, close, memory_of

__all__ = ["Around", "Closes", "Lists", "asked_again"]


class Around:
    """What every wrapper of one provider shares: its name, its models, its end."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner
        self.name = inner.name

    async def models(self) -> tuple[ModelInfo, ...]:
        return await self.inner.models() if isinstance(self.inner, Lists) else ()

    async def memory_bytes(self, model: str) -> int | None:
        return await memory_of(self.inner, model)

    async def aclose(self) -> None:
        await close(self.inner)


async def asked_again(
    inner: Provider, request: Request, instead: Callable[[Request, BadRequest], Request | None]
) -> AsyncGenerator[Delta | Completion]:
    """What `inner` streams; where it refuses the request, what it streams for the one that `instead` makes of it.

    The refusal is raised where `instead` has none.
    """
    while True:
        try:
            async with aclosing(inner.stream(request)) as items:
                async for item in items:
                    yield item
            return
        except BadRequest as exc:
            other = instead(request, exc)
            if other is None:
                raise
            request = other
