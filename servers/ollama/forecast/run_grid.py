"""Seconds of imagined runs: a few lengths and prompt sizes are asked of the phases and stand for those around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .phase_model import Believed, Guess
from .quantiles import normal
from .token_estimates import Lengths

_SIZES = (-1.28, -0.52, 0.0, 0.52, 1.28)
_LENGTHS = tuple((i + 0.5) / 11 for i in range(11))
_FARTHEST = 4.0
_SAMPLES = 401


@dataclass(frozen=True, slots=True)
class Draw:
    """What one imagined run draws, as shares from 0 to 1 that are spread evenly over all of them."""

    load: float
    wait: float
    queue: float
    length: float
    size: float
    pace: tuple[float, float, float, float]
    """Student's t at the drawn share, as a polynomial in 1 / degrees of freedom.

    By the Cornish-Fisher expansion: within 2 % of exact for 2 degrees of freedom and up.
    """


def _draw(i: int) -> Draw:
    load, wait, length, size, queue = (i * math.sqrt(step) % 1.0 for step in (2, 3, 5, 7, 11))
    z = normal(i / _SAMPLES)
    squared = z * z
    pace = (
        z,
        z * (squared + 1) / 4,
        z * ((5 * squared + 16) * squared + 3) / 96,
        z * (((3 * squared + 19) * squared + 17) * squared - 15) / 384,
    )
    return Draw(load, wait, queue, length, size, pace)


DRAWS = tuple(map(_draw, range(1, _SAMPLES)))
"""The imagined runs of every forecast."""


def reading_area(new: int, cached: int) -> tuple[float, float]:
    """(tokens, summed depth) of reading `new` prompt tokens behind `cached` ones."""
    return float(new), new * cached + new * (new - 1) / 2


def writing_area(tokens_out: int, tokens_in: int) -> tuple[float, float]:
    """(steps, summed depth) of writing an answer behind a prompt."""
    steps = max(tokens_out - 1, 0)
    return float(steps), steps * tokens_in + steps * (steps + 1) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGrid:
    """A run's prompt, and how fast it is read and answered."""

    reading: Believed
    writing: Believed
    tokens_in: int
    cached: int
    spread: float
    """Of the prompt's size."""
    shared: float
    """Correlation of the two phases' noise."""

    def ends(self, out: Lengths, begun_s: Sequence[float]) -> list[float]:
        """When the imagined runs end that begin so late, one for each draw; sorted."""
        cells = self._cells(out)
        ends = list[float]()
        for draw, begun in zip(DRAWS, begun_s, strict=True):
            row = cells[int(draw.size * len(cells))]
            mean, spread, rare = row[int(draw.length * len(row))]
            z, a, b, c = draw.pace
            off = spread * (z + rare * (a + rare * (b + rare * c)))
            ends.append(begun + math.exp(mean + max(-_FARTHEST, min(off, _FARTHEST))))
        return sorted(ends)

    def _cells(self, out: Lengths) -> list[list[tuple[float, float, float]]]:
        """For a few prompt sizes and lengths each: mean and spread of the log seconds, and 1 / their degrees of freedom."""
        sizes = (
            [max(round(self.tokens_in * math.exp(self.spread * z)), self.cached + 1) for z in _SIZES]
            if self.spread
            else [self.tokens_in]
        )
        lengths = [round(out.at(u)) for u in _LENGTHS]
        return [[row[length] for length in lengths] for row in (self._row(size, lengths) for size in sizes)]

    def _row(self, size: int, lengths: Sequence[int]) -> dict[int, tuple[float, float, float]]:
        new, area = reading_area(size - self.cached, self.cached)
        read = self.reading.guess(new, area) if new > 0 else None
        row = dict[int, tuple[float, float, float]]()
        for length in set(lengths):
            steps, area = writing_area(length, size)
            row[length] = _both(read, self.writing.guess(steps, area) if steps > 0 else None, self.shared)
        return row


def _both(read: Guess | None, write: Guess | None, shared: float) -> tuple[float, float, float]:
    """Two phases in a row, their noise partly the same; by the shares they have of the sum."""
    if read is None or write is None:
        one = read or write or Guess(mean=-20.0, spread=0.0, freedom=1.5)
        return one.mean, one.spread, 1 / max(one.freedom, 1.5)
    first, second = math.exp(read.mean), math.exp(write.mean)
    a, b = first / (first + second) * read.spread, second / (first + second) * write.spread
    freedom = (first * read.freedom + second * write.freedom) / (first + second)
    return math.log(first + second), math.sqrt(a * a + b * b + 2 * shared * a * b), 1 / max(freedom, 1.5)
