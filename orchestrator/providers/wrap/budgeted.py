"""Asks only what can be paid: the dearest this call may become is set aside before it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from anyio import to_thread

from ...errors import OutOfBudget
from ...types import Completion, Delta, Request, Usage
from .. import Provider
from ..catalog import Prices, cost_usd, is_local, loaded
from ..estimate import tokens_at_most
from . import Around

ANSWER_TOKENS = 16_000
"""Set aside for an answer without a cap. A longer one is paid all the same, and the next call refused; to cap it
here would be refused by models that write less."""


@dataclass(slots=True, kw_only=True)
class Budget:
    """Money for any number of providers that share it. `limit_usd` None: no limit, only counting."""

    limit_usd: float | None
    prices: Prices | None = None  # of one's own, before the catalog's
    allow_unknown: bool = False  # call models whose price nobody knows
    spent_usd: float = field(default=0.0, init=False)
    set_aside_usd: float = field(default=0.0, init=False)
    unknown_calls: int = field(default=0, init=False)  # made without a known price: the sum is a lower bound

    @property
    def left_usd(self) -> float | None:
        """None without a limit."""
        return None if self.limit_usd is None else self.limit_usd - self.spent_usd - self.set_aside_usd


class Budgeted(Around):
    """Put it around every step of a Fallback, and each is checked at its own price. Also says what a call cost."""

    def __init__(self, inner: Provider, budget: Budget, *, vendor: str | None = None) -> None:
        super().__init__(inner)
        self.budget = budget
        self.vendor = vendor  # whose prices hold, where the provider has a name of one's own

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        budget, model = self.budget, f"{self.name}:{request.model_name}"
        prompt = Usage(input_tokens=tokens_at_most(request), output_tokens=0)
        most = 0.0
        if budget.limit_usd is not None:
            await self._ready(model)
            dearest = replace(prompt, output_tokens=request.max_tokens or ANSWER_TOKENS)
            most = self._affordable(model, self._cost(model, dearest))
        budget.set_aside_usd += most
        begun, billed = False, None
        try:
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    begun = True
                    if isinstance(item, Completion):
                        item = await self._billed(model, item)
                        billed = item.usage.cost_usd or 0.0
                    yield item
        finally:
            if begun and billed is None:  # a call that breaks off after its first word has cost its prompt
                billed = self._cost(model, prompt)
            budget.set_aside_usd -= most
            budget.spent_usd += billed or 0.0

    async def _billed(self, model: str, done: Completion) -> Completion:
        if done.usage.cost_usd is None:
            await self._ready(model)
            done = replace(done, usage=replace(done.usage, cost_usd=self._cost(model, done.usage)))
        self.budget.unknown_calls += done.usage.cost_usd is None
        return done

    async def _ready(self, model: str) -> None:
        if not is_local(f"{self.vendor or self.name}:{model}"):
            await to_thread.run_sync(loaded)

    def _cost(self, model: str, usage: Usage) -> float | None:
        return cost_usd(model, usage, self.budget.prices, vendor=self.vendor)

    def _affordable(self, model: str, most_usd: float | None) -> float:
        """What to set aside. Raises OutOfBudget."""
        left = self.budget.left_usd or 0.0
        if most_usd is None and not self.budget.allow_unknown:
            raise OutOfBudget(
                f"{model} has no known price, so it cannot be paid from a budget; give it one, or allow unknown"
            )
        if most_usd is not None and most_usd > left:
            raise OutOfBudget(
                f"{model} may cost up to ${most_usd:.4f} and ${max(left, 0):.4f} of ${self.budget.limit_usd:.4f} are left"
            )
        return most_usd or 0.0
