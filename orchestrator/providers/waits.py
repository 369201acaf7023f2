"""How long a vendor asks to wait, from its headers, else from its words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

EPOCH = 1_000_000_000  # a larger number of seconds is a moment, not a wait
MAX_DAYS_S = 31 * 86_400.0

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_NUMBER = r"\d{1,12}(?:\.\d{1,12})?"
_UNIT = r"(?:milliseconds?|millis|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)"
_PART = re.compile(rf"({_NUMBER})\s*({_UNIT})", re.IGNORECASE)
_SPAN = rf"{_NUMBER}\s*{_UNIT}(?:\s*,?\s*(?:and\s+)?{_NUMBER}\s*{_UNIT}){{0,4}}(?![a-z])"
_ASKED = re.compile(
    r"(?:try(?:ing)? (?:your request )?again|retry(?:ing)?(?: your request)?|wait|resets?|available(?: again)?|back|refresh(?:es)?)"
    rf"(?:\s+\w+){{0,3}}?\s*(?:in|after|for|at least|of|:)?\s*(?:about |approximately |another |at least )?({_SPAN})",
    re.IGNORECASE,
)
_BARE = re.compile(rf"retry[ _-]?after['\"]?\s*[:=]?\s*['\"]?({_NUMBER})(?![\d.]*\s*[a-z])", re.IGNORECASE)


def retry_after(headers: Mapping[str, str], message: str = "") -> float | None:
    """Seconds to wait; None when the vendor does not say."""
    held = {name.lower(): value for name, value in headers.items()}
    if (milliseconds := _number(held.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    if (wait := _said(held.get("retry-after", ""))) is not None:
        return wait
    if asked := _ASKED.search(message):
        return _span(asked[1])
    if bare := _BARE.search(message):
        return _sane(float(bare[1]))
    return _reset(held)


def _reset(headers: Mapping[str, str]) -> float | None:
    """Until the limit that was reached is lifted: of several the one with nothing left, else the soonest."""
    waits: dict[str, float] = {}
    for name, value in headers.items():
        if "ratelimit" in name and "reset" in name and (wait := _said(value)) is not None:
            waits[name] = wait
    spent = [
        wait
        for name, wait in waits.items()
        if (left := headers.get(name.replace("reset", "remaining"))) is not None and _number(left) == 0
    ]
    return max(spent) if spent else min(waits.values(), default=None)


def _said(written: str) -> float | None:
    """Of seconds, `6m0s`, a date, or a moment in seconds or milliseconds since 1970."""
    text = written.strip()
    if not text:
        return None
    if (value := _number(text)) is not None:
        moment = value / 1000 if value > EPOCH * 1000 else value
        return _sane(moment - datetime.now(UTC).timestamp() if moment > EPOCH else moment)
    if re.fullmatch(_SPAN, text, re.IGNORECASE):
        return _span(text)
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            day = read(text)
            return _sane(
                (day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
            )
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _span(text: str) -> float | None:
    """The seconds of `1h3m2s`, `2 minutes and 5 seconds`, `300ms`."""
    total = 0.0
    for number, unit in _PART.findall(text):
        word = unit.lower()
        total += float(number) * _UNITS["ms" if word.startswith(("ms", "milli")) else word[0]]
    return _sane(total)


def _number(written: str) -> float | None:
    try:
        value = float(written.strip())
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _sane(seconds: float) -> float | None:
    """No wait for a moment that is past; none that nobody means."""
    return max(seconds, 0.0) if seconds < MAX_DAYS_S else None
