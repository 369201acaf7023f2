"""A runner for each host, and one way to all of them: a run goes where its model is."""

from __future__ import annotations

from dataclasses import dataclass

from ..engines.protocol import Model
from ..forecast.forecaster import RunPlan
from ..hosts.hosts import Hosts
from ..ledger.receipt import Gated
from .jobs import Progress
from .queue import Slots
from .request import Prepared
from .runner import Ran, Runner


@dataclass(frozen=True, slots=True)
class Runners:
    """By name of the host."""

    by_host: dict[str, Runner]

    @classmethod
    def on(cls, hosts: Hosts) -> Runners:
        return cls(
            {
                host.name: Runner(
                    runtime=host.runtime, forecaster=host.forecaster, slots=Slots(parallel=host.slots)
                )
                for host in hosts.all
            }
        )

    def of(self, model: Model) -> Runner:
        return self.by_host[model.host]

    async def run(
        self,
        prepared: Prepared,
        model: Model,
        progress: Progress,
        *,
        failure: str | None = None,
        answer: str | None = None,
        left_s: float | None = None,
    ) -> Ran:
        """As Runner."""
        return await self.of(model).run(
            prepared, model, progress, failure=failure, answer=answer, left_s=left_s
        )

    async def plan(self, prepared: Prepared, model: Model, *, odds: float | None = None) -> RunPlan | None:
        """As Runner."""
        return await self.of(model).plan(prepared, model, odds=odds)

    async def record(self, ran: Ran, gated: Gated | None) -> Ran:
        """As Runner."""
        return await self.of(ran.model).record(ran, gated)

    async def advise(self, ran: Ran) -> Ran:
        """As Runner."""
        return await self.of(ran.model).advise(ran)

    async def complete(self, ran: Ran, *, tokens_without: int, tokens_spent: int) -> None:
        """As Runner."""
        await self.of(ran.model).complete(ran, tokens_without=tokens_without, tokens_spent=tokens_spent)
