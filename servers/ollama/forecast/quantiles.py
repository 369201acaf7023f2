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
