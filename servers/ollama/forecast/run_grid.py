"""Seconds of imagined runs: a few lengths and prompt sizes are asked of the phases and stand for those around them."""

from __future__ import annotations

import math

from .phase_model import Guess, Phase
from .quantiles import student
from .token_estimates import Lengths

_SIZES = (-1.28, -0.52, 0.0, 0.52, 1.28)
_LENGTHS = tuple((i + 0.5) / 11 for i in range(11))
_FARTHEST = 4.0


def reading_area(new: int, cached: int) -> tuple[float, float]:
    """(tokens, summed depth) of reading `new` prompt tokens behind `cached` ones."""
    return float(new), new * cached + new * (new - 1) / 2


def writing_area(tokens_out: int, tokens_in: int) -> tuple[float, float]:
    """(steps, summed depth) of writing an answer behind a prompt."""
    steps = max(tokens_out - 1, 0)
    return float(steps), steps * tokens_in + steps * (steps + 1) / 2


class RunGrid:
    """Seconds of a run for a few lengths and prompt sizes, so that many imagined runs cost little."""

    def __init__(
        self,
        reading: Phase,
        writing: Phase,
        tokens_in: int,
        cached: int,
        out: Lengths,
        spread: float,
        shared: float,
        busy: bool | None,
    ) -> None:
        sizes = (
            [max(round(tokens_in * math.exp(spread * z)), cached + 1) for z in _SIZES]
            if spread
            else [tokens_in]
        )
        lengths = [round(out.at(u)) for u in _LENGTHS]
        self._cells: list[list[Guess]] = []
        for size in sizes:
            read = reading.guess(*reading_area(size - cached, cached), busy=busy)
            writes = {m: writing.guess(*writing_area(m, size), busy=busy) for m in set(lengths)}
            self._cells.append([_both(read, writes[m], shared) for m in lengths])

    def seconds(self, length: float, size: float, pace: float) -> float:
        """Of one imagined run; the arguments are shares from 0 to 1."""
        row = self._cells[int(size * len(self._cells))]
        cell = row[int(length * len(row))]
        off = cell.spread * student(pace, cell.freedom)
        return math.exp(cell.mean + max(-_FARTHEST, min(off, _FARTHEST)))


def _both(read: Guess | None, write: Guess | None, shared: float) -> Guess:
    """Two phases in a row, their noise partly the same; by the shares they have of the sum."""
    if read is None or write is None:
        return read or write or Guess(mean=-20.0, spread=0.0, freedom=1.5)
    first, second = math.exp(read.mean), math.exp(write.mean)
    a, b = first / (first + second) * read.spread, second / (first + second) * write.spread
    return Guess(
        mean=math.log(first + second),
        spread=math.sqrt(a * a + b * b + 2 * shared * a * b),
        freedom=(first * read.freedom + second * write.freedom) / (first + second),
    )
