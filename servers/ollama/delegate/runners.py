"""A runner for each host: a run goes where its model is."""

from __future__ import annotations

from dataclasses import dataclass

from ..engines.protocol import Model
from ..hosts.hosts import Hosts
from .queue import Slots
from .runner import Runner


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
