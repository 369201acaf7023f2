"""Which model to get for this machine: the largest that fits its memory and writes fast enough to be of use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from ...durations import duration

LIBRARY = (
    ("qwen2.5-coder:0.5b", 0.4),
    ("qwen2.5-coder:1.5b", 1.0),
    ("qwen2.5-coder:3b", 1.9),
    ("qwen2.5-coder:7b", 4.7),
    ("qwen2.5-coder:14b", 9.0),
    ("qwen2.5-coder:32b", 20.0),
)
"""Names and gigabytes at ollama.com: one family in every size, whose 1.5B passes everyday edits (benchmarks/real.py)."""
_LEAST_TOKENS_PER_S = 4.0
_MOST_UNMEASURED_GB = 5.0
"""On a machine whose speed nobody has measured."""
_LINE_BITS_PER_S = 50e6
_MEMORY_SHARE, _OVERHEAD, _ROOM_GB = 0.7, 1.25, 0.5
"""Of the machine's memory; of a model's own size, while it runs; for its context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    name: str
    gb: float
    tokens_per_s: float | None
    """It should write, by what others write here; None while none was measured."""

    def __str__(self) -> str:
        memory_gb = psutil.virtual_memory().total / 1e9
        speed = f" and should write about {self.tokens_per_s:.0f} tokens/s" if self.tokens_per_s else ""
        took = duration(self.gb * 8e9 / _LINE_BITS_PER_S)
        return (
            f"{self.name} fits this machine's {memory_gb:.0f} GB{speed}; `ollama pull {self.name}` gets its "
            f"{self.gb:g} GB, in about {took} at 50 Mbit/s"
        )


def recommended(
    *, memory_bytes: float | None = None, bytes_per_s: float | None = None, here: Iterable[float | None] = ()
) -> Recommended | None:
    """The model to get; None when one of its size is there, or none fits.

    `bytes_per_s`: what models here read of themselves while they write, by their tokens a second; `here`: the sizes in
    bytes of the models there are.
    """
    memory = (memory_bytes or psutil.virtual_memory().total) / 1e9 * _MEMORY_SHARE
    fits = [(name, gb) for name, gb in LIBRARY if gb * _OVERHEAD + _ROOM_GB <= memory]
    if bytes_per_s:
        fits = [(name, gb) for name, gb in fits if bytes_per_s / (gb * 1e9) >= _LEAST_TOKENS_PER_S]
    else:
        fits = [(name, gb) for name, gb in fits if gb <= _MOST_UNMEASURED_GB]
    if not fits:
        return None
    name, gb = fits[-1]
    if any((size or 0) >= 0.75e9 * gb for size in here):
        return None
    return Recommended(name=name, gb=gb, tokens_per_s=bytes_per_s / (gb * 1e9) if bytes_per_s else None)
