"""When a batch will be done: a median and the interval that holds the end in nine of ten cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_90 = 1.645
"""Standard deviations on either side that hold 90 %."""
FEW = 3
"""Endings below which a pace is no pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Seconds from now."""

    about_s: float
    low_s: float
    high_s: float


def by_forecast(about_s: float, left: int, ratios: Sequence[float], spread: float) -> Finish:
    """From what the speed model says of the `left` orders, corrected by how it did in this batch.

    `ratios`: measured over forecast seconds of orders that ended. `spread`: the standard deviation of the logarithm
    of one forecast's error. Until orders have ended all of it may be common to all, and no number of them averages
    it out.
    """
    logs = [math.log(ratio) for ratio in ratios if ratio > 0]
    count = len(logs)
    shift = sum(logs) / (count + 1)
    variance = (spread**2 + sum((one - shift) ** 2 for one in logs)) / (count + 1)
    wide = _90 * math.sqrt(variance * (1 / (count + 1) + 1 / max(left, 1)))
    return _around(about_s * math.exp(shift), wide)


def by_pace(ended: int, took_s: float, left: int) -> Finish | None:
    """From how many ended in how many seconds, as if they ended by chance; None while that is too few to tell."""
    if left <= 0:
        return Finish(about_s=0.0, low_s=0.0, high_s=0.0)
    if ended < FEW or took_s <= 0:
        return None
    return _around(took_s * left / ended, _90 * math.sqrt(1 / ended + 1 / left))


def _around(about_s: float, wide: float) -> Finish:
    return Finish(about_s=about_s, low_s=about_s * math.exp(-wide), high_s=about_s * math.exp(wide))
