"""Durations as people write them."""

from __future__ import annotations

import math

_STEPS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def duration(seconds: float, *, up: bool = False) -> str:
    """0.05 s, 2.4 s, 45 s, 2 min 30 s, 20 min, 1 h 40 min, 2 d 3 h; `up` never says less than it is."""
    if not math.isfinite(seconds):
        return "no end" if seconds > 0 else "? s"
    rounded = math.ceil if up else round
    if seconds < 9.95:
        digits = 1 if seconds >= 0.95 else min(1 - math.floor(math.log10(seconds)), 4) if seconds > 0 else 0
        short = rounded(max(seconds, 0) * 10**digits) / 10**digits
        return f"{short:.{digits}f}".rstrip("0").rstrip(".") + " s" if digits else "0 s"
    for number, (unit, size) in enumerate(_STEPS):
        smaller = _STEPS[number + 1] if number + 1 < len(_STEPS) else None
        step = smaller[1] if smaller and seconds < 10 * size else size
        whole = rounded(seconds / step) * step
        if unit == "s" or (whole >= size and seconds > 100):
            rest = whole % size
            return f"{whole // size} {unit}" + (
                f" {rest // smaller[1]} {smaller[0]}" if smaller and rest else ""
            )
    raise AssertionError  # "s" always returns
