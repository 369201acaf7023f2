"""What else keeps the machine busy: it may make a model on the CPU many times slower."""

from __future__ import annotations

import platform
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import anyio
import psutil

from ..engines.protocol import Runtime

_ENGINES = ("ollama", "llama-server", "llama_server")
"""Beginnings of the names of processes that run models."""


LOOK_S, FRESH_S = 0.1, 2.0
"""How long a look at the machine takes, and how long it counts."""


@dataclass(slots=True)
class Load:
    """The other programs on the machine of one engine, as far as its runs can feel them."""

    runtime: Runtime
    _looked: float = -FRESH_S
    _cores: float | None = None

    async def seen(self) -> Busy | None:
        """The machine's work so far; None where the engine runs elsewhere, or nowhere."""
        runtime = self.runtime
        if runtime.simulated or not runtime.timed or runtime.host != platform.node():
            return None
        return await anyio.to_thread.run_sync(Busy.now, runtime.pids)

    async def now(self) -> float | None:
        """Cores that everything but the engine uses now; None where that is not known."""
        if time.monotonic() - self._looked > FRESH_S:
            before = await self.seen()
            if before is None:
                return None
            await anyio.sleep(LOOK_S)
            after = await self.seen()
            self._cores = after.others_since(before) if after else None
            self._looked = time.monotonic()
        return self._cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """CPU seconds spent up to a moment, by the whole machine and by each process that runs models."""

    at: float
    everything_s: float
    engines_s: dict[int, float]

    @classmethod
    def now(cls, pids: Collection[int] = ()) -> Self:
        """Blocking, some milliseconds. `pids`: engine processes with other names."""
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted in user as well
        return cls(
            at=time.monotonic(), everything_s=sum(times) - idle - guests, engines_s=dict(_engines(pids))
        )

    def others_since(self, before: Busy) -> float | None:
        """Cores that everything but the engines kept busy on average since `before`; None for no time at all."""
        took_s = self.at - before.at
        if took_s < 0.02:  # clocks tick in hundredths
            return None
        engines_s = sum(s - before.engines_s.get(pid, 0.0) for pid, s in self.engines_s.items())
        return max(self.everything_s - before.everything_s - engines_s, 0.0) / took_s


def _engines(pids: Collection[int]) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    for process in psutil.process_iter(["name"]):
        try:
            if process.pid in pids or process.info["name"].startswith(_ENGINES):
                spent = process.cpu_times()
                found.append((process.pid, spent.user + spent.system))
        except psutil.Error:  # it ended meanwhile
            continue
    return found
