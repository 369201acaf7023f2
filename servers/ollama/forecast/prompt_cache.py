"""The prompts an engine has just read, and how much of the next one its cache may therefore hold."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

KEPT = 8
"""Of each model."""
_SURE = 0.98
"""Of a prefix that was read before, the part that is expected to be there."""


@dataclass(slots=True)
class Prompts:
    """The last prompts of each model."""

    _read: dict[str, deque[str]] = field(default_factory=dict[str, deque[str]])

    def sent(self, model: str, prompt: str) -> None:
        """The engine has read this prompt."""
        self._read.setdefault(model, deque(maxlen=KEPT)).append(prompt)

    def share(self, model: str, prompt: str) -> float | None:
        """Share of a prompt that should come from the cache; None when nothing of ours is known to lie in it."""
        read = self._read.get(model)
        if not read:
            return None
        return _SURE * max(common(prompt, old) for old in read) / max(len(prompt), 1)


def common(a: str, b: str) -> int:
    """Characters both begin with."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low
