"""What a planned run will take, from the laws in the ledger, the wait for our own work and the prompt cache."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from .law import Forecast
from .laws import Laws
from .ledger import Ledger, LedgerError
from .orders import Order
from .profile import Profile
from .runs import Key, processor_of, settings_of
from .runtime import Model, Query, Runtime
from .shape import shape_of
from .sizing import Size
from .texts import common

PROMPTS_KEPT = 8
"""Of each model: what its prompt cache may still hold."""

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Planned:
    """A run that waits or runs: what it was forecast to take."""

    seconds: float
    began: float | None = None

    @property
    def left_s(self) -> float:
        return (
            self.seconds if self.began is None else max(self.seconds - (time.monotonic() - self.began), 0.0)
        )


@dataclass(slots=True, kw_only=True)
class Foresight:
    """Forecasts for one runtime. A ledger that cannot be used means no forecasts, said once in the log."""

    runtime: Runtime
    _ledger: Ledger | None = None
    _laws: Laws | None = None
    _planned: dict[str, list[Planned]] = field(default_factory=dict[str, list[Planned]])
    _prompts: dict[str, deque[str]] = field(default_factory=dict[str, deque[str]])

    async def ledger(self) -> Ledger:
        """The ledger, opened on first use. Raises LedgerError."""
        if self._ledger is None:
            self._ledger = await anyio.to_thread.run_sync(Ledger.open)
            self._laws = Laws(self._ledger)
        return self._ledger

    async def laws(self) -> Laws | None:
        """The laws; None when the ledger cannot be used."""
        try:
            await self.ledger()
        except LedgerError as exc:
            log.error("no forecasts: %s", exc)
        return self._laws

    async def key(self, model: Model, num_ctx: int, profile: Profile | None = None) -> Key:
        """What a run of this model belongs to; its profile knows the processor better than the plan."""
        share = profile.gpu_share if profile else model.gpu_share if model.loaded else None
        engine = await self.runtime.engine()
        return Key(
            host=self.runtime.host + (" (simulated)" if self.runtime.note else ""),
            processor=processor_of(share),
            digest=model.digest or model.name,
            settings=settings_of({"num_ctx": num_ctx, "shift": False}),
            server=engine,
        )

    async def forecast(
        self, order: Order, model: Model, size: Size, query: Query | None, *, wait_s: float = 0.0
    ) -> Forecast | None:
        """The forecast of a run; None while nothing is known of this machine, or its durations are not its own."""
        laws = await self.laws() if self.runtime.timed else None
        if laws is None:
            return None
        shape = shape_of(
            {"model_info": model.info, "details": {"quantization_level": model.quantization}},
            model.size_bytes,
        )
        if shape is not None:
            laws.know(model.digest or model.name, shape)
        cold = _cold(model, size.num_ctx)
        cached = self._hit(model, query, size) if query is not None and not cold else 0 if cold else None
        key = await self.key(model, size.num_ctx)
        try:
            return await anyio.to_thread.run_sync(
                lambda: laws.forecast(
                    key,
                    model.name,
                    order.kind,
                    size.tokens_in,
                    cap=size.num_predict,
                    think=order.think,
                    format=order.format,
                    tokens_cached=cached,
                    cold=cold,
                    wait_s=wait_s,
                    tokens_spread=size.spread,
                )
            )
        except LedgerError as exc:
            log.error("no forecast: %s", exc)
            return None

    async def whole_prompt_s(self, model: Model, size: Size) -> float | None:
        """Seconds to read such a prompt without its cache; None while unknown."""
        laws = await self.laws() if self.runtime.timed else None
        if laws is None:
            return None
        key = await self.key(model, size.num_ctx)
        try:
            return await anyio.to_thread.run_sync(lambda: laws.law(key).expected_prefill_s(size.tokens_in))
        except LedgerError:
            return None

    def wait_s(self, model: str) -> float:
        """How long our own earlier work on this model will still take."""
        return sum(plan.left_s for plan in self._planned.get(model, ()))

    @contextmanager
    def planned(self, model: str, seconds: float | None) -> Generator[Planned]:
        """A run others will have to wait for, from its queueing to its end."""
        plan = Planned(seconds=seconds or 0.0)
        plans = self._planned.setdefault(model, [])
        plans.append(plan)
        try:
            yield plan
        finally:
            plans.remove(plan)

    def sent(self, model: Model, query: Query) -> None:
        """The engine has read this prompt: its cache may serve the next one."""
        kept = self._prompts.setdefault(model.digest or model.name, deque(maxlen=PROMPTS_KEPT))
        kept.append(_text(query))

    def _hit(self, model: Model, query: Query, size: Size) -> int | None:
        """Prompt tokens the cache should serve; None when no prompt of ours is known to lie in it."""
        kept = self._prompts.get(model.digest or model.name)
        if not kept:
            return None
        text = _text(query)
        shared = max(common(text, old) for old in kept)
        return int(size.tokens_in * shared / max(len(text), 1) * 0.98)


def _text(query: Query) -> str:
    return "\0".join(message["content"] for message in query.messages)


def _cold(model: Model, num_ctx: int) -> bool | None:
    """Whether the model must be loaded first: it is not there, or there with another context."""
    if model.loaded is None:
        return None
    return not model.loaded or (model.loaded_ctx is not None and model.loaded_ctx != num_ctx)
