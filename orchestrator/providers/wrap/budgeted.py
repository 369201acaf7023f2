"""Asks only what can be paid: the dearest this call may become is set aside before it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Protocol

from anyio import CancelScope, to_thread

from ...errors import OutOfBudget
from ...events import Called, Emit, current_run, ignore
from ...types import Completion, Delta, Request, Usage
from .. import Provider
from ..catalog import Prices, cost_usd, is_loaded, is_local, loaded
from ..estimate import tokens_at_most
from . import Around

ANSWER_TOKENS = 16_000
"""Set aside for an answer without a cap. A longer one is paid all the same, and the next call refused; to cap it
here would be refused by models that write less."""


class Purse(Protocol):
    """Money that several processes share: budgets over days, labels and conversations."""

    def limits(self, labels: Mapping[str, str]) -> bool:
        """Whether any budget holds for a call with these labels."""
        ...

    def set_aside(self, model: str, usd: float, labels: Mapping[str, str]) -> Callable[[], None]:
        """Hold so much for a call; what is returned lets go of it. Raises OutOfBudget. May wait for a disk."""
        ...


@dataclass(slots=True, kw_only=True)
class Budget:
    """Money for any number of providers that share it. `limit_usd` None: no limit, only counting."""

    limit_usd: float | None
    prices: Prices | None = None  # of one's own, before the catalog's
    allow_unknown: bool = False  # call models whose price nobody knows
    purse: Purse | None = None  # budgets beyond this one
    labels: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # of every call; a run's own go before them
    spent_usd: float = field(default=0.0, init=False)
    set_aside_usd: float = field(default=0.0, init=False)
    unknown_calls: int = field(default=0, init=False)  # made without a known price: the sum is a lower bound

    @property
    def left_usd(self) -> float | None:
        """None without a limit."""
        return None if self.limit_usd is None else self.limit_usd - self.spent_usd - self.set_aside_usd


class Budgeted(Around):
    """Put it around every step of a Fallback, and each is checked at its own price. Also says what a call cost."""

    def __init__(
        self, inner: Provider, budget: Budget, *, vendor: str | None = None, emit: Emit = ignore
    ) -> None:
        super().__init__(inner)
        self.budget = budget
        self.vendor = vendor  # whose prices hold, where the provider has a name of one's own
        self.emit = emit

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        budget, model = self.budget, f"{self.name}:{request.model_name}"
        run, started = current_run.get(), monotonic()
        labels = {**self.budget.labels, **(run.labels if run else {})}
        prompt = Usage(input_tokens=tokens_at_most(request), output_tokens=0)
        most, let_go = await self._set_aside(request, model, prompt, labels)
        budget.set_aside_usd += most
        begun, usage, error = False, None, "broken off"
        try:
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    begun = True
                    if isinstance(item, Completion):
                        item = await self._billed(model, item)
                        usage, error = item.usage, None
                    yield item
        except Exception as exc:
            error = str(exc)
            raise
        finally:
            if usage is None:  # a call that breaks off after its first word has cost its prompt
                usage = Usage(cost_usd=self._cost(model, prompt) if begun else 0.0)
            budget.set_aside_usd -= most
            budget.spent_usd += usage.cost_usd or 0.0
            self.emit(
                Called(
                    run=run.run if run else None,
                    model=model,
                    usage=usage,
                    seconds=monotonic() - started,
                    error=error,
                    labels=labels,
                )
            )
            if let_go is not None:
                with CancelScope(shield=True):
                    await to_thread.run_sync(let_go)

    async def _set_aside(
        self, request: Request, model: str, prompt: Usage, labels: Mapping[str, str]
    ) -> tuple[float, Callable[[], None] | None]:
        """What this call may cost at most, where a budget holds, and what lets go of it. Raises OutOfBudget."""
        budget = self.budget
        purse = budget.purse if budget.purse and budget.purse.limits(labels) else None
        if budget.limit_usd is None and purse is None:
            return 0.0, None
        await self._ready(model)
        dearest = replace(prompt, output_tokens=request.max_tokens or ANSWER_TOKENS)
        most = self._affordable(model, self._cost(model, dearest))
        if purse is None or most == 0:  # what costs nothing goes on when all money is spent
            return most, None
        return most, await to_thread.run_sync(purse.set_aside, model, most, labels)

    async def _billed(self, model: str, done: Completion) -> Completion:
        if done.usage.cost_usd is None:
            await self._ready(model)
            done = replace(done, usage=replace(done.usage, cost_usd=self._cost(model, done.usage)))
        self.budget.unknown_calls += done.usage.cost_usd is None
        return done

    async def _ready(self, model: str) -> None:
        if not is_loaded() and not is_local(f"{self.vendor or self.name}:{model}"):
            await to_thread.run_sync(loaded)

    def _cost(self, model: str, usage: Usage) -> float | None:
        return cost_usd(model, usage, self.budget.prices, vendor=self.vendor)

    def _affordable(self, model: str, most_usd: float | None) -> float:
        """What to set aside. Raises OutOfBudget."""
        if most_usd is None and not self.budget.allow_unknown:
            raise OutOfBudget(
                f"{model} has no known price, so it cannot be paid from a budget; give it one, or allow unknown"
            )
        left = self.budget.left_usd
        if most_usd and left is not None and most_usd > left:
            raise OutOfBudget(
                f"{model} may cost up to ${most_usd:.4f} and ${max(left, 0):.4f} of ${self.budget.limit_usd:.4f} are left"
            )
        return most_usd or 0.0
