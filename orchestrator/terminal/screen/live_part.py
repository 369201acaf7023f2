"""The changing rows under what stands: what each run is doing, what is being written, what waits its turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.segment import Segment

from servers.durations import duration

from ...sanitize import one_line
from .activity import cut_text, fitted
from .entries import INDENT, Entries, kind_of
from .rows import Row, beside, code_rows, prose_rows, text_rows
from .runs import Run, Runs

COLUMN = 38
"""Cells a column needs: with fewer, answers of a panel stand one under another."""
TAIL = 10
"""Rows of an answer under way."""


class LivePart:
    def __init__(self, entries: Entries, runs: Runs, clock: Callable[[], float]) -> None:
        self.entries, self.runs, self.clock, self.console = entries, runs, clock, entries.console
        self.thoughts = False  # shown while they come
        self.doing: tuple[str, float] | None = None  # what runs for the person, and since when

    def rows(self, queued: Sequence[str]) -> list[Row]:
        """`queued`: what the person typed ahead."""
        found = self._of_runs(self.runs.active())
        if self.doing is not None:
            what, since = self.doing
            told = [one_line(what, 200), duration(round(self.clock() - since))]
            found.append([Segment(f"… {fitted(told, self.console.width - 3)}", self.entries.style("dim"))])
        for line in queued:
            told = f"queued: {one_line(line, self.console.width - 10)}"
            found.append([Segment(told, self.entries.style("dim"))])
        return found

    def panel(self, run: Run) -> list[Run]:
        """The runs beside this one that fit beside it on the screen; [] when they do not."""
        beside_it = self.runs.beside(run)
        return beside_it if len(beside_it) > 1 and self._column(len(beside_it)) >= COLUMN else []

    def columns(self, panel: Sequence[Run], *, tail: bool) -> list[Row]:
        """What each has said, side by side; with `tail`, its last rows with what is being written."""
        width = self._column(len(panel))
        columns: list[list[Row]] = []
        for run in panel:
            said, before = list[Row](), ""
            for entry in run.held:
                kind = kind_of(entry)
                said += [*([[]] if before and {before, kind} != {"line"} else []), *entry(width)]
                before = kind
            if tail:
                said = [*said, *(row[INDENT - 1 :] for row in self._under_way(run, width))][-TAIL:]
            named = [self.entries.name(run.speaker), *said]
            columns.append(self.entries.barred(named, run.speaker.style))
        return beside(columns, width + INDENT)

    def _column(self, count: int) -> int:
        return (self.console.width - 2 * count) // count - INDENT

    def _of_runs(self, active: Sequence[Run]) -> list[Row]:
        if not active:
            return []
        found: list[Row] = []
        front = self.runs.front()
        panel = self.panel(front)
        if panel and not any(one.shown for one in panel):
            found += [[], *self.columns(panel, tail=True)]
        elif not front.ended:
            found += self._under_way(front, self.console.width - 3 - INDENT * front.speaker.depth)
        working = {run.parent for run in active}
        for run in active:
            waits = run.id in working and not run.activity.tools
            if not waits:
                named = len(active) > 1 or not run.shown
                found += [self._alive(run, told, named) for told in run.activity.told(self.clock())]
        return found

    def _alive(self, run: Run, told: Sequence[str], named: bool) -> Row:
        width = self.console.width - 1
        name = f"{cut_text(run.speaker.name, width // 2)} · " if named else ""
        head = f"{' ' * (INDENT * run.speaker.depth)}… {name}"
        room = width - cell_len(head)
        return [
            Segment(head, self.entries.style(run.speaker.style)),
            Segment(fitted(told, room), self.entries.style("dim")),
        ]

    def _under_way(self, run: Run, room: int) -> list[Row]:
        """The block that is being written, its last rows."""
        if run.thoughts and self.thoughts:
            body = text_rows(self.console, run.thoughts[-room * TAIL :], room, "dim italic")
        elif (block := run.blocks.open) is None:
            return []
        elif block.language is None:
            body = prose_rows(self.console, block.text[-room * TAIL * 2 :], room)
        else:
            body = code_rows(self.console, block, self.entries.theme)
        return self.entries.barred(body[-TAIL:], run.speaker.style, " " * (INDENT * run.speaker.depth))
