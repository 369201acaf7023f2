"""Everything one ollama server works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from ..shell.policy.rules import Policy
from ..workspace import Workspace
from .delegate.delegate import Delegator
from .delegate.estimate import Estimate, estimate
from .delegate.job_store import JobStore
from .delegate.jobs import Jobs
from .delegate.map import Mapper
from .delegate.map_estimate import estimate_map
from .delegate.map_order import MapOrder
from .delegate.options import Estimator
from .delegate.request import Order
from .delegate.runners import Runners
from .gates.staging import Staging
from .hosts.hosts import Hosts
from .ledger.receipt import Receipt
from .reports.briefing import Briefing
from .reports.overview import Overview


@dataclass(slots=True, kw_only=True)
class Service:
    """The parts of one server, sharing their hosts, one workspace and one ledger."""

    hosts: Hosts
    overview: Overview
    estimator: Estimator
    delegator: Delegator
    mapper: Mapper
    briefing: Briefing
    jobs: Jobs[Receipt]

    @classmethod
    def open(cls, workspace: Workspace, hosts: Hosts, policy: Policy) -> Self:
        runners = Runners.on(hosts)
        estimator = Estimator(hosts=hosts, workspace=workspace, runners=runners)
        staging = Staging(workspace=workspace, policy=policy)
        delegator = Delegator(
            hosts=hosts, workspace=workspace, runners=runners, staging=staging, estimator=estimator
        )
        overview = Overview(hosts=hosts)
        mapper = Mapper(workspace=workspace, delegator=delegator)
        return cls(
            hosts=hosts,
            overview=overview,
            estimator=estimator,
            delegator=delegator,
            mapper=mapper,
            briefing=Briefing(overview=overview),
            jobs=Jobs(JobStore("\n".join(sorted(str(root.path) for root in workspace.all_roots())))),
        )

    def close(self) -> None:
        """End everything that runs outside this process; from any thread."""
        self.hosts.close()
        self.delegator.staging.close()
        self.jobs.store.close()

    async def estimate(self, order: Order, each: str | None = None) -> Estimate:
        """Forecasts of an order, or of a map of it, without running anything. `each`: a glob, or "files" for the order's."""
        if not each:
            return await estimate(self.estimator, order)
        return await estimate_map(self.mapper, MapOrder(order=order, glob=None if each == "files" else each))
