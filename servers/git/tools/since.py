"""git reads any text as a date, and what it does not understand as now: what it would misread is refused here."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from itertools import permutations

from ...output import ToolError, one_line
from ..safe.git import Git

_PREFIXED = (
    *(
        [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ]
    ),
    *(["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]),
)
"""Names that git takes from their third letter on."""
_UNITS = frozenset(["second", "minute", "hour", "day", "week", "month", "year"])
_WORDS = frozenset(
    [
        "ago",
        "last",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "yesterday",
        "today",
        "noon",
        "midnight",
        "tea",
        "am",
        "pm",
        "never",
        "now",
        "t",
        "z",
        "utc",
        "gmt",
        "est",
        "edt",
        "cst",
        "cdt",
        "mst",
        "mdt",
        "pst",
        "pdt",
        "cet",
        "cest",
        "bst",
        "wet",
        "eet",
        "ist",
        "jst",
        "st",
        "nd",
        "rd",
        "th",
        "the",
        "of",
        "at",
        "on",
        "in",
        "and",
    ]
)
_LETTERS = re.compile(r"[^\W\d_]+")
_DATE = re.compile(r"(?<!\d)(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})(?!\d)")
_WORKS = "2026-01-31, 2026-01-31T08:00, '2 weeks ago', 'last monday' and 'yesterday' work"


def read_since(git: Git, text: str) -> str:
    """The moment git takes a text for, for people to read. ToolError when it would be read as something else."""
    strange = next((word for word in _LETTERS.findall(text) if not _known(word.lower())), "")
    if strange:
        what = "" if strange == text else f"; git does not know {one_line(strange)[:60]!r} in it"
        raise ToolError(f"since {one_line(text)[:200]!r} is no date{what}; {_WORKS}")
    for first, _, second, third in _DATE.findall(text):
        if not _is_day((int(first), int(second), int(third))):
            raise ToolError(f"since {one_line(text)[:200]!r} names a day that no calendar has; {_WORKS}")
    now, meant = re.findall(rb"--max-age=(\d+)", git("rev-parse", "--since=now", f"--since={text}"))
    if abs(int(now) - int(meant)) <= 1 and text.strip().lower() != "now":
        raise ToolError(f"git reads since {one_line(text)[:200]!r} as now, which leaves nothing; {_WORKS}")
    return f"{datetime.fromtimestamp(min(int(meant), 1 << 37), UTC):%Y-%m-%d %H:%M} UTC"


def _known(word: str) -> bool:
    return (
        word in _WORDS
        or word.removesuffix("s") in _UNITS
        or (len(word) >= 3 and any(name.startswith(word) for name in _PREFIXED))
    )


def _is_day(numbers: tuple[int, int, int]) -> bool:
    """Whether some order of the numbers is a day: which one is the year or the month differs between lands."""
    for year, month, day in permutations(numbers):
        try:
            date(year if year > 99 else 2000 + year, month, day)
        except ValueError:
            continue
        return True
    return False
