"""What a terminal shows after it was written to: as much of one as our screen uses."""

from __future__ import annotations

import re

from rich.cells import cell_len

_PIECE = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|\x1b\[\?\d+[hl]|(\r)|(\n)|([^\x1b\r\n]+)")


def screen(written: str, width: int = 80) -> list[str]:
    """The rows, everything that scrolled away included; written text wraps at `width` cells."""
    rows, row, column = [""], 0, 0
    for number, kind, carriage, feed, text in _PIECE.findall(written):
        if carriage:
            column = 0
        elif feed:
            row, column = row + 1, 0
        elif kind == "A":
            row = max(row - int(number or 1), 0)
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
