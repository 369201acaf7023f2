"""What a planned run is predicted to take: a distribution, told by its median, its interval and its odds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from ...durations import duration

_Z = 1.645
"""Standard deviations from the middle to either end of the central 90 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Predicted seconds of a planned run."""

    total_s: float
    """The median."""
    low_s: float
    high_s: float
    """The central 90 % interval."""
    wait_s: float
    load_s: float
    prefill_s: float
    decode_s: float
    """The parts of a typical run; they need not add up to the median."""
    cold: bool
    """The model has to be loaded first."""
    runs: int
    """Finished runs behind it; 0 when all is borrowed on this machine, or from runs that were stopped."""
    tokens_in: int
    tokens_cached: int
    tokens_out_p50: int
    tokens_out_p90: int
    cap: int | None
    cap_s: float | None
    """Upper bound: 95 % of runs that write up to the cap end within this."""
    ventiles: tuple[float, ...]
    """The 5, 10, ... 95 % points of the total."""

    @property
    def spread(self) -> float:
        """The standard deviation of the logarithm of the total, as its interval has it."""
        return math.log(self.high_s / self.low_s) / (2 * _Z) if self.low_s > 0 else 0.0

    @property
    def of_it_waiting(self) -> str:
        """How much of it is others' work, in words; empty where that is little."""
        much = self.wait_s > 0.3 * self.total_s
        return f", {duration(self.wait_s)} of it waiting for other work" if much else ""

    def odds(self, deadline_s: float) -> float:
        """Probability of ending within `deadline_s`, 0.02 to 0.98: the tails are not known better."""
        points = self.ventiles
        if deadline_s <= points[0]:
            return 0.05 if deadline_s == points[0] else max(0.02, 0.05 * deadline_s / points[0])
        for i, (left, right) in enumerate(pairwise(points)):
            if deadline_s <= right:
                inside = (deadline_s - left) / (right - left) if right > left else 1.0
                return 0.05 * (i + 1 + inside)
        return min(0.98, 0.95 + 0.03 * (deadline_s / points[-1] - 1))

    def __str__(self) -> str:
        behind = f"{self.runs} run{'s' * (self.runs != 1)}" if self.runs else "no finished run of its own"
        bound = (
            f"; at the cap of {self.cap:,} tokens at most {duration(self.cap_s)}"
            if self.cap_s and self.cap
            else ""
        )
        state = "cold, with its load" if self.cold else "warm"
        return f"{duration(self.total_s)} (90 %: {duration(self.low_s)} to {duration(self.high_s)}; {state}; {behind}{bound})"
