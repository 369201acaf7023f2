"""R50, R92: a kept conversation is shown once more as it was on the screen."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.agent import Agent, run
from orchestrator.config.models import DisplaySettings
from orchestrator.errors import OrchestratorError, Overloaded
from orchestrator.events import Event, RunStarted, tee
from orchestrator.providers.scripted import Scripted
from orchestrator.store.recorder import Recorder
from orchestrator.store.replay import replay
from orchestrator.store.store import Store, is_main
from orchestrator.terminal.display import Display
from orchestrator.types import Message, Thinking, ToolCall, ToolResult, ToolSpec, assistant, result
from tests.screens import screen


class Box:
    """One tool that answers, one that fails, one that asks a worker."""

    specs = tuple(
        ToolSpec(name=name, description="", parameters={"type": "object"})
        for name in ("echo", "fail", "worker")
    )

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self.emit = emit

    async def call(self, call: ToolCall, progress: Any = None) -> ToolResult:
        if call.name != "worker":
            return result(call, f"{call.name} says:\n- {call.arguments}", is_error=call.name == "fail")
        worker = Agent(name="helper", model="scripted:w", role="worker")
        reply = await run(
            worker, "help", provider=Scripted(assistant(Thinking(text="hm"), "so")), emit=self.emit
        )
        return result(call, reply.text)


words = st.text(st.sampled_from("ab \n*`#|─é"), max_size=30)
calls = st.lists(st.sampled_from(["echo", "fail", "worker", "nope"]), max_size=2)
rounds = st.lists(st.tuples(words, words, calls), max_size=3)
ends = st.sampled_from(["", "The end.", "# All\n\n```py\nx = 1\n```\nDone", None])
turns = st.lists(st.tuples(rounds, ends), min_size=1, max_size=2)


def script(turn: list[tuple[str, str, list[str]]], end: str | None) -> Scripted:
    lines: list[Message | Exception] = []
    for n, (thought, text, names) in enumerate(turn):
        made = [ToolCall(id=f"{n}-{m}", name=name, arguments={"n": m}) for m, name in enumerate(names)]
        if made:
            lines.append(assistant(*([Thinking(text=thought)] if thought else []), text, *made))
    lines.append(Overloaded("scripted", "no room") if end is None else assistant(end))
    return Scripted(*lines, *["again"] * 3)


async def turn_of(lead: Agent, provider: Scripted, emit: Callable[[Event], None]) -> None:
    await run(lead, "go\non", provider=provider, tools=Box(emit), emit=emit)


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


@settings(max_examples=25)
@given(turns)
def test_a_replay_draws_the_screen_that_was_there(
    tmp_path_factory: pytest.TempPathFactory, told_turns: list[Any]
) -> None:
    store = Store(tmp_path_factory.mktemp("replay") / "c.sqlite")
    recorder, seen = Recorder(store), list[Event]()
    emit = tee(recorder, seen.append)
    lead = Agent(name="lead", model="scripted:s", max_rounds=3)
    for turn, end in told_turns:
        with suppress(OrchestratorError):
            anyio.run(partial(turn_of, lead, script(turn, end), emit))
    assert recorder.session is not None
    for form in ("plain", "markdown", "rich"):
        live = drawn(form, lambda display: told(display, seen))
        again = drawn(form, lambda display: told(display, replay(store, recorder.session or "")))
        assert again == live
    store.close()
