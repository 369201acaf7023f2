"""R82, R87, R92, R94: conversations survive, are found again, and hold everything."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent import Agent, run
from orchestrator.errors import ProviderError
from orchestrator.events import Appended, Event, RunStarted
from orchestrator.providers.scripted import Scripted
from orchestrator.store.archive import as_jsonl
from orchestrator.store.recorder import Recorder
from orchestrator.store.store import Store, StoreError
from orchestrator.store.transcript import as_markdown
from orchestrator.tools import NoTools, no_progress
from orchestrator.types import (
    Completion,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    assistant,
    result,
    user,
)

ODD = "na\u00efve \ud800 \x00 \U0001f600 \u202e"


class Echo(NoTools):
    specs = (ToolSpec(name="echo", description="", parameters={}),)

    async def call(self, call: ToolCall, progress: Any = no_progress) -> ToolResult:
        return result(call, f"heard {call.arguments}")


async def talk(recorder: Recorder, prompt: str, *lines: Any, **agent: Any) -> None:
    await run(
        Agent(**{"name": "lead", "model": "scripted:s"} | agent),
        prompt,
        provider=Scripted(*lines),
        tools=Echo(),
        history=tuple(recorder.history),
        emit=recorder,
    )


def append(
    store: Store, session: str, *messages: Message, run: str = "r", usage: Usage | None = None
) -> None:
    started = RunStarted(run=run, parent=None, agent="lead", model="o:m", prompt="?")
    store.append(session, started, Appended(run=run, messages=messages, usage=usage or Usage()))


@pytest.mark.anyio
async def test_a_conversation_is_there_again_after_a_restart_with_tool_inputs_and_outputs(
    store: Store,
) -> None:
    recorder = Recorder(store, folder="/here")
    call = ToolCall(id="1", name="echo", arguments={"word": ODD})
    usage = Usage(input_tokens=3, cost_usd=0.5)
    await talk(recorder, f"say {ODD}", assistant(Thinking(text="hm", seal={"s": "x"}), call), "done")
    await talk(recorder, "again", Completion(message=assistant("yes"), usage=usage), model="scripted:t")
    assert recorder.session is not None
    store.close()

    again = Store()
    kept = again.find("last")
    assert (kept.id, kept.folder, kept.model, kept.messages) == (recorder.session, "/here", "scripted:t", 6)
    assert kept.title.startswith("say na") and "\u202e" not in kept.title
    assert again.history(kept.id) == recorder.history
    entries = again.entries(kept.id)
    assert all(entry.at >= kept.created_at > 1_600_000_000 and entry.main for entry in entries)
    assert [e.message.role for e in entries] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]
    assert again.usage(kept.id) == {"scripted:s": Usage(), "scripted:t": usage}
    again.close()


@pytest.mark.anyio
async def test_a_failed_turn_keeps_its_question_and_its_cause_and_the_next_goes_on(store: Store) -> None:
    recorder = Recorder(store)
    await talk(recorder, "one", "eins")
    with pytest.raises(ProviderError):
        await talk(recorder, "two", ProviderError("scripted", "down"))
    await talk(recorder, "three", "drei")
    assert recorder.session is not None
    assert [m.text for m in store.history(recorder.session)] == [
        "one",
        "eins",
        "two",
        "[interrupted: scripted: down]",
        "three",
        "drei",
    ]
    assert store.history(recorder.session) == recorder.history


@pytest.mark.anyio
async def test_workers_and_advisers_are_kept_beside_the_conversation_not_in_it(store: Store) -> None:
    recorder = Recorder(store)
    await talk(recorder, "lead me", "I lead")
    await talk(recorder, "count", "7", role="worker", model="ollama:q")
    assert recorder.session is not None
    assert (
        [m.text for m in store.history(recorder.session)]
        == ["lead me", "I lead"]
        == [m.text for m in recorder.history]
    )
    assert [(e.model, e.main) for e in store.entries(recorder.session)][-1] == ("ollama:q", False)


def test_search_finds_words_in_prompts_answers_tool_inputs_and_outputs(store: Store) -> None:
    session = store.start(title="birds")
    call = ToolCall(id="1", name="files__read_file", arguments={"path": "ostrich.txt"})
    append(
        store,
        session,
        user("Where do penguins live?"),
        assistant(call),
        Message(role="tool", parts=(result(call, "kiwi"),)),
    )
    append(store, session, assistant("In the south."))
    for words, role in [
        ("penguins live", "user"),
        ("OSTRICH", "assistant"),
        ("kiw", "tool"),
        ("south", "assistant"),
    ]:
        (found,) = store.search(words)
        assert (found.session, found.title, found.role) == (session, "birds", role)
    assert store.search("penguins south") == []
    store.delete(session)
    assert store.search("penguins") == []


@pytest.mark.parametrize(
    "query", ['"', "a AND", "NEAR(", "x*y:z", "text:penguin", "-- ; DROP", "'", "a" * 5000]
)
def test_no_query_is_read_as_a_language(store: Store, query: str) -> None:
    try:
        assert store.search(query) == []
    except StoreError as exc:
        assert "wanted words" in str(exc)  # noqa: PT017  (either outcome is right)


def test_a_conversation_is_found_by_id_by_its_beginning_by_name_or_as_the_last(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no conversation yet"):
        store.find("last")
    first, second = store.start(title="one"), store.start(title="two", name="helper")
    append(store, first, user("x"), assistant("y"))
    assert store.find(first).title == "one" and store.find("helper").id == second
    assert store.find("last").id == first
    assert store.find(next(first[:n] for n in range(1, 9) if first[:n] != second[:n])).id == first
    for wrong in ("", "%", "*", "zzz", first + "0"):
        with pytest.raises(StoreError, match=f"the newest are .*{first}"):
            store.find(wrong)


def test_a_fork_goes_its_own_way_from_a_round_and_pays_for_nothing_twice(store: Store) -> None:
    session = store.start(title="t")
    for n in range(3):
        append(store, session, user(f"q{n}"), assistant(f"a{n}"), run=f"r{n}", usage=Usage(cost_usd=1.0))
    fork = store.fork(session, rounds=2)
    append(store, fork, user("other"), assistant("way"), run="r9")
    assert [m.text for m in store.history(fork)] == ["q0", "a0", "q1", "a1", "other", "way"]
    assert len(store.history(session)) == 6 and store.find(fork).parent == session
    assert store.usage(fork)["o:m"].cost_usd is None
    store.delete(session)
    assert len(store.history(fork)) == 6 and len(store.search("q1")) == 1


def test_deleting_one_conversation_leaves_the_others(store: Store) -> None:
    keep, drop = store.start(name="a"), store.start(name="b")
    for session in (keep, drop):
        append(store, session, user("shared words"), assistant("ok"))
    store.delete(drop)
    store.delete("nothing")
    assert [kept.id for kept in store.sessions()] == [keep] and len(store.search("shared")) == 1
    with pytest.raises(StoreError, match="was deleted"):
        append(store, drop, user("late"))
    assert store.start(name="a") == keep and store.start(name="b") != drop


@pytest.mark.anyio
async def test_a_store_that_fails_is_said_once_and_the_conversation_goes_on(store: Store) -> None:
    notices = list[Event]()
    recorder = Recorder(store, emit=notices.append)
    await talk(recorder, "one", "eins")
    assert recorder.session is not None
    store.delete(recorder.session)
    await talk(recorder, "two", "zwei")
    await talk(recorder, "three", "drei")
    assert len(recorder.history) == 6 and len(notices) == 1


@given(texts=st.lists(st.text(st.characters(), max_size=40), min_size=1, max_size=5))
def test_any_message_comes_back_as_it_was(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Store(tmp_path_factory.mktemp("s") / "c.sqlite")
    session = store.start()
    call = ToolCall(id="1", name="n", arguments={"a": texts, "b": {"c": None, "d": 1.5}}, raw=texts[0])
    image = Image(data="aGk=", mime="image/png")
    messages = (
        user(*texts, image),
        assistant(
            Thinking(text=texts[0], seal={"k": [1]}),
            Text(text=texts[-1], seal={"x": "y"}),
            call,
            origin="o:m",
        ),
        Message(
            role="tool", parts=(ToolResult(call_id="1", name="n", content=(Text(text=texts[0]), image)),)
        ),
    )
    append(store, session, *messages)
    assert tuple(store.history(session)) == messages
    lines = [json.loads(line) for line in as_jsonl(store, store.find(session))]
    assert [line["kind"] for line in lines] == ["session", "message", "message", "message", "event"]
    assert "".join(as_markdown(store.find(session), store.entries(session)))
    store.close()


def test_two_runs_written_at_once_read_one_after_the_other(store: Store) -> None:
    session = store.start()
    call = ToolCall(id="1", name="n", arguments={})
    append(
        store, session, user("a"), assistant(call), Message(role="tool", parts=(result(call, "r"),)), run="a"
    )
    append(store, session, user("b"), assistant("B"), run="b")
    append(store, session, assistant("A"), run="a")
    assert [m.text for m in store.history(session)] == ["a", "", "", "A", "b", "B"]


def test_an_export_holds_time_role_model_tools_usage_and_obeys_no_escape(store: Store) -> None:
    session = store.start(title="t")
    call = ToolCall(id="1", name="sh", arguments={"cmd": "```\x1b[2J"})
    append(
        store,
        session,
        user("do it"),
        assistant(call, origin="o:m"),
        Message(role="tool", parts=(result(call, "```out"),)),
        usage=Usage(output_tokens=2),
    )
    entries = store.entries(session)
    lines = [json.loads(line) for line in as_jsonl(store, store.find(session))]
    lines = [line for line in lines if line["kind"] in ("session", "message")]
    assert lines[-1]["usage"] == {"output_tokens": 2} and "usage" not in lines[1]
    assert {"at", "role", "model", "agent", "parts"} <= lines[1].keys()
    text = "\n".join(as_markdown(store.find(session), entries))
    assert "## lead `o:m`, 20" in text and "````text\n```out\n````" in text and "\x1b" not in text


WRITER = """
import sys
from orchestrator.events import Appended, RunStarted
from orchestrator.store.store import Store
from orchestrator.types import Usage, assistant, user
store = Store()
session = store.start(name=sys.argv[1])
for n in range(int(sys.argv[2])):
    started = RunStarted(run=f"{sys.argv[1]}{n}", parent=None, agent="lead", model="o:m", prompt="?")
    store.append(session, started, Appended(run=started.run, messages=(user(f"q{n} word"), assistant(f"a{n}")), usage=Usage()))
    print(n, flush=True)
"""


def writer(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def test_several_processes_write_at_once_from_the_first_moment_and_lose_nothing() -> None:
    running = [writer(name, 60) for name in ("a", "b", "c", "a")]
    for process in running:
        with process:
            assert process.wait(60) == 0
            assert process.stdout is not None and len(process.stdout.read().split()) == 60
    store = Store()
    counts = {kept.name: kept.messages for kept in store.sessions()}
    assert counts == {"a": 240, "b": 120, "c": 120}
    assert len(store.search("q59 word")) == 4
    store.close()


def test_a_killed_process_leaves_whole_rounds_and_at_most_its_last_is_missing() -> None:
    with writer("x", 100_000) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(25)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read().split()
    store = Store()
    texts = [m.text for m in store.history(store.find("x").id)]
    assert len(texts) // 2 in (len(said), len(said) + 1)
    assert texts == [text for n in range(len(texts) // 2) for text in (f"q{n} word", f"a{n}")]
    with closing(sqlite3.connect(store.path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()


def test_a_damaged_or_newer_store_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"not a database at all" * 100)
    before = damaged.read_bytes()
    with pytest.raises(StoreError, match=r"damaged\.sqlite is damaged .* sessions repair"):
        Store(damaged)
    assert damaged.read_bytes() == before
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="another Understudy"):
        Store(newer)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "no" / "such" / "folder.sqlite")


def test_only_the_owner_may_read_the_store(store: Store) -> None:
    assert store.path.stat().st_mode & 0o077 == 0


@pytest.mark.anyio
async def test_threads_share_one_store(store: Store) -> None:
    session = store.start()

    def write(n: int) -> None:
        append(store, session, user(f"q{n}"), assistant("a"), run=f"r{n}")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for n in range(20):
                group.start_soon(anyio.to_thread.run_sync, write, n)
    assert len(store.history(session)) == 40


def test_the_last_conversation_is_the_last_also_when_the_clock_was_put_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = store.start(title="one"), store.start(title="two")
    append(store, first, user("x"), assistant("y"), run="r1")
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now - 1_000_000)
    assert store.find("last").id == first
    append(store, second, user("z"), assistant("w"), run="r2")
    assert store.find("last").id == second
    third = store.start(title="three")
    assert store.find("last").id == third
    append(store, first, user("again"), assistant("yes"), run="r3")
    assert [kept.id for kept in store.sessions()] == [first, third, second]
    assert [m.text for m in store.history(first)] == ["x", "y", "again", "yes"]


def test_text_with_half_characters_is_kept_and_asked_for_without_a_crash(store: Store) -> None:
    odd = "caf\udce9"  # as Python reads a file name or an argument that is no UTF-8
    session = store.start(title=odd, folder=f"/home/{odd}", name=odd)
    started = RunStarted(run="r", parent=None, agent=odd, model=f"o:{odd}", prompt=odd)
    store.append(session, started, Appended(run="r", messages=(user(odd), assistant(odd)), usage=Usage()))
    assert store.find(odd).id == session and store.find(odd).folder == "/home/caf?"
    assert [m.text for m in store.history(session)] == [odd, odd]
    assert store.search(f"caf {odd}") == [] or store.search("caf")
