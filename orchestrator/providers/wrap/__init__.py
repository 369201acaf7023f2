"""Providers around providers: same shape in, same shape out. Each works alone, from Python or from config."""

from __future__ import annotations

from .. import Closes, Lists, ModelInfo, Provider, close, memory_of

__all__ = ["Around", "Closes", "Lists"]


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
