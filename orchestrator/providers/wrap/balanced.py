"""Several deployments of one model: each request goes where it should be answered soonest."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic

from ...errors import (
    AuthFailed,
    NoSuchModel,
    OrchestratorError,
    OutOfBudget,
    OutOfCredit,
    Overloaded,
    ProviderError,
    Unreachable,
)
from ...events import Emit, Switched, ignore
from ...types import Completion, Delta, Request
from .. import ModelInfo, Provider, close, models_of
from .fallback import Step, all_failed, worth_passing_on

Expect = Callable[[Provider, Request], float | None]
"""Forecast seconds of a request on a provider; None when unknown."""

NEWEST_SHARE = 0.3  # of the newest measurement in the running mean

_SICK = (AuthFailed, NoSuchModel, OutOfCredit, Overloaded, Unreachable)
"""What says something about the deployment although waiting does not help; Overloaded: its breaker is open."""


@dataclass(slots=True, kw_only=True, eq=False)
class Deployment:
    step: Step
    mean_s: float | None = None  # running mean of answers; None before the first
    under_way: int = field(default=0, init=False)
    sick_until: float = field(default=0.0, init=False)


class Balanced:
    """The least expected wait wins: forecast or mean seconds, times the requests under way there plus one.

    Deployments never measured come first. Where one cannot answer the next is asked, and a sick one is
    avoided for `rest_s`, unless all are. Raises when none could answer.
    """

    def __init__(
        self,
        *deployments: Deployment | Step | Provider,
        name: str | None = None,
        expect: Expect | None = None,
        rest_s: float = 30.0,
        clock: Callable[[], float] = monotonic,
        emit: Emit = ignore,
    ) -> None:
        if not deployments:
            raise ValueError("balancing needs at least one provider")
        self.deployments = tuple(_deployment(given) for given in deployments)
        self.name = name or self.deployments[0].step.provider.name
        self.expect = expect
        self.rest_s = rest_s
        self.clock = clock
        self.emit = emit

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        failures: list[OrchestratorError] = []
        left, chosen = list(self.deployments), self.choose(request)
        while True:
            asked, started = chosen.step.asked(request), self.clock()
            chosen.under_way += 1
            try:
                async with aclosing(chosen.step.provider.stream(asked)) as items:
                    async for item in items:
                        if isinstance(item, Completion):
                            self._measured(chosen, self.clock() - started)
                        yield item
                return
            except (ProviderError, OutOfBudget) as exc:
                self._failed(chosen, exc)
                failures.append(exc)
                if not worth_passing_on(exc):
                    raise
            finally:
                chosen.under_way -= 1
            left.remove(chosen)
            if not left:
                raise all_failed(self.name, failures) from failures[-1]
            chosen = self.choose(request, left)
            new = chosen.step.asked(request).model
            self.emit(Switched(old=asked.model, new=new, reason=str(failures[-1])))

    def choose(self, request: Request, among: Sequence[Deployment] = ()) -> Deployment:
        """Where `request` would go now, of all or of those in `among`."""
        now, there = self.clock(), among or self.deployments
        well = [d for d in there if d.sick_until <= now] or there
        return min(well, key=lambda d: self._expected_s(d, request) * (d.under_way + 1) + 1e-9 * d.under_way)

    def _expected_s(self, deployment: Deployment, request: Request) -> float:
        forecast = self.expect(deployment.step.provider, request) if self.expect else None
        known = deployment.mean_s if forecast is None else forecast
        return 0.0 if known is None else known

    def _measured(self, deployment: Deployment, seconds: float) -> None:
        deployment.sick_until = 0.0
        before = deployment.mean_s
        deployment.mean_s = seconds if before is None else before + NEWEST_SHARE * (seconds - before)

    def _failed(self, deployment: Deployment, exc: OrchestratorError) -> None:
        if isinstance(exc, ProviderError) and (exc.retryable or isinstance(exc, _SICK)):
            deployment.sick_until = self.clock() + max(self.rest_s, exc.retry_after_s or 0.0)

    async def models(self) -> tuple[ModelInfo, ...]:
        found = [await models_of(d.step.provider) for d in self.deployments]
        return tuple({info.id: info for infos in found for info in infos}.values())

    async def aclose(self) -> None:
        for provider in {id(d.step.provider): d.step.provider for d in self.deployments}.values():
            await close(provider)


def _deployment(given: Deployment | Step | Provider) -> Deployment:
    match given:
        case Deployment():
            return given
        case Step():
            return Deployment(step=given)
        case _:
            return Deployment(step=Step(provider=given))
