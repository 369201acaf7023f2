"""Which waiting order an idle host should take, so that all of them end soonest.

Longest first, each to whoever is idle; a slow host leaves an order alone that the others would finish sooner
(list scheduling on unrelated machines with the last orders kept for the fast ones: Graham 1969 for the rule,
Ibarra and Kim 1977 for unlike machines). Where nothing is known of a host's speed it takes the first in line.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

Seconds = Callable[[str, "Kind"], float | None]
"""How long a host takes for an order of a kind; None when nothing is known, infinity when it cannot."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Orders that take about the same on the same host."""

    group: tuple[str, tuple[str, ...], str, str | None]
    """Model, tags, kind of task, format of the answer: what decides who can take it, and how fast."""
    bucket: int
    """Its size: each bucket is a half larger than the one before."""

    @property
    def size(self) -> float:
        """Characters in the middle of the bucket."""
        return _STEP ** (self.bucket + 0.5)


_STEP = 1.5


def bucket_of(size: int) -> int:
    return int(math.log(max(size, 1), _STEP))


@dataclass(slots=True)
class Schedule:
    """The orders nobody has. `seconds` is asked again at each choice: it learns while the batch runs."""

    seconds: Seconds
    _lines: dict[tuple[int, Kind], deque[str]] = field(default_factory=dict[tuple[int, Kind], deque[str]])

    def add(self, key: str, kind: Kind, priority: int = 0, *, first: bool = False) -> None:
        """Let an order wait. `first`: before its like."""
        line = self._lines.setdefault((priority, kind), deque())
        (line.appendleft if first else line.append)(key)

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def kinds(self) -> dict[Kind, int]:
        """How many wait of each kind."""
        found: dict[Kind, int] = {}
        for (_, kind), line in self._lines.items():
            found[kind] = found.get(kind, 0) + len(line)
        return found

    def take(self, host: str, others: Mapping[str, AtWork]) -> tuple[str, Kind] | None:
        """The order `host` should begin now; None when it should wait for another to come or to go.

        `others`: the hosts at work besides it.
        """
        able = [
            (priority, mine, kind)
            for priority, kind in self._lines
            if (mine := self.seconds(host, kind)) != math.inf
        ]
        if not able:
            return None
        top = max(priority for priority, _, _ in able)
        able.sort(key=lambda one: -(one[1] or one[2].size))
        for priority, mine, kind in able:
            if priority != top:
                continue  # a smaller priority waits until the larger one is taken
            rest_s = self.ends_s(others, kind)
            if mine is None or rest_s is None or mine <= rest_s:
                return self._pop(priority, kind), kind
        return None

    def ends_s(self, hosts: Mapping[str, AtWork], needs: Kind | None = None) -> float | None:
        """When these hosts would have finished all that waits and runs, sharing it without a rest.

        Not before one of them could have finished an order of the kind `needs`, which cannot be shared. None when a
        speed is not known, and when none of them can take that order.
        """
        rate, begun, kinds = 0.0, 1.0, self.kinds()
        one_s = math.inf
        for name, host in hosts.items():
            each = {kind: self.seconds(name, kind) for kind in kinds}
            if None in each.values():
                return None
            whole = sum(
                count * (each[kind] or 0.0) for kind, count in kinds.items() if each[kind] != math.inf
            )
            if needs is not None:
                one_s = min(one_s, host.left_s + (each.get(needs) or 0.0))
            if whole > 0:
                rate += host.slots / whole
                begun += host.left_s * host.slots / whole
        if needs is not None and one_s == math.inf:
            return None
        shared_s = begun / rate if rate else max((host.left_s for host in hosts.values()), default=0.0)
        return shared_s if needs is None else max(shared_s, one_s)

    def remove(self, kind: Kind) -> list[str]:
        """Take every order of a kind out."""
        found = [place for place in self._lines if place[1] == kind]
        return [key for place in found for key in self._lines.pop(place)]

    def leave_out(self, keys: Collection[str]) -> None:
        """Take these orders out, wherever they wait."""
        for place, line in [*self._lines.items()]:
            self._lines[place] = deque(key for key in line if key not in keys)
            if not self._lines[place]:
                del self._lines[place]

    def _pop(self, priority: int, kind: Kind) -> str:
        line = self._lines[priority, kind]
        key = line.popleft()
        if not line:
            del self._lines[priority, kind]
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """A host at work."""

    slots: int
    left_s: float
    """What is left of what it runs, for each slot on average."""
