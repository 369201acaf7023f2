"""What a terminal shows after it was written to: as much of one as our screen uses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len

_PIECE = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|\x1b\[\?\d+[hl]|(\r)|(\n)|([^\x1b\r\n]+)")


def narrowed(rows: Sequence[str], width: int) -> list[str]:
    """What most terminals make of rows that no longer fit: they go on in the next one."""
    return [row[at : at + width] for row in rows for at in range(0, max(len(row), 1), width)]


def screen(written: str, width: int = 80, before: Sequence[str] = ("",)) -> list[str]:
    """The rows, everything that scrolled away included; written text wraps at `width` cells. The cursor was behind
    the rows `before`."""
    rows, row, column = [*before], len(before) - 1, len(before[-1])
    for number, kind, carriage, feed, text in _PIECE.findall(written):
        if carriage:
            column = 0
        elif feed:
            row, column = row + 1, 0
        elif kind == "A":
            row = max(row - int(number or 1), 0)
        elif kind == "B":
            row = min(row + int(number or 1), len(rows) - 1)
        elif kind == "J":
            rows = [*rows[:row], rows[row][:column]]
        elif kind == "K":
            rows[row] = rows[row][:column]
        for character in text:
            if column and column + cell_len(character) > width:
                row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
            rows[row] = rows[row][:column].ljust(column) + character + rows[row][column + 1 :]
            column += 1
        rows += [""] * (row + 1 - len(rows))
    return [one.rstrip() for one in rows]
