"""Lines on a terminal or in a file, each beginning with the name of who says it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.segment import Segment, Segments

from ...sanitize import visible

MIN_ROOM = 20  # cells for what is said, however long the name
_HELD = 40  # cells: a word longer than this does not wait for its end
_ASCII = str.maketrans({"│": "|", "→": "->", "←": "<-", "⇒": "=>", "✗": "x", "✓": "ok", "·": ";", "…": "..."})


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """Who says a line: `lead anthropic:claude-x │ ` in front of it, in its colour."""

    name: str
    style: str = ""
    depth: int = 0

    @property
    def prefix(self) -> str:
        return f"{'  ' * self.depth}{self.name} │ "


class Lines:
    """Writes whole lines, and text as it comes; on a terminal long lines are wrapped under their name.

    At most one line is open: whatever else is written ends it first.
    """

    def __init__(self, console: Console, *, styled: bool = True) -> None:
        self.console = console
        self.styled = styled and console.is_terminal  # elsewhere styles are nothing, and a broken pipe is one
        self.open: tuple[Speaker, str] | None = None  # whose line is being written, in which style
        self._room: int | None = None  # cells for what is said on a line; None: no limit, in a file
        self._column = 0  # cells written after the prefix
        self._held = ""  # the word under way, until it is known whether it fits
        self._carry = ""  # a carriage return that may belong to a line feed
        self._status = False  # a line that the next one replaces
        self._gathered: list[tuple[list[str], str]] = []

    def line(self, speaker: Speaker, text: str, style: str = "") -> None:
        """One line for each line of `text`."""
        self._end()
        self._write(speaker, text.removesuffix("\n") + "\n", style)
        self._show()

    def write(self, speaker: Speaker, text: str, style: str = "") -> None:
        """A fragment; it goes on where the last one of this speaker in this style stopped."""
        self._write(speaker, text, style)
        self._show()

    def _write(self, speaker: Speaker, text: str, style: str) -> None:
        if self.open is not None and self.open != (speaker, style):
            self._end()
        self._room = self._room_of(speaker)
        text = self._carry + text
        self._carry = "\r" if text.endswith("\r") else ""
        text = visible(text.removesuffix("\r").replace("\r\n", "\n"))
        for piece in re.findall(r"\n|[^\S\n]+|\S+", text):
            if piece == "\n":
                self._begin(speaker, style)
                self._flush()
                self._finish()
            elif self._room is None:
                self._begin(speaker, style)
                self._put(piece, style)
            elif piece.isspace():
                self._begin(speaker, style)
                self._flush()
                self._space(piece.expandtabs(4))
            else:
                self._begin(speaker, style)
                self._held += piece
                if cell_len(self._held) > _HELD:
                    self._flush()

    def end(self) -> None:
        """Close the open line, if there is one."""
        self._end()
        self._show()

    def _end(self) -> None:
        if self.open is not None:
            self._flush()
            self._finish()
        self._carry = ""

    def status(self, speaker: Speaker, text: str) -> None:
        """A passing line: on a terminal it is replaced by what comes next, elsewhere it is not written."""
        if self.console.is_terminal and self.open is None:
            room = max(self.console.width - cell_len(speaker.prefix) - 1, MIN_ROOM)
            self._clear()
            self._print(speaker.prefix, speaker.style)
            self._print(chop_cells(visible(text), room)[0] if text else "", "dim")
            self._show()
            self._status = True

    def clear(self) -> None:
        """Take a passing line away."""
        self._clear()

    def _room_of(self, speaker: Speaker) -> int | None:
        if not self.console.is_terminal:
            return None
        return max(self.console.width - cell_len(speaker.prefix), MIN_ROOM)

    def _begin(self, speaker: Speaker, style: str) -> None:
        if self.open is None:
            self._clear()
            self.open, self._column = (speaker, style), 0
            self._print(speaker.prefix, speaker.style)

    def _finish(self) -> None:
        self._print("\n", "")
        self.open = None

    def _wrapped(self) -> None:
        assert self.open is not None
        speaker, style = self.open
        self._finish()
        self._begin(speaker, style)

    def _flush(self) -> None:
        """Write the held word, on the next line when it does not fit, in pieces when no line holds it."""
        held, self._held = self._held, ""
        if not held or self.open is None:
            return
        style, room = self.open[1], self._room or MIN_ROOM
        if self._column and self._column + cell_len(held) > room:
            self._wrapped()
        first, *rest = chop_cells(held, room)
        self._put(first, style)
        for piece in rest:
            self._wrapped()
            self._put(piece, style)

    def _space(self, piece: str) -> None:
        assert self.open is not None
        room = self._room or MIN_ROOM
        if self._column + len(piece) >= room:
            self._wrapped()
        else:
            self._put(piece, self.open[1])

    def _put(self, piece: str, style: str) -> None:
        self._column += cell_len(piece)
        self._print(piece, style)

    def _clear(self) -> None:
        if self._status:
            self.console.file.write("\r\x1b[K")
            self._status = False

    def _print(self, text: str, style: str) -> None:
        """Gathered, and written by `_show`: a call of the console costs as much as a thousand characters."""
        if self._gathered and self._gathered[-1][1] == style:
            self._gathered[-1][0].append(text)
        elif text:
            self._gathered.append(([text], style))

    def _show(self) -> None:
        pieces = [(writable("".join(texts), self.console.encoding), style) for texts, style in self._gathered]
        self._gathered.clear()
        if self.styled:
            styled = Segments(
                [Segment(text, self.console.get_style(style or "none")) for text, style in pieces]
            )
            self.console.print(styled, end="", soft_wrap=True, highlight=False)
        else:
            self.console.file.write("".join(text for text, _ in pieces))
            self.console.file.flush()


def writable(text: str, encoding: str) -> str:
    """`text` with what the encoding of the screen has not as ASCII or as escapes."""
    if encoding.lower().replace("-", "") == "utf8":
        return text
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
