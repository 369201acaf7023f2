"""Asks only what can be paid: the dearest this call may become is set aside before it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from ...errors import OutOfBudget
from ...types import Completion, Delta, Request, Usage
from .. import Provider
from ..catalog import Prices, cost_usd, priced
from ..estimate import tokens_at_most
from . import Around

ANSWER_TOKENS = 16_000
"""Set aside for an answer without a cap."""


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

    def __init__(self, inner: Provider, budget: Budget) -> None:
        super().__init__(inner)
        self.budget = budget

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        budget, model = self.budget, f"{self.name}:{request.model_name}"
        prompt = Usage(input_tokens=tokens_at_most(request), output_tokens=0)
        most = cost_usd(
            model, replace(prompt, output_tokens=request.max_tokens or ANSWER_TOKENS), budget.prices
        )
        self._check(model, most)
        budget.set_aside_usd += most or 0.0
        billed = 0.0  # a call that breaks off after its first word has cost its prompt
        try:
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    if isinstance(item, Completion):
                        item = priced(item, budget.prices)
                        billed = item.usage.cost_usd or 0.0
                        budget.unknown_calls += item.usage.cost_usd is None
                    elif not billed:
                        billed = cost_usd(model, prompt, budget.prices) or 0.0
                    yield item
        finally:
            budget.set_aside_usd -= most or 0.0
            budget.spent_usd += billed

    def _check(self, model: str, most_usd: float | None) -> None:
        left = self.budget.left_usd
        if left is None:
            return
        if most_usd is None:
            if self.budget.allow_unknown:
                return
            raise OutOfBudget(
                f"{model} has no known price, so it cannot be paid from a budget; give it one, or allow unknown"
            )
        if most_usd > left:
            raise OutOfBudget(
                f"{model} may cost up to ${most_usd:.4f} and ${max(left, 0):.4f} of ${self.budget.limit_usd:.4f} are left"
            )
