"""A prompt wipes all that it drew, also where the terminal has become narrower since."""

from __future__ import annotations

import io
import re

import pytest
from prompt_toolkit.application import Application
from prompt_toolkit.application.current import set_app
from prompt_toolkit.data_structures import Point, Size
from prompt_toolkit.input import DummyInput
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.output.vt100 import Vt100_Output

from orchestrator.terminal.chat.resized import WIPE, wiped_whole


@pytest.mark.parametrize(
    ("wide", "narrow", "above"),
    [(120, 120, 2), (120, 200, 2), (120, 40, 2 + 2 + 1), (120, 100, 2 + 1), (120, 30, 2 + 3 + 1)],
)
def test_a_prompt_goes_up_by_the_rows_that_the_terminal_made_of_its_own(
    monkeypatch: pytest.MonkeyPatch, wide: int, narrow: int, above: int
) -> None:
    monkeypatch.setenv("TMUX", "one that wraps")
    assert _up(wide, narrow) == above


def test_a_terminal_that_cuts_its_rows_loses_nothing_that_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("XTERM_VERSION", "XTerm(390)")
    assert _up(120, 40) == 2


def _up(wide: int, narrow: int) -> int:
    """How far up a prompt goes that drew two rows, of 110 and 50 cells, above the one where one types."""
    columns, written = wide, io.StringIO()
    output = Vt100_Output(written, lambda: Size(rows=40, columns=columns), term="xterm", enable_cpr=False)
    text = f"{'a' * 110}\n{'b' * 50}\nyou "
    typed = FormattedTextControl(text, get_cursor_position=lambda: Point(x=3, y=2), focusable=True)
    app = Application[str](layout=Layout(Window(typed)), output=output, input=DummyInput())
    wiped_whole(app)
    with set_app(app):
        app.renderer.render(app, app.layout)
        drawn, columns = len(written.getvalue()), narrow
        app.renderer.erase()
    wiped = written.getvalue()[drawn:]
    assert WIPE in wiped
    return sum(int(rows or 1) for rows in re.findall(r"\x1b\[(\d*)A", wiped))
