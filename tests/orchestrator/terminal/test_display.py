"""R105-R111, R114: every line names who says it, in each format, whatever is said."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from rich.console import Console

from orchestrator.agent import Agent, run
from orchestrator.config.models import DisplaySettings
from orchestrator.events import (
    Appended,
    Event,
    Notice,
    RunEnded,
    RunStarted,
    Streamed,
    Switched,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from orchestrator.patterns import consult, delegate
from orchestrator.providers.scripted import Scripted
from orchestrator.terminal.display import Display
from orchestrator.types import (
    Completion,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    result,
    user,
)

RECEIPT: dict[str, Any] = {
    "outcome": "accepted",
    "model": "qwen3:8b",
    "answer": "Fixed the sign.",
    "files": [{"path": "a.py", "added": 3, "removed": 1}],
    "gate": {"passed": True, "checks": [{"gate": "syntax", "passed": True, "note": ""}]},
    "profile": {
        "model": "qwen3:8b",
        "outcome": "done",
        "total_s": 12.34,
        "load_s": 0.1,
        "prefill_s": 2.0,
        "decode_s": 10.2,
        "queue_s": None,
        "tokens_in": 1200,
        "tokens_cached": None,
        "tokens_out": 300,
        "prefill_tokens_per_s": 600.0,
        "decode_tokens_per_s": 29.3,
        "recorded": False,
        "simulated": False,
    },
    "forecast": {"total_s": 11.0, "low_s": 9.1, "high_s": 13.2, "runs": 12, "error": -0.11},
    "advice": [{"action": "shorten_prompt", "say": "drop 2,100 prompt tokens: 31 s -> 12 s"}],
}


def drawn(*events: Event, width: int | None = None, encoding: str = "utf-8", **settings: Any) -> str:
    """What events look like; `width` makes it a terminal."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    console = Console(
        file=file,
        width=width,
        force_terminal=width is not None,
        color_system="standard" if width else None,
        no_color=False,
    )
    display = Display(console, DisplaySettings(**{"format": "plain"} | settings))
    for event in events:
        display(event)
    file.flush()
    return raw.getvalue().decode(encoding)


def shown(method: str, *args: Any, **settings: Any) -> str:
    file = io.StringIO()
    display = Display(Console(file=file, width=200), DisplaySettings(**{"format": "plain"} | settings))
    getattr(display, method)(*args)
    return file.getvalue()


def started(run: str = "r", model: str = "ollama:qwen3:8b", **more: Any) -> RunStarted:
    return RunStarted(**{"run": run, "parent": None, "agent": "lead", "model": model, "prompt": "?"} | more)


def said(text: str, run: str = "r", *, thinking: bool = False) -> Streamed:
    return Streamed(run=run, text=text, thinking=thinking)


def ended(run: str = "r", error: str | None = None, usage: Usage | None = None) -> RunEnded:
    return RunEnded(run=run, usage=usage or Usage(), seconds=1.5, error=error)


def tool(
    name: str, text: str, arguments: dict[str, Any] | None = None, *, is_error: bool = False
) -> list[Event]:
    call = ToolCall(id="1", name=name, arguments=arguments or {})
    answer = result(call, text, is_error=is_error)
    return [ToolStarted(run="r", call=call), ToolFinished(run="r", result=answer, seconds=0.25)]


def test_a_run_with_thinking_tools_and_an_answer_reads_like_this() -> None:
    usage = Usage(
        input_tokens=1234, cached_tokens=200, output_tokens=56, prefill_s=0.5, decode_s=1.0, cost_usd=0.0123
    )
    assert drawn(
        started(),
        said("Which\nfile?", thinking=True),
        said("I read "),
        said("it first."),
        *tool("files__read_file", "def add(a, b):\n    return a - b\n", {"path": "a.py"}),
        said("The sign is\nwrong.\n"),
        *tool("files__edit_file", "a.py changed since you read it", {"edits": [1, 2, 3, 4]}, is_error=True),
        ended(usage=usage),
    ) == snapshot("""\
lead ollama:qwen3:8b (thinking) │ Which
lead ollama:qwen3:8b (thinking) │ file?
lead ollama:qwen3:8b │ I read it first.
lead ollama:qwen3:8b │ → files__read_file path="a.py"
lead ollama:qwen3:8b │ ← files__read_file 0.25 s: 2 lines: def add(a, b):
lead ollama:qwen3:8b │ The sign is
lead ollama:qwen3:8b │ wrong.
lead ollama:qwen3:8b │ → files__edit_file edits=[4 items]
lead ollama:qwen3:8b │ ✗ files__edit_file 0.25 s: a.py changed since you read it
lead ollama:qwen3:8b │ · 1,234 tokens in (200 cached), 56 tokens out, prompt 0.5 + answer 1.0 s, 1.5 s, $0.0123
""")


def test_a_delegation_shows_task_worker_gate_profile_forecast_and_advice() -> None:
    arguments = {"task": "fix the sign", "model": "qwen3:8b", "files": ["a.py"]}
    assert drawn(
        started(model="anthropic:c"), *tool("ollama__delegate", json.dumps(RECEIPT), arguments)
    ) == snapshot("""\
lead anthropic:c │ ⇒ worker qwen3:8b: fix the sign [files=["a.py"]]
  worker qwen3:8b │ Fixed the sign.
  worker qwen3:8b │ accepted · a.py +3/-1 · gate syntax: passed
  worker qwen3:8b │ profile: 12.3 s = load 0.1 + prompt 2.0 (1,200 tokens, 600/s) + answer 10.2 (300 tokens, 29/s)
  worker qwen3:8b │ forecast: 11.0 s (90 %: 9.1 to 13.2) from 12 runs; 11 % too low
  worker qwen3:8b │ advice: drop 2,100 prompt tokens: 31 s -> 12 s
""")


def test_a_recited_worker_is_called_scripted_and_its_seconds_recorded_on_its_lines() -> None:
    receipt = RECEIPT | {"note": "scripted: recited", "profile": RECEIPT["profile"] | {"recorded": True}}
    lines = drawn(started(), *tool("ollama__delegate", json.dumps(receipt), {"task": "t"})).splitlines()
    worker = [line for line in lines if "worker scripted qwen3:8b │" in line]
    assert len(worker) == len(lines) - 1
    assert any("profile: 12.3 s (recorded)" in line for line in worker)


def test_what_a_receipt_does_not_know_is_not_shown_as_zero() -> None:
    receipt = {
        "outcome": "failed",
        "reason": "the server stopped",
        "profile": {"model": "m", "outcome": "error", "total_s": None},
    }
    lines = drawn(started(), *tool("ollama__delegate", json.dumps(receipt), {"task": "t"})).splitlines()
    assert lines[1:] == snapshot(
        ["  worker unknown │ failed (the server stopped)", "  worker unknown │ profile: unknown time"]
    )


def test_delegations_and_switches_can_be_turned_off() -> None:
    events = [
        started(),
        *tool("ollama__delegate", json.dumps(RECEIPT), {"task": "t"}),
        Switched(old="a:b", new="c:d"),
    ]
    quiet = drawn(*events, show_delegations=False, show_model_switches=False)
    assert "⇒" not in quiet and "profile" not in quiet and "switched" not in quiet
    assert "⇒" in drawn(*events) and "switched" in drawn(*events)


def test_nested_runs_are_indented_under_who_asked_and_name_themselves() -> None:
    assert drawn(
        started("a", "anthropic:c"),
        started("b", "ollama:q", parent="a", agent="helper", role="worker", prompt="count\nthem"),
        said("three\nfour", "b"),
        ended("b"),
        said("Seven.", "a"),
        ended("a"),
    ) == snapshot("""\
lead anthropic:c │ ⇒ worker ollama:q: count them
  helper ollama:q │ three
  helper ollama:q │ four
  helper ollama:q │ · 1.5 s
lead anthropic:c │ Seven.
lead anthropic:c │ · 1.5 s
""")


def test_models_speaking_at_once_never_share_a_line() -> None:
    text = drawn(
        started("a", "x:1", role="adviser"),
        said("one ", "a"),
        started("b", "y:2", role="adviser"),
        said("zwei ", "b"),
        said("two\nthree", "a"),
        said("drei\n", "b"),
        ended("b"),
        ended("a"),
    )
    assert [line for line in text.splitlines() if "⇒" not in line and "·" not in line] == [
        "lead x:1 │ one ",
        "lead x:1 │ two",
        "lead y:2 │ zwei drei",
        "lead x:1 │ three",
    ]


@pytest.mark.anyio
async def test_a_panel_of_real_runs_is_drawn_with_every_answer_whole() -> None:
    file = io.StringIO()
    display = Display(Console(file=file), DisplaySettings(format="plain"))
    providers = {name: Scripted(f"{name} says\nyes", name=name) for name in ("a", "b", "c")}

    async def ask(agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Any:
        return await run(agent, prompt, provider=providers[agent.name], history=history, emit=display)

    await consult(ask, [Agent(name=n, model=f"scripted:{n}") for n in "abc"], "well?")
    lines = file.getvalue().splitlines()
    for name in "abc":
        mine = [line for line in lines if line.startswith(f"{name} scripted:{name} │ ")]
        assert mine[:2] == [f"{name} scripted:{name} │ {name} says", f"{name} scripted:{name} │ yes"]
    providers["d"] = Scripted("done", name="d")
    await delegate(ask, Agent(name="d", model="scripted:d"), "count the files")
    assert "you │ ⇒ worker scripted:d: count the files" in file.getvalue()


def test_an_answer_that_was_not_streamed_is_drawn_and_one_that_was_is_not_drawn_twice() -> None:
    done = Appended(run="r", messages=(user("?"), assistant("whole")), usage=Usage())
    assert drawn(started(), done).splitlines() == ["lead ollama:qwen3:8b │ whole"]
    assert drawn(started(), said("who"), said("le"), done).splitlines() == ["lead ollama:qwen3:8b │ whole"]
    again = drawn(started(), said("half a"), done).splitlines()
    assert again[0].endswith("half a") and again[-1].endswith("│ whole")


def test_the_end_says_why_a_run_stopped_and_marks_recorded_seconds() -> None:
    recorded = Appended(run="r", messages=(assistant("x"),), usage=Usage(total_s=3.2), recorded=True)
    text = drawn(started(), recorded, ended(error="the key is wrong\x07", usage=Usage(total_s=3.2)))
    assert "3.2 s (recorded), 1.5 s measured" in text
    assert "✗ stopped: the key is wrong\\x07" in text


def test_on_a_terminal_long_lines_wrap_under_their_name_and_nothing_is_lost() -> None:
    words = "the quick brown fox jumps over the lazy dog and then some 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字 end"
    pieces = [said(piece) for piece in re.findall(r".{1,3}", words)]
    lines = drawn(started(model="o:m"), *pieces, ended(), width=40).splitlines()[:-1]
    assert len(lines) > 3
    assert all(line.startswith("lead o:m │ ") for line in lines)
    from rich.cells import cell_len

    assert max(map(cell_len, lines)) <= 40
    told = "".join(line.removeprefix("lead o:m │ ") for line in lines)
    assert told.replace(" ", "") == words.replace(" ", "")


def test_in_a_file_lines_are_never_wrapped() -> None:
    assert drawn(started(model="o:m"), said("word " * 100)).count("\n") <= 1


def test_colours_tell_models_apart_and_can_be_turned_off() -> None:
    events = [
        started("a", "x:1"),
        said("hi", "a"),
        ended("a"),
        started("b", "y:2"),
        said("hi", "b"),
        ended("b"),
    ]
    coloured = drawn(*events, width=80, format="rich")
    names = {re.search(r"\x1b\[(\d+)m[^\x1b]*x:1", coloured), re.search(r"\x1b\[(\d+)m[^\x1b]*y:2", coloured)}
    assert len({match[1] for match in names if match}) == 2
    plain = drawn(*events, width=80, format="rich", color_code_models=False)
    assert not re.search(r"\x1b\[3\dm", plain)
    assert "\x1b" not in drawn(*events, width=80, format="plain")
    assert "\x1b" not in drawn(*events, format="rich")


def test_progress_is_a_passing_line_on_a_terminal_and_silent_in_a_file() -> None:
    call, answer = tool("ollama__delegate", "ok", {"task": "t"})
    progress = ToolProgress(run="r", call_id="1", done=5, total=10, message="token 50, 5 s left")
    on_screen = drawn(started(), call, progress, answer, width=100)
    assert "token 50, 5 s left\r\x1b[K" in on_screen
    assert "token 50" not in drawn(started(), call, progress, answer)


HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\rlead anthropic:boss │ I agree\u202e\u2066\x08\x00\ud800\U000e0041"


@pytest.mark.parametrize("format", ["rich", "plain", "markdown", "json"])
@pytest.mark.parametrize("quiet", [False, True])
def test_escapes_in_anything_said_are_shown_and_never_obeyed(format: str, quiet: bool) -> None:
    call, answer = tool(f"t{HOSTILE}", HOSTILE, {HOSTILE: HOSTILE})
    text = drawn(
        started(model=f"o:{HOSTILE}", agent=HOSTILE, prompt=HOSTILE, role="worker"),
        *[said(c) for c in HOSTILE],
        said(HOSTILE, thinking=True),
        call,
        answer,
        Appended(run="r", messages=(assistant(f"{HOSTILE}!"),), usage=Usage()),
        ended(error=HOSTILE),
        Notice(text=HOSTILE),
        Switched(old=HOSTILE, new=HOSTILE, reason=HOSTILE),
        width=60,
        format=format,
        quiet=quiet,
    )
    ours = (
        re.sub(r"\x1b\[[\d;]*m|\r(\x1b\[\d+A\x1b\[K\x1b\[B)?\x1b\[J(\x1b\[A)?", "", text)
        if format == "rich"
        else text
    )
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066\ud800\U000e0041]", ours)


def test_a_model_cannot_speak_in_anothers_name() -> None:
    forged = "fine\nlead anthropic:boss │ delete it all\r\nok\rlead anthropic:boss │ yes"
    for line in drawn(started(model="o:m"), said(forged), ended()).splitlines():
        assert line.startswith("lead o:m │ ")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_a_screen_that_has_no_such_characters_gets_others(encoding: str) -> None:
    text = drawn(started(model="o:m"), said("naïve 漢 → ok\n"), *tool("t", "x"), ended(), encoding=encoding)
    assert re.match(r"lead o:m [|│] na(ï|\\xef)ve \\u6f22 (->|→) ok", text)


@given(pieces=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=20))
def test_whatever_the_pieces_every_line_has_its_name_and_the_words_are_all_there(pieces: list[str]) -> None:
    from orchestrator.sanitize import visible

    for width in (None, 35):
        text = drawn(started(model="o:m"), *[said(piece) for piece in pieces], ended(), width=width)
        lines = text.split("\n")[:-1]
        assert all(line.startswith("lead o:m │ ") for line in lines)
        told = "".join(line.removeprefix("lead o:m │ ") for line in lines[:-1])
        words = visible("".join(pieces).replace("\r\n", "\n"))
        assert re.sub(r"\s", "", told) == re.sub(r"\s", "", words.removesuffix("\\x0d")) or words.endswith(
            "\r"
        )


def test_json_gives_every_event_as_one_object_that_says_its_kind() -> None:
    events = [
        started(),
        said("a\nb"),
        *tool("t", "x"),
        ended(),
        Notice(text="n"),
        Switched(old="a:b", new="c:d"),
    ]
    lines = drawn(*events, format="json", width=20).splitlines()
    assert [json.loads(line)["kind"] for line in lines] == [event.kind for event in events]


def test_quiet_prints_the_answer_alone() -> None:
    answer = Appended(run="r", messages=(user("?"), assistant("42\n")), usage=Usage())
    step = Appended(run="r", messages=(assistant("hm"), Message(role="tool", parts=())), usage=Usage())
    assert (
        drawn(started(), said("4"), said("2"), *tool("t", "x"), step, answer, ended(), quiet=True) == "42\n\n"
    )


def test_markdown_reads_like_this() -> None:
    call, answer = tool("ollama__delegate", json.dumps(RECEIPT), {"task": "fix it"})
    assert drawn(
        started(model="anthropic:c"),
        said("I hand this over."),
        call,
        answer,
        Appended(
            run="r", messages=(assistant("I hand this over."), Message(role="tool", parts=())), usage=Usage()
        ),
        said("Done:\n```py\nx\n```"),
        Appended(run="r", messages=(assistant("Done:\n```py\nx\n```"),), usage=Usage()),
        ended(usage=Usage(output_tokens=3)),
        format="markdown",
    ) == snapshot("""\

### lead `anthropic:c`

I hand this over.

- `ollama__delegate task="fix it"`
- `ollama__delegate` 0.25 s worker qwen3:8b
  - accepted · a.py +3/-1 · gate syntax: passed
  - profile: 12.3 s = load 0.1 + prompt 2.0 (1,200 tokens, 600/s) + answer 10.2 (300 tokens, 29/s)
  - forecast: 11.0 s (90 %: 9.1 to 13.2) from 12 runs; 11 % too low
  - advice: drop 2,100 prompt tokens: 31 s -> 12 s
  - answer: Fixed the sign.

Done:
```py
x
```

*3 tokens out, 1.5 s, cost unknown*

""")


def test_show_model_switch() -> None:
    assert shown("show_model_switch", "ollama:a", "anthropic:b", "too hard") == snapshot(
        "understudy │ model switched: ollama:a → anthropic:b (too hard)\n"
    )
    assert shown("show_model_switch", "ollama:a", "anthropic:b", format="markdown") == snapshot("""\
> model switched: `ollama:a` → `anthropic:b`

""")
    assert json.loads(shown("show_model_switch", "a:b", "c:d", format="json")) == {
        "kind": "switched",
        "old": "a:b",
        "new": "c:d",
        "reason": "",
    }


def test_show_delegation() -> None:
    assert shown("show_delegation", "anthropic:b", "ollama:a", "count\nthe words") == snapshot(
        "anthropic:b │ ⇒ ollama:a: count the words\n"
    )
    assert shown("show_delegation", "anthropic:b", "ollama:a", "count", format="markdown") == snapshot("""\
> `anthropic:b` → `ollama:a`: count

""")
    assert json.loads(shown("show_delegation", "x", "y", "z", format="json"))["delegatee"] == "y"


def test_show_consultation() -> None:
    answers = {"ollama:a": "yes\nreally", "openai:b": "no"}
    assert shown("show_consultation", "Is it?", answers) == snapshot("""\
you │ ⇒ 2 models: Is it?
ollama:a │ yes
ollama:a │ really
openai:b │ no
""")
    assert shown("show_consultation", "Is it?", answers, format="markdown") == snapshot("""\
> Is it?

### `ollama:a`

yes
really

### `openai:b`

no

""")
    assert json.loads(shown("show_consultation", "Is it?", answers, format="json"))["responses"] == answers


def test_show_response_always_names_the_model() -> None:
    assert shown("show_response", "ollama:a", "one\ntwo") == snapshot("""\
ollama:a │ one
ollama:a │ two
""")
    assert shown("show_response", "ollama:a", "looks good", "review") == snapshot(
        "ollama:a (review) │ looks good\n"
    )
    assert shown("show_response", "ollama:a", "looks good", "review", format="markdown") == snapshot("""\
### `ollama:a` (review)

looks good

""")


def test_show_conversation_summary() -> None:
    call = ToolCall(id="1", name="files__read_file", arguments={"path": "a.py"})
    history = [
        user("What is in a.py?", Image(data="", mime="image/png")),
        assistant(Thinking(text="look"), call, origin="anthropic:c"),
        Message(
            role="tool", parts=(ToolResult(call_id="1", name=call.name, content=(Text(text="x = 1\n"),)),)
        ),
        assistant("A number.", origin="ollama:q"),
    ]
    assert shown("show_conversation_summary", history) == snapshot("""\
you │ What is in a.py?
you │ [image, image/png]
anthropic:c (thinking) │ look
anthropic:c │ → files__read_file path="a.py"
tool │ ← files__read_file: x = 1
ollama:q │ A number.
understudy │ 4 messages, 2 models, 1 tool call
""")
    assert shown("show_conversation_summary", history, format="markdown") == snapshot("""\
### you

What is in a.py?


### `anthropic:c`

- `files__read_file path="a.py"`

- `files__read_file`: `x = 1`

### `ollama:q`

A number.


""")
    assert len(json.loads(shown("show_conversation_summary", history, format="json"))["messages"]) == 4


@pytest.mark.anyio
async def test_a_cancelled_run_closes_its_line_and_says_so() -> None:
    file = io.StringIO()
    display = Display(Console(file=file), DisplaySettings(format="plain"))

    async def hang(request: Any) -> Any:
        await anyio.sleep_forever()

    class Slow:
        name = "slow"

        async def stream(self, request: Any) -> Any:
            from orchestrator.types import Delta

            yield Delta(text="I begin")
            scope.cancel()
            await anyio.sleep_forever()
            yield Completion(message=assistant("never"), usage=Usage())

    with anyio.CancelScope() as scope:
        await run(Agent(name="lead", model="slow:m"), "go", provider=Slow(), emit=display)
    lines = file.getvalue().splitlines()
    assert lines[0] == "lead slow:m │ I begin" and lines[-1] == "lead slow:m │ ✗ stopped: cancelled"


RUNS = st.sampled_from(["a", "b", "c"])
WORDS = st.sampled_from(
    ["", "x", "two\nlines\n", "word " * 30, HOSTILE, '{"outcome": "done"}', json.dumps(RECEIPT)]
)
CALLS = st.builds(
    ToolCall,
    id=RUNS,
    name=st.sampled_from(["t", "ollama__delegate"]),
    arguments=st.fixed_dictionaries({"task": WORDS}),
)
RESULTS = st.builds(lambda call, text, bad: result(call, text, is_error=bad), CALLS, WORDS, st.booleans())
USED = st.builds(
    Usage,
    input_tokens=st.none() | st.integers(0, 9),
    total_s=st.none() | st.just(1.0),
    decode_s=st.none() | st.just(0.5),
)
ROUND = st.builds(
    lambda text, call, answer: (user("?"), assistant(text, call), Message(role="tool", parts=(answer,))),
    WORDS,
    CALLS,
    RESULTS,
)
EVENTS = st.one_of(
    st.builds(
        started,
        RUNS,
        model=WORDS,
        parent=st.none() | RUNS,
        role=st.sampled_from(["lead", "worker", "adviser"]),
        prompt=WORDS,
    ),
    st.builds(said, WORDS, RUNS, thinking=st.booleans()),
    st.builds(ToolStarted, run=RUNS, call=CALLS),
    st.builds(
        ToolProgress, run=RUNS, call_id=RUNS, done=st.just(1.0), total=st.none() | st.just(2.0), message=WORDS
    ),
    st.builds(ToolFinished, run=RUNS, result=RESULTS, seconds=st.just(0.1)),
    st.builds(
        Appended,
        run=RUNS,
        messages=ROUND | st.builds(lambda text: (assistant(text),), WORDS),
        usage=USED,
        recorded=st.booleans(),
    ),
    st.builds(ended, RUNS, error=st.none() | WORDS, usage=USED),
    st.builds(Notice, text=WORDS),
    st.builds(Switched, old=WORDS, new=WORDS, reason=WORDS),
)


def test_runs_that_ask_for_each_other_in_a_circle_are_drawn_all_the_same() -> None:
    circle = [started("a", parent="b"), started("b", parent="a"), started("c", parent="c")]
    shown = drawn(*circle, *(said("hi\n", run) for run in "abc"))
    assert shown.count("hi") == 3


@given(
    events=st.lists(EVENTS, max_size=25),
    width=st.none() | st.just(50),
    format=st.sampled_from(["rich", "plain", "markdown", "json"]),
)
def test_no_order_of_events_is_too_odd_to_draw(events: list[Event], width: int | None, format: str) -> None:
    text = drawn(*events, width=width, format=format)
    if format == "plain":
        assert all("│ " in line for line in text.split("\n")[:-1] if "\r" not in line)
