"""Several deployments of one model: each request goes where it should be answered soonest."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import monotonic

from ...errors import ProviderError
from ...types import Completion, Delta, Request
from .. import ModelInfo, Provider, close, models_of

Expect = Callable[[Provider, Request], float | None]
"""Forecast seconds of a request on a provider; None when unknown."""

NEWEST_SHARE = 0.3  # of the newest measurement in the running mean


@dataclass(slots=True, kw_only=True)
class Deployment:
    provider: Provider
    model: str | None = None  # "provider:model" to ask for; None: the one the request names
    mean_s: float | None = None  # running mean of answers; None before the first
    under_way: int = field(default=0, init=False)
    sick_until: float = field(default=0.0, init=False)


class Balanced:
    """The least expected wait wins: forecast or mean seconds, times the requests under way there plus one.

    Deployments never measured come first. One that failed is avoided for `rest_s`, unless all did. A failure
    is raised: asking again (Retrying around this) then goes to another.
    """

    def __init__(
        self,
        *deployments: Deployment | Provider,
        name: str | None = None,
        expect: Expect | None = None,
        rest_s: float = 30.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if not deployments:
            raise ValueError("balancing needs at least one provider")
        self.deployments = tuple(
            d if isinstance(d, Deployment) else Deployment(provider=d) for d in deployments
        )
        self.name = name or self.deployments[0].provider.name
        self.expect = expect
        self.rest_s = rest_s
        self.clock = clock

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        chosen = self.choose(request)
        asked = replace(request, model=chosen.model) if chosen.model else request
        started = self.clock()
        chosen.under_way += 1
        try:
            async with aclosing(chosen.provider.stream(asked)) as items:
                async for item in items:
                    if isinstance(item, Completion):
                        self._measured(chosen, self.clock() - started)
                    yield item
        except ProviderError as exc:
            if exc.retryable:
                chosen.sick_until = self.clock() + max(self.rest_s, exc.retry_after_s or 0.0)
            raise
        finally:
            chosen.under_way -= 1

    def choose(self, request: Request) -> Deployment:
        """Where `request` would go now."""
        now = self.clock()
        well = [d for d in self.deployments if d.sick_until <= now] or list(self.deployments)
        return min(well, key=lambda d: self._expected_s(d, request) * (d.under_way + 1) + 1e-9 * d.under_way)

    def _expected_s(self, deployment: Deployment, request: Request) -> float:
        forecast = self.expect(deployment.provider, request) if self.expect else None
        known = deployment.mean_s if forecast is None else forecast
        return 0.0 if known is None else known

    def _measured(self, deployment: Deployment, seconds: float) -> None:
        deployment.sick_until = 0.0
        before = deployment.mean_s
        deployment.mean_s = seconds if before is None else before + NEWEST_SHARE * (seconds - before)

    async def models(self) -> tuple[ModelInfo, ...]:
        found = [await models_of(d.provider) for d in self.deployments]
        return tuple({info.id: info for infos in found for info in infos}.values())

    async def aclose(self) -> None:
        for provider in {id(d.provider): d.provider for d in self.deployments}.values():
            await close(provider)
