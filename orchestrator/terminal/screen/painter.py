"""A terminal of two parts: what stands, and under it a few rows that change until they stand or go."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.segment import Segment, Segments

from .lines import writable
from .reflow import added
from .rows import Row, cut

HELD_ROWS = 8
"""Rows of the terminal that the changing part leaves free."""


class Painter:
    """Writes rows, and keeps the changing part below them. With `elsewhere` somebody else draws that part: a prompt."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.elsewhere: Callable[[], None] | None = None  # called when the changing part is another
        self.below: list[Row] = []
        self._drawn: Sequence[int] = ()  # cells of each row of the changing part that stands there
        self._paused = False

    @property
    def height(self) -> int:
        """Rows the changing part may take."""
        return max(self.console.height - HELD_ROWS, 1)

    def write(self, written: Sequence[Row]) -> None:
        """Rows that stay."""
        if not written:
            return
        self._wipe()
        flat = [piece for row in written for piece in (*row, Segment("\n"))]
        self._print(flat)
        if self.elsewhere is None and not self._paused:
            self._draw()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Somebody else writes under what stands."""
        self._wipe()
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def show(self, changing: Sequence[Row]) -> None:
        """Rows in place of those shown so far."""
        width = max(self.console.width - 1, 1)
        below = [cut(row, width) for row in list(changing)[-self.height :]]
        if self._paused or below == self.below:
            return
        self.below = below
        if self.elsewhere is not None:
            self.elsewhere()
        else:
            self._wipe()
            self._draw()

    def below_as_text(self) -> list[str]:
        """The changing part, with its colours as escapes."""
        found: list[str] = []
        for row in self.below:
            with self.console.capture() as captured:
                self._print(row)
            found.append(captured.get())
        return found

    def _wipe(self) -> None:
        if self._drawn:
            above = len(self._drawn) - 1 + added(self._drawn, self.console.width)
            # The first row apart: what is wiped from the screen's first cell on, tmux keeps above it.
            up, wipe = (f"\x1b[{above}A", "\x1b[K\x1b[B\x1b[J\x1b[A") if above else ("", "\x1b[J")
            self.console.file.write(f"\r{up}{wipe}")
            self._drawn = ()

    def _draw(self) -> None:
        """The cursor stays behind the last row: nothing scrolls that will be taken back."""
        flat: Row = []
        for place, row in enumerate(self.below):
            flat += [*([Segment("\n")] if place else []), *row]
        self._print(flat)
        self._drawn = [Segment.get_line_length(row) for row in self.below]
        self.console.file.flush()

    def _print(self, pieces: Sequence[Segment]) -> None:
        encoded = [Segment(writable(piece.text, self.console.encoding), piece.style) for piece in pieces]
        self.console.print(Segments(encoded), end="", soft_wrap=True, highlight=False)
