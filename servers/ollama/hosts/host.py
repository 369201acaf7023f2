"""One place where models run: its engine, its forecasts, and whether it answers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from ..engines.protocol import EngineError, Model, Runtime
from ..forecast.forecaster import Forecaster

DOWN_S = (1.0, 30.0)
"""How long a host that failed is left alone: the first time, and at most."""


@dataclass(slots=True)
class Availability:
    """Whether a host answers: one that failed is left alone for a while, longer each time."""

    why: str | None = None
    """Its last failure, until it answers again."""
    _until: float = 0.0
    _pause_s: float = DOWN_S[0]

    @property
    def is_up(self) -> bool:
        return time.monotonic() >= self._until

    def failed(self, why: str) -> None:
        self.why, self._until = why, time.monotonic() + self._pause_s
        self._pause_s = min(self._pause_s * 2, DOWN_S[1])

    def recovered(self) -> None:
        self.why, self._pause_s = None, DOWN_S[0]


@dataclass(slots=True, kw_only=True)
class Host:
    """`name` is empty where there is only one."""

    name: str
    runtime: Runtime
    forecaster: Forecaster
    slots: int = 1
    usd_per_hour: float | None = None
    availability: Availability = field(default_factory=Availability)

    async def models(self) -> list[Model]:
        """Its models, each knowing where it is. Raises EngineError, and is down then."""
        try:
            found = await self.runtime.models()
        except EngineError as exc:
            self.availability.failed(str(exc))
            raise
        self.availability.recovered()
        return [replace(model, host=self.name) for model in found]


def hosts_on(engines: Sequence[tuple[str, Runtime, int, float | None]]) -> list[Host]:
    """Hosts from (name, engine, slots, price an hour). Those of one machine are told apart by their ports.

    Each may have a graphics card of its own, so each has speeds of its own.
    """
    machines = [runtime.host for _, runtime, _, _ in engines]
    return [
        Host(
            name=name,
            runtime=runtime,
            forecaster=Forecaster(
                runtime=runtime,
                machine=runtime.host if machines.count(runtime.host) == 1 else _with_port(runtime),
                slots=slots,
            ),
            slots=slots,
            usd_per_hour=usd_per_hour,
        )
        for name, runtime, slots, usd_per_hour in engines
    ]


def _with_port(runtime: Runtime) -> str:
    port = urlsplit(runtime.url).port if runtime.url else None
    return f"{runtime.host}:{port}" if port else runtime.host
