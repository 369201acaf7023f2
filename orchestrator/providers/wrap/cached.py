"""Answers a request that was answered before from a store. A broken store never breaks a call."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import anyio
from pydantic import TypeAdapter

from ...events import Emit, Notice, ignore
from ...types import Completion, Delta, Request, Text, Thinking, Usage
from .. import Provider
from . import Around, Closes
from .caches import Cache

_REQUEST = TypeAdapter(Request)
_COMPLETION = TypeAdapter(Completion)
PATIENCE_S = 2.0
"""With a store that hangs."""
NOTHING_SPENT = Usage(input_tokens=0, output_tokens=0, cost_usd=0.0)


class Cached(Around):
    """Keeps whole answers (not cut, not refused) for `ttl_s` seconds, for ever when None.

    An answer from the store is marked `recorded`, and its usage is zero: nothing was spent on it.
    """

    def __init__(
        self, inner: Provider, cache: Cache, *, ttl_s: float | None = None, emit: Emit = ignore
    ) -> None:
        super().__init__(inner)
        self.cache = cache
        self.ttl_s = ttl_s
        self.emit = emit
        self._told = False

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        key = _key(self.name, request)
        if (found := await self._get(key)) is not None:
            for part in found.message.parts:
                if isinstance(part, Text | Thinking) and part.text:
                    yield Delta(text=part.text, thinking=isinstance(part, Thinking))
            yield found
            return
        async with aclosing(self.inner.stream(request)) as items:
            async for item in items:
                if isinstance(item, Completion) and item.stop in ("end", "tool"):
                    await self._set(key, item)
                yield item

    async def aclose(self) -> None:
        await super().aclose()
        if isinstance(self.cache, Closes):
            await self.cache.aclose()

    async def _get(self, key: str) -> Completion | None:
        try:
            with anyio.fail_after(PATIENCE_S):
                kept = await self.cache.get(key)
            found = None if kept is None else _COMPLETION.validate_json(kept)
        except Exception as exc:  # noqa: BLE001  whatever a store does wrong, the model can still be asked
            self._tell(exc)
            return None
        return found and replace(found, usage=NOTHING_SPENT, recorded=True)

    async def _set(self, key: str, done: Completion) -> None:
        try:
            with anyio.fail_after(PATIENCE_S):
                await self.cache.set(key, _COMPLETION.dump_json(done, warnings="none"), self.ttl_s)
        except Exception as exc:  # noqa: BLE001  as above
            self._tell(exc)

    def _tell(self, exc: Exception) -> None:
        if not self._told:
            self._told = True
            self.emit(
                Notice(
                    text=f"the cache of {self.name} does not work ({str(exc) or type(exc).__name__}); going on without it",
                    level="warning",
                )
            )


def _key(name: str, request: Request) -> str:
    """Of everything that can change the answer; how long to wait for it cannot."""
    asked = replace(request, model=f"{name}:{request.model_name}", timeout_s=None)
    return hashlib.sha256(_REQUEST.dump_json(asked, warnings="none")).hexdigest()
