"""What a person sees on a terminal: names once, rendered answers, code that copies clean, one row that is alive."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from orchestrator.config.models import DisplaySettings
from orchestrator.events import (
    Appended,
    Event,
    Foreseen,
    Notice,
    RunEnded,
    RunStarted,
    Streamed,
    Switched,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from orchestrator.terminal.screen.blocks import Blocks
from orchestrator.terminal.screen.plain_screen import Screen
from orchestrator.terminal.screen.rich_screen import RichScreen
from orchestrator.types import ToolCall, Usage, assistant, result, user
from tests.screens import narrowed, screen

WIDTHS = (40, 80, 200)


class Terminal:
    """A screen of so many columns whose clock stands still until it is turned."""

    def __init__(self, width: int = 80, height: int = 40, **settings: Any) -> None:
        self.file, self.width, self.now = io.StringIO(), width, 0.0
        self.console = Console(
            file=self.file, width=width, height=height, force_terminal=True, _environ={"TERM": "xterm"}
        )
        self.screen = RichScreen(self.console, DisplaySettings(**settings), clock=lambda: self.now)
        self.screen.tools.outputs.expandable = True  # as in a chat

    def see(self, *events: Event) -> list[str]:
        for event in events:
            self.screen.event(event)
        return self.rows

    def later(self, seconds: float) -> str:
        self.now += seconds
        self.screen.tick()
        return self.rows[-1]

    @property
    def rows(self) -> list[str]:
        return screen(self.file.getvalue(), self.width)


def started(run: str = "r", **more: Any) -> RunStarted:
    fields = {"run": run, "parent": None, "agent": "lead", "model": "ollama:q", "prompt": "?"}
    return RunStarted(**fields | more)


def said(text: str, run: str = "r", *, thinking: bool = False) -> Streamed:
    return Streamed(run=run, text=text, thinking=thinking)


def ended(run: str = "r", error: str | None = None) -> RunEnded:
    return RunEnded(run=run, usage=Usage(), seconds=1.5, error=error)


def used(name: str, text: str, *, is_error: bool = False, **arguments: Any) -> list[Event]:
    call = ToolCall(id="1", name=name, arguments=arguments)
    answer = result(call, text, is_error=is_error)
    return [ToolStarted(run="r", call=call), ToolFinished(run="r", result=answer, seconds=0.25)]


def test_from_the_question_on_the_last_row_says_how_long_it_has_waited() -> None:
    terminal = Terminal()
    assert terminal.see(started()) == ["… lead ollama:q · waiting for the first token · 0 s"]
    assert terminal.later(61) == "… lead ollama:q · waiting for the first token · 61 s"


@pytest.mark.parametrize(("wide", "narrow"), [(120, 40), (80, 60), (200, 40)])
def test_a_terminal_that_becomes_narrower_keeps_nothing_of_what_was_under_way(
    monkeypatch: pytest.MonkeyPatch, wide: int, narrow: int
) -> None:
    monkeypatch.setenv("TMUX", "one that wraps")
    begun, more = [started(), said("many words, " * 40)], said("and one more")
    terminal, fresh = Terminal(wide), Terminal(narrow)
    stood, written = narrowed(terminal.see(*begun), narrow), len(terminal.file.getvalue())
    terminal.console.width = narrow
    terminal.see(more)
    assert screen(terminal.file.getvalue()[written:], narrow, stood) == fresh.see(*begun, more)


@pytest.mark.parametrize("width", [40, 41, 80, 120])
def test_what_is_being_written_is_shown_to_its_last_letter(width: int) -> None:
    words = [f"w{number:02}" for number in range(60)]
    rows = Terminal(width).see(started(), said(" ".join(words)))[:-1]
    shown = " ".join(row.removeprefix("▌").strip() for row in rows).split()
    assert shown and shown == words[-len(shown) :]


def test_a_forecast_tells_what_it_does_and_how_long_it_will_take() -> None:
    terminal = Terminal(100)
    terminal.see(
        started(), Foreseen(run="r", load_s=5.0, prefill_s=20.0, total_s=42.0, low_s=35.0, high_s=56.0)
    )
    assert "loading 4 s · 38 s left (90 %: 31-52)" in terminal.later(4)
    assert "loading 5 s · reading 30 % · 11 s · 31 s left (90 %: 24-45)" in terminal.later(7)
    assert "waiting for the first token" in terminal.later(20)
    assert "42 s were forecast" in terminal.later(40)


def test_who_holds_the_slot_is_named_while_a_call_waits() -> None:
    terminal = Terminal()
    terminal.see(started(), Foreseen(run="r", waiting_for="another call of ollama"))
    assert "waiting for another call of ollama · 3 s" in terminal.later(3)


def test_a_tool_under_way_shows_its_progress_and_goes_when_it_ends() -> None:
    terminal = Terminal()
    call, answer = used("web__fetch", "done", note="x")
    progress = ToolProgress(run="r", call_id="1", done=1, total=None, message="reading, 31 % of it")
    assert "web__fetch · 0 s · reading, 31 % of it" in terminal.see(started(), call, progress)[-1]
    assert "reading" not in "\n".join(terminal.see(answer, ended()))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_row_that_is_alive_fits_and_keeps_what_is_done_and_what_is_left(width: int) -> None:
    terminal = Terminal(width)
    call, _ = used("ollama__delegate", "done", task="Look.", model="q")
    told = "qwen3:8b writing, 112 tokens, 52.3/s, about 19 s left"
    progress = ToolProgress(run="r", call_id="1", done=1, total=None, message=told)
    row = terminal.see(started(), said("I hand it over.\n\n"), call, progress)[-1]
    assert cell_len(row) < width and "worker qwen3:8b" in row and "ollama__delegate" not in row
    assert row.endswith("19 s left")


@pytest.mark.parametrize(("theme", "yellow", "blue"), [("light", "38;5;94", "34"), ("dark", "33", "94")])
def test_no_colour_is_lost_on_the_background(theme: Any, yellow: str, blue: str) -> None:
    file = io.StringIO()
    console = Console(file=file, width=60, force_terminal=True, color_system="256")
    screen = RichScreen(console, DisplaySettings(theme=theme))
    screen.event(Notice(text="careful", level="warning"))
    console.print("x", style="blue")
    assert f"[{yellow}m" in file.getvalue() and f"[{blue}mx" in file.getvalue()


def test_of_a_step_of_a_pattern_no_more_is_shown_than_says_what_it_is() -> None:
    terminal = Terminal(100)
    long = "Review what was written. " * 60
    step = started("c", parent="p", role="critic", model="x:c", prompt=long)
    rows = terminal.see(started("p", agent="refine", model=""), step)
    assert 1 <= sum("Review" in row for row in rows) <= 2
    row = terminal.see(started("d", parent="p", role="a" * 60, model="x:" + "d" * 60, prompt="?"))[-1]
    assert "waiting for the fi" in row and cell_len(row) < 100


def test_a_forecast_that_is_a_guess_is_told_as_one() -> None:
    terminal = Terminal(100)
    guess = Foreseen(run="r", total_s=450.0, low_s=20.0, high_s=900.0, runs=2)
    shown = terminal.see(started(), guess)[-1]
    assert "20 s to 15 min left, a guess from 2 runs" in shown and "7 min" not in shown


def test_of_an_edit_the_diff_is_shown_and_not_its_arguments_too() -> None:
    diff = "a.py · +1 -1\n@@ -1,2 +1,2 @@\n-old()\n+new()\n \n "
    terminal = Terminal()
    rows = terminal.see(started(), *used("files__edit_file", diff, path="a.py", edits=[{"new": "new()"}]))
    assert any(row.endswith('→ files__edit_file path="a.py" 0.25 s') for row in rows)
    assert [row for row in rows if "new()" in row] == ["▌   +new()"]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_name_stands_once_in_a_turn_and_markdown_is_rendered(width: int) -> None:
    terminal = Terminal(width)
    text = "# Title\n\nSome **bold** words and `code`.\n\n- one\n- two\n"
    rows = terminal.see(started(), *[said(piece) for piece in text], *used("t", "x"), said("End."), ended())
    assert sum("lead ollama:q" in row for row in rows) == 1
    shown = "\n".join(rows)
    assert "Some bold words and code." in shown and "**" not in shown and "#" not in shown
    assert "▌  • one" in rows
    assert max(map(cell_len, rows)) <= width


CODE = "def add(a, b):\n    # a comment that reaches well over the right edge of a narrow terminal of forty\n\n    return a + b"


@pytest.mark.parametrize("width", WIDTHS)
def test_code_is_copied_as_it_was_written(width: int) -> None:
    file = io.StringIO()
    terminal = Terminal(width)
    terminal.console.file = file
    terminal.see(
        started(), said(f"So:\n\n```python\n{CODE}\n```\nand\n\n1. listed\n   ```\n   x = 1\n   ```\n")
    )
    wide = screen(file.getvalue(), 1000)
    assert CODE in "\n".join(wide) and "x = 1" in wide


def test_a_model_cannot_draw_the_bar_and_name_of_another() -> None:
    rows = Terminal().see(
        started(), said("```\n▌ lead anthropic:boss\n▌ I agree\n```\n▌ lead boss\n"), ended()
    )
    assert "▌ ▌ lead anthropic:boss" in rows and not any(row.startswith("▌ lead anthropic") for row in rows)


def test_an_edit_shows_its_diff_and_a_long_output_its_beginning_and_how_to_see_the_rest() -> None:
    terminal = Terminal()
    diff = "a.py · +1 -1\n<<data 1 diff a.py>>\n@@ -1 +1 @@\n-a = 1\n+a = 2\n<<end 1>>"
    output = "exit=0 · 0.1 s\n" + "\n".join(f"line {n}" for n in range(30))
    rows = terminal.see(started(), *used("files__edit_file", diff), *used("shell__run_command", output))
    assert "▌   -a = 1" in rows and "▌   +a = 2" in rows and not any("<<" in row for row in rows)
    assert "▌   ... 24 more lines; /expand 1 shows all" in rows and "▌   line 29" not in rows
    assert terminal.screen.expand() is not None
    assert "▌ line 29" in terminal.rows
    assert terminal.screen.expand(7) is None


def test_records_are_short_tables() -> None:
    record = {
        "branch": "main",
        "head": None,
        "commits": [{"id": "a1", "title": "One"}, {"id": "b2", "title": "Two"}],
    }
    rows = Terminal().see(started(), *used("git__git_log", json.dumps(record)))
    assert "▌   branch main" in rows and "▌   a1  One" in rows
    assert not any("{" in row for row in rows)


def test_thoughts_can_be_shown_or_only_counted() -> None:
    think = [started(), said("Is it so?\nPerhaps.", thinking=True), said("Yes."), ended()]
    assert "▌ Is it so?" in Terminal().see(*think)
    hidden = Terminal(show_thoughts=False)
    rows = hidden.see(*think)
    assert "▌ Is it so?" not in rows and any("thought for 0 s, 4 words" in row for row in rows)
    hidden.screen.expand()
    assert "▌ Is it so?" in hidden.rows


def panel(names: str = "abc") -> list[Event]:
    return [started(n, role="adviser", agent="adviser", model=f"x:{n}", prompt="well?") for n in names]


def test_a_panel_stands_side_by_side_where_it_fits() -> None:
    terminal = Terminal(200)
    rows = terminal.see(*panel(), *[said(f"I am {n}.\n\nMore of {n}", n) for n in "cab"])
    assert any(all(f"I am {n}." in row for n in "abc") for row in rows)
    rows = terminal.see(*[ended(n) for n in "bca"])
    assert any(all(f"▌ I am {n}." in row for n in "abc") for row in rows)
    assert any(all(f"adviser x:{n}" in row for n in "abc") for row in rows)
    place = next(place for place, row in enumerate(rows) if "▌ I am a." in row)
    assert rows[place + 1].split() == ["▌"] * 3 and "More of a" in rows[place + 2]


@pytest.mark.parametrize(("width", "code"), [(60, ""), (200, "```\nx\n```\n")])
def test_a_panel_stands_one_after_another_where_it_does_not_fit_or_wrote_code(width: int, code: str) -> None:
    terminal = Terminal(width)
    terminal.see(*panel(), *[said(f"I am {n}.\n\n{code}", n) for n in "cab"])
    rows = terminal.see(*[ended(n) for n in "bca"])
    places = [rows.index(f"▌ I am {n}.") for n in "abc"]
    assert places == sorted(places)
    assert [rows[at - 1] for at in places] == [f"▌ adviser x:{n}" for n in "abc"]


def test_a_panel_names_all_it_asks_before_anybody_answers() -> None:
    terminal = Terminal(200)
    rows = terminal.see(
        started("p", agent="consult"),
        *[started(n, parent="p", role="adviser", model=f"x:{n}", prompt="well?") for n in "abc"],
    )
    assert [row for row in rows if "⇒" in row] == [
        "▌ ⇒ adviser x:a: well?",
        "▌ ⇒ adviser x:b: the same",
        "▌ ⇒ adviser x:c: the same",
    ]


def test_a_long_question_has_its_name_once() -> None:
    terminal = Terminal(40)
    terminal.screen.asked("word " * 20 + "\nnext")
    assert [row[:6].strip() for row in terminal.rows if row] == ["you │", *["│"] * 3]


def test_nested_runs_are_indented_under_who_asked() -> None:
    rows = Terminal().see(
        started("a"),
        said("Ask.\n\n", "a"),
        started("b", parent="a", agent="helper", model="x:y", role="worker", prompt="count"),
        said("three", "b"),
        ended("b"),
        said("Three.", "a"),
        ended("a"),
    )
    assert rows.index("▌ ⇒ worker x:y: count") < rows.index("  ▌ helper x:y") < rows.index("  ▌ three")
    assert rows.index("  ▌ three") < rows.index("▌ Three.")


@pytest.mark.parametrize("form", [RichScreen, Screen])
def test_an_answer_that_is_passed_on_stands_once(form: type[RichScreen | Screen]) -> None:
    terminal = Terminal()
    terminal.screen = form(terminal.console, DisplaySettings())  # pyright: ignore[reportAttributeAccessIssue]
    told = assistant("A wren.\n\n[delegate: answered by q; kept whole as 1]", origin="understudy:delegate")
    shown = "\n".join(
        terminal.see(
            started("d", agent="delegate"),
            started("w", parent="d", role="worker"),
            said("A wren.", "w"),
            Appended(run="w", messages=(assistant("A wren.", origin="q"),), usage=Usage()),
            ended("w"),
            Appended(run="d", messages=(user("?"), told), usage=Usage()),
            ended("d"),
        )
    )
    assert shown.count("A wren.") == 1 and "[delegate: answered by q; kept whole as 1]" in shown


def test_seconds_of_an_engine_that_pretends_are_called_simulated() -> None:
    usage = Usage(output_tokens=4, load_s=2.0, decode_s=1.0)
    answer = assistant("Yes.", origin="ollama:sim")
    told = Appended(run="r", messages=(answer,), usage=usage, recorded=True, simulated=True)
    rows = Terminal(200).see(started(), told, RunEnded(run="r", usage=usage, seconds=3.2))
    assert "load 2.0 + answer 1.0 s (simulated), 3.2 s measured" in "\n".join(rows)


def test_a_stopped_run_says_what_was_stopped() -> None:
    rows = Terminal().see(
        started(), used("shell__run_command", "", command="sleep 9")[0], ended(error="cancelled")
    )
    assert '▌ ✗ shell__run_command command="sleep 9": stopped' in rows
    assert "▌ ✗ stopped: cancelled" in rows


def test_without_colours_nothing_but_movement_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    console = Console(file=file, width=60, force_terminal=True, no_color=True, _environ={"TERM": "xterm"})
    RichScreen(console, DisplaySettings()).event(Notice(text="x", level="warning"))
    assert "\x1b[3" not in file.getvalue()


@given(text=st.text(st.sampled_from("a `~*-\n1.|#>&; ▌\t"), max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_however_it_is_cut_no_word_of_an_answer_is_lost(text: str, cuts: list[int]) -> None:
    blocks, given_ = Blocks(), []
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    for start, stop in pairwise(places):
        given_ += blocks.feed(text[start:stop])
    given_ += blocks.end()
    if "```" not in text and "~~~" not in text:
        told = "\n".join(block.text for block in given_)
        assert told.split() == text.split()
    at_once = Blocks()
    assert [*at_once.feed(text), *at_once.end()] == given_


@pytest.mark.parametrize("width", [40, 41, 80, 133, 250])
def test_no_row_is_wider_than_the_terminal_whatever_is_said(width: int) -> None:
    long = "word " * 60 + "漢字" * 80 + " x" * 50 + "y" * 300
    terminal = Terminal(width)
    call = ToolCall(id="1", name="n" * 90, arguments={"a": long})
    rows = terminal.see(
        started(agent="a" * 60, model="m:" + "x" * 200),
        said(f"{long}\n\n| a | b |\n|---|---|\n| {long} | {long} |\n\n> {long}\n\n"),
        ToolStarted(run="r", call=call),
        ToolFinished(run="r", result=result(call, f"{long}\n{long}"), seconds=1),
        Switched(old=long, new=long, reason=long),
        Notice(text=long),
        said(long),
        ended(error=long),
    )
    assert max(map(cell_len, rows)) <= width


def test_a_kept_conversation_is_shown_with_its_calls_and_results() -> None:
    terminal = Terminal()
    terminal.screen.summary([user("Why?"), user("Because.")])
    assert "you │ Why?" in terminal.rows and any("2 messages" in row for row in terminal.rows)


def test_what_was_typed_ahead_is_shown_under_the_answer() -> None:
    terminal = Terminal()
    terminal.see(started(), said("On it"))
    terminal.screen.queued = ["and then this"]
    assert terminal.later(0) == "queued: and then this"
