"""What stands on the screen: each speaker named once, a bar before what it says, an empty row where a reader needs one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment

from ...sanitize import one_line
from .entries import INDENT, Code, Entries, Entry, kind_of
from .lines import Speaker
from .painter import Painter
from .rows import MIN_ROOM, Row, text_rows

PROMPT = "you │ "
CONTINUED = "    │ "


class Page:
    def __init__(self, entries: Entries, painter: Painter) -> None:
        self.entries, self.painter, self.console = entries, painter, painter.console
        self.last: tuple[str, ...] = ()  # whose name stands above
        self._under: str | None = None  # what the last row is: code, a block of prose, another line

    def asked(self, text: str) -> None:
        """What the person says, above its answer."""
        self.last, self._under = ("you",), None
        style = self.entries.style("bold")
        said = [
            row
            for line in text.split("\n")
            for row in text_rows(self.console, line, self.console.width - len(CONTINUED)) or [[]]
        ]
        heads = [PROMPT, *[CONTINUED] * (len(said) - 1)]
        rows: list[Row] = [[Segment(head, style), *row] for head, row in zip(heads, said, strict=True)]
        self.painter.write([[], *rows])

    def ours(self, text: str, style: str) -> None:
        """A line of nobody's."""
        self.write((), None, [self.entries.text(text, style)])

    def said_by(self, speaker: Speaker, entries: Sequence[Entry]) -> None:
        self.last = ()
        self.write((speaker.name,), speaker, entries)

    def columns(self, rows: Sequence[Row]) -> None:
        """Answers side by side, each under its name."""
        self.painter.write([[], *rows])
        self.last, self._under = (), None

    def write(self, who: tuple[str, ...], speaker: Speaker | None, entries: Sequence[Entry]) -> None:
        """Entries of one speaker, whose name is written unless it stands above already."""
        depth = speaker.depth if speaker else 0
        indent, style = " " * (INDENT * depth), speaker.style if speaker else "dim"
        room = max(self.console.width - len(indent) - INDENT, MIN_ROOM)
        written: list[Row] = []
        if speaker is not None and who != self.last:
            written += [
                [],
                *self.entries.barred([self.entries.name(speaker)], style, indent),
            ]
            self._under = None
        for entry in entries:
            written += self._rows(entry, style, indent, room)
        self.last = who
        self.painter.write(written)

    def _rows(self, entry: Entry, style: str, indent: str, room: int) -> list[Row]:
        kind = kind_of(entry)
        continued = isinstance(entry, Code) and not entry.block.begins
        apart = self._under and not continued and (kind != "line" or self._under != "line")
        found = self.entries.barred([[]], style, indent) if apart else []
        self._under = kind
        if not isinstance(entry, Code):
            return found + self.entries.barred(entry(room), style, indent)
        if entry.block.begins and entry.block.language:
            label = [Segment(one_line(entry.block.language, 40), self.entries.style("dim"))]
            found += self.entries.barred([label], style, indent)
        return found + self.entries.unbarred(entry(room), style, indent)
