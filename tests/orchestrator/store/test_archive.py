"""R92, R94: a conversation goes to another machine and is the same there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.cli import main
from orchestrator.errors import ConfigError
from orchestrator.events import Event, Notice, RunStarted, Switched
from orchestrator.store.archive import as_jsonl, read_in
from orchestrator.store.recorder import Recorder, open_conversation
from orchestrator.store.replay import replay
from orchestrator.store.store import Store
from tests.conversations import turn_of, turns, whole
from tests.results import described


def told(store: Store, session: str) -> tuple[Any, ...]:
    """All that the store says of a conversation."""
    return (
        [json.loads(line) for line in as_jsonl(store, store.find(session))],
        [replace(entry, round=None) for entry in store.entries(session)],
        store.usage(session),
        store.events(session),
        list(replay(store, session)),
    )


def without_numbers(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rounds are numbered by the file they stand in."""
    known = sorted({line["round"] for line in lines if line.get("round") is not None})
    for line in lines:
        inner = line.get("event", line)
        if inner.get("round") is not None:
            inner["round"] = known.index(inner["round"])
    return lines


@settings(max_examples=12)
@example(told_turns=[([], "The end.")], killed_after=4, fork=None)  # in the middle of an answer
@example(told_turns=[([("", "x", ["echo"])], "The end.")] * 2, killed_after=None, fork=3)
@given(told_turns=turns, killed_after=st.none() | st.integers(1, 40), fork=st.none() | st.integers(0, 4))
def test_export_then_import_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory,
    told_turns: list[Any],
    killed_after: int | None,
    fork: int | None,
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    here, there = Store(folder / "here.sqlite"), Store(folder / "there.sqlite")
    turn_of(([], "other"), Recorder(there))  # its numbers are taken
    recorder, heard = Recorder(Store(here.path)), 0

    def emit(event: Event) -> None:
        nonlocal heard
        heard += 1
        if killed_after is None or heard <= killed_after:  # what comes later nobody wrote down
            recorder(event)

    emit(Notice(text="before"))
    for turn in told_turns:
        turn_of(turn, emit)
        emit(Switched(old="a:b", new="c:d"))
    recorder.close()
    if recorder.session is None:
        return
    session = recorder.session
    if fork is not None:
        session = here.fork(session, rounds=fork)
        turn_of(told_turns[0], open_conversation(here, which=session))
    copy = read_in(there, as_jsonl(here, here.find(session)), "it")
    assert copy == here.find(session)
    ours, theirs = told(here, session), told(there, session)
    for said in (ours[0], theirs[0]):
        without_numbers(said)
    assert ours == theirs
    assert there.search("go") and here.history(session) == there.history(session)
    here.close()
    there.close()


def test_a_taken_id_or_name_is_left_to_its_owner_and_the_copy_goes_on(tmp_path: Path) -> None:
    store = Store()
    session = store.start(name="ann", title="t")
    turn_of(([], "first"), open_conversation(store, name="ann"))
    lines = list(as_jsonl(store, store.find("ann")))
    copy = read_in(store, lines, "it")
    assert copy.id != session and copy.name is None and store.find("ann").id == session
    turn_of(([], "second"), open_conversation(store, which=copy.id))
    assert [m.text for m in store.history(copy.id)] == ["go\non", "first", "go\non", "second"]
    assert len(store.history(session)) == 2
    assert [event.prompt for event in store.events(copy.id) if isinstance(event, RunStarted)] == [
        "go\non"
    ] * 2
    store.close()


def test_a_file_that_is_none_is_refused_whole_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store()
    turn_of(([], "first"), open_conversation(store))
    lines = list(as_jsonl(store, store.find("last")))
    store.delete(store.find("last").id)
    wrong = {
        "empty": ([], "is empty"),
        "no json": ([*lines, "{"], "line 7: "),
        "headless": (lines[1:], "line 1: wanted the session's own line first"),
        "two": ([*lines, lines[0]], "a file holds one conversation"),
        "gap": ([lines[0], *lines[3:]], "are missing"),
        "kind": ([*lines, '{"kind": "other"}'], "line 7: "),
        "event": (
            [*lines, '{"kind": "event", "at_s": 1, "run": "r", "event": {"kind": "notice"}}'],
            "line 7: ",
        ),
        "usage": ([lines[0], lines[1], lines[2].replace('"usage": {', '"usage": {"coins": 3, ')], "line 3: "),
    }
    for name, (content, says) in wrong.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
        assert main(["sessions", "import", str(path)]) == 2, name
        assert says in (error := capsys.readouterr().err) and str(path) in error, (name, error)
    assert store.sessions() == []
    (tmp_path / "good.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["sessions", "import", str(tmp_path / "good.jsonl"), "--json"]) == 0
    assert described("sessions import", capsys.readouterr().out)["sessions"][0]["messages"] == 2
    assert main(["sessions", "import", str(tmp_path / "nowhere")]) == 2
    store.close()


def test_an_export_beside_a_turn_under_way_is_whole_at_each_moment(tmp_path: Path) -> None:
    here, there = Store(), Store(tmp_path / "there.sqlite")
    recorder = Recorder(Store())

    def emit(event: Event) -> None:
        recorder(event)
        if recorder.session is not None:
            kept = here.find(recorder.session)
            copy = read_in(there, as_jsonl(here, kept), "it")
            whole(there.history(copy.id))
            fork = here.fork(kept.id)
            whole(here.history(fork))
            here.delete(fork)

    turn_of(([("hm", "I look", ["echo", "worker"])], "done"), emit)
    assert len(there.sessions(100)) > 8
    recorder.close()
    here.close()
    there.close()


def test_a_file_that_lost_lines_or_holds_impossible_moments_is_refused(tmp_path: Path) -> None:
    here, there = Store(), Store(tmp_path / "there.sqlite")
    turn_of(([("", "I look", ["echo"])], "done"), Recorder(here))
    lines = list(as_jsonl(here, here.find("last")))
    for count in range(1, len(lines)):
        with pytest.raises(ConfigError, match="nothing of it is read in"):
            read_in(there, lines[:count], "half")
    begin = json.loads(lines[0])
    for wrong in ({"updated_at": 1e300}, {"created_at": float("nan")}, {"created_at": -1.0}):
        with pytest.raises(ConfigError, match="line 1"):
            read_in(there, [json.dumps({**begin, **wrong}), *lines[1:]], "odd")
    assert there.sessions() == []
    future = json.dumps({**begin, "updated_at": 9e9})
    assert read_in(there, ["", future, *lines[1:], "  "], "later").updated_at < 9e9
    here.close()
    there.close()
