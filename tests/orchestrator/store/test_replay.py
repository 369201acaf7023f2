"""R50, R92: a kept conversation is shown once more as it was on the screen."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from rich.console import Console

from orchestrator.config.models import DisplaySettings
from orchestrator.events import Event, RunStarted, tee
from orchestrator.store.recorder import Recorder
from orchestrator.store.records import is_main
from orchestrator.store.replay import replay
from orchestrator.store.store import Store
from orchestrator.terminal.display import Display
from tests.conversations import turn_of, turns
from tests.screens import screen


def drawn(form: str, show: Callable[[Display], None]) -> list[str]:
    file = io.StringIO()
    console = Console(
        file=file,
        width=60,
        height=40,
        force_terminal=form == "rich",
        _environ={"TERM": "xterm"},
        highlight=False,
    )
    show(Display(console, DisplaySettings.model_validate({"format": form})))
    return screen(file.getvalue(), 60) if form == "rich" else file.getvalue().splitlines()


def told(display: Display, events: Iterable[Event]) -> None:
    for event in events:
        if isinstance(event, RunStarted) and is_main(event):
            display.asked(event.prompt)
        display(event)


@settings(max_examples=12)
@given(turns)
def test_a_replay_draws_the_screen_that_was_there(
    tmp_path_factory: pytest.TempPathFactory, told_turns: list[Any]
) -> None:
    store = Store(tmp_path_factory.mktemp("replay") / "c.sqlite")
    recorder, seen = Recorder(store), list[Event]()
    emit = tee(recorder, seen.append)
    for turn in told_turns:
        turn_of(turn, emit)
    assert recorder.session is not None
    for form in ("plain", "markdown", "rich"):
        live = drawn(form, lambda display: told(display, seen))
        again = drawn(form, lambda display: told(display, replay(store, recorder.session or "")))
        assert again == live
    store.close()
