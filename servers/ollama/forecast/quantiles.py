"""Distributions as quantile functions: what was seen, widened where little was seen; and Student's t."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds as seen, sorted; `doubt` widens each by a log-normal factor."""

    points: tuple[float, ...]
    doubt: float = 0.0

    @classmethod
    def of(cls, seen: Iterable[float]) -> Spread:
        """Exactly what was seen; nothing seen is 0 s."""
        return cls(tuple(sorted(seen)) or (0.0,))

    @classmethod
    def around(cls, seen: Iterable[float], *, doubt: float) -> Spread:
        """What was seen, each point uncertain: by `doubt` for one, less as there are more."""
        points = tuple(sorted(seen))
        return cls(points, doubt / math.sqrt(len(points)))

    def each(self, shares: Sequence[float]) -> list[float]:
        """`at` for many shares."""
        if self.doubt:
            return [self.at(share) for share in shares]
        count, points = len(self.points), self.points
        return [points[min(int(share * count), count - 1)] for share in shares]

    def at(self, share: float) -> float:
        """The value not exceeded with probability `share`, 0 to 1."""
        place = share * len(self.points)
        index = min(int(place), len(self.points) - 1)
        if not self.doubt:
            return self.points[index]
        inside = min(max(place - index, 0.01), 0.99)  # even within a point's own share, low to high
        widened = inside if len(self.points) == 1 else 0.5 + (inside - 0.5) * 0.9
        return self.points[index] * math.exp(self.doubt * _NORMAL.inv_cdf(widened))


def normal(share: float) -> float:
    """Quantile of the standard normal distribution."""
    return _NORMAL.inv_cdf(share)


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds until work that came earlier has ended: those of several runs, added up."""

    mean_s: float = 0.0
    variance: float = 0.0

    def __add__(self, other: Wait) -> Wait:
        return Wait(self.mean_s + other.mean_s, self.variance + other.variance)

    def at(self, share: float) -> float:
        """As a log-normal: what is added up of runs that now and then take long leans to the right as they do."""
        if self.mean_s <= 0 or self.variance <= 0:
            return max(self.mean_s, 0.0)
        spread = math.log1p(self.variance / self.mean_s**2)
        return self.mean_s * math.exp(math.sqrt(spread) * _NORMAL.inv_cdf(share) - spread / 2)


NO_WAIT = Wait()


def left_of(seconds: float, spread: float, gone_s: float) -> Wait:
    """What is left of a run after `gone_s`: its median was `seconds`, `spread` the standard deviation of their logarithm.

    One that is past its median has the longer answer; how long it takes still is what the rest of its distribution says.
    """
    if seconds <= 0 or spread <= 0:
        return Wait(max(seconds - gone_s, 0.0))
    far = (math.log(gone_s) - math.log(seconds)) / spread if gone_s > 0 else -math.inf
    longer = _above(far)
    if longer < 1e-6:  # it should have ended long ago: nothing is known of the rest
        return Wait(0.1 * gone_s, (0.1 * gone_s) ** 2)
    mean, square = (
        seconds**power * math.exp((power * spread) ** 2 / 2) * _above(far - power * spread) / longer
        for power in (1, 2)
    )
    return Wait(max(mean - gone_s, 0.0), max(square - mean**2, 0.0))


def _above(far: float) -> float:
    return 0.5 * math.erfc(far / math.sqrt(2))
