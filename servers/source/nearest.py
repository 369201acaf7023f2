"""Where a text stands that somebody meant but did not write exactly: looking the same, or most like it."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence

from ..characters import alike, difference

MAX_ALIKE_CHARS = 2_000_000  # of a text in which look-alikes are sought
_LINE = re.compile(r"^line (\d+)")
_COMPARED = 120  # characters of a line
_COMPARED_IN_ALL = 2000


def look_alike(body: str, wanted: str) -> str | None:
    """Where the text that looks like `wanted` stands, and the first character that makes it another; None: nowhere."""
    if len(body) > MAX_ALIKE_CHARS or not (places := alike(body, wanted)):
        return None
    start, end = places[0]
    if body[start:end] == wanted:
        return None
    line = body.count("\n", 0, start)
    column = start - (body.rfind("\n", 0, start) + 1)
    found = body[body.rfind("\n", 0, start) + 1 : end]
    said = difference(body[start - column : start] + wanted, found)
    if not said.startswith("line "):
        said = f"line 1, {said}"
    said = _LINE.sub(lambda m: f"line {int(m[1]) + line}", said)
    others = f", as do {len(places) - 1} more places" if len(places) > 1 else ""
    return f"what stands in line {line + 1} looks the same{others}, but has at {said}"


def nearest(lines: Sequence[str], wanted: Sequence[str]) -> tuple[int, float] | None:
    """Where the wanted lines come closest, as index and likeness from 0.5 to 1; None when nowhere.

    A few places are compared, and the beginnings of their lines: comparing takes the square of their length.
    """
    stripped, goal = ([line.strip()[:_COMPARED] for line in some] for some in (lines, wanted))
    first = {line: i for i, line in reversed(list(enumerate(goal))) if line}
    votes = Counter(i - first[line] for i, line in enumerate(stripped) if line in first)
    if not votes:
        longest = max(goal, key=len)
        some = list(dict.fromkeys(stripped[:4000]))[:1000]
        close = difflib.get_close_matches(longest, some, 3, 0.6)
        votes = Counter(stripped.index(line) - goal.index(longest) for line in close)
    best: tuple[int, float] | None = None
    for start in sorted(max(start, 0) for start, _ in votes.most_common(5)):
        there = "\n".join(stripped[start : start + len(goal)])
        alike = difflib.SequenceMatcher(
            None, there[:_COMPARED_IN_ALL], "\n".join(goal)[:_COMPARED_IN_ALL], autojunk=False
        )
        share = alike.ratio()
        if share >= 0.5 and (best is None or share > best[1]):
            best = (start, share)
    return best
