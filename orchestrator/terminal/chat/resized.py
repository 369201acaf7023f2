"""A prompt that leaves nothing behind when its terminal becomes narrower."""

from __future__ import annotations

from prompt_toolkit.application import Application
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output.vt100 import Vt100_Output

from ..screen.reflow import added

WIPE = "\x1b7\x1b[K\x1b[B\x1b[J\x1b8"
"""From the cursor on, the first row apart: what is wiped from the screen's first cell on, tmux keeps above it."""


def wiped_whole(app: Application[str]) -> None:
    """Let `app` wipe all its rows. It goes up by as many as it drew; a terminal that has become narrower since has
    wrapped them to more."""
    renderer, output, wipe = app.renderer, app.output, app.renderer.erase
    columns = output.get_size().columns

    def erase(leave_alternate_screen: bool = True) -> None:
        nonlocal columns
        columns = output.get_size().columns
        if (screen := renderer.last_rendered_screen) is not None:
            output.cursor_up(added(_cells(app, screen), columns))
        wipe(leave_alternate_screen)

    def before(app: Application[str]) -> None:
        if output.get_size().columns != columns:  # and nobody has told it yet
            renderer.erase(leave_alternate_screen=False)

    renderer.erase = erase
    app.before_render += before
    if isinstance(output, Vt100_Output):
        output.erase_down = lambda: output.write_raw(WIPE)


def _cells(app: Application[str], screen: Screen) -> list[int]:
    """Cells that each row takes, down to the cursor, before which the last ends."""
    cursor = screen.get_cursor_position(app.layout.current_window)
    drawn = [
        max((at + cell.width for at, cell in screen.data_buffer[row].items() if cell.char.strip()), default=0)
        for row in range(cursor.y)
    ]
    return [*drawn, cursor.x + 1]
