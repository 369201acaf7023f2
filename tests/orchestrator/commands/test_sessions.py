"""R87: kept conversations from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from orchestrator.agent import Agent, run
from orchestrator.cli import main
from orchestrator.events import Appended, RunStarted, Streamed
from orchestrator.providers.scripted import Scripted
from orchestrator.store.recorder import Recorder
from orchestrator.store.store import Store
from orchestrator.types import Usage, assistant, user
from tests.results import described


def talk(store: Store, title: str, rounds: int = 1) -> str:
    session = store.start(title=title)
    for n in range(rounds):
        started = RunStarted(run=f"{session}{n}", parent=None, agent="lead", model="o:m", prompt="?")
        messages = (user(f"{title} {n}"), assistant(f"answer {n}", origin="o:m"))
        store.append(session, started, Appended(run=started.run, messages=messages, usage=Usage()))
    return session


def said_so(text: str) -> Streamed:
    return Streamed(run="k", text=text, thinking=False)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["sessions", *words])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_they_are_listed_and_searched_for_people_and_programs(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys)[1].startswith("there is no conversation yet")
    birds, fish = talk(store, "birds"), talk(store, "fish")
    _, out, _ = said(capsys)
    assert [line.split()[0] for line in out.splitlines()] == [fish, birds]
    assert [
        one["id"] for one in described("sessions", said(capsys, "--json", "--limit", "1")[1])["sessions"]
    ] == [fish]
    assert birds in said(capsys, "search", "bird")[1] and said(capsys, "search", "cow")[1].startswith(
        "no message"
    )
    assert (
        described("sessions search", said(capsys, "search", "fish", "--json")[1])["found"][0]["session"]
        == fish
    )


def test_one_is_shown_exported_forked_and_deleted(
    store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    session = talk(store, "birds", rounds=3)
    assert "o:m │ answer 2" in said(capsys, "show", session)[1]
    assert "## lead `o:m`" in said(capsys, "export", "last")[1]
    file = tmp_path / "talk.jsonl"
    assert said(capsys, "export", "--to", str(file))[0] == 0
    kinds = [json.loads(line)["kind"] for line in file.read_text(encoding="utf-8").splitlines()]
    assert kinds == ["session"] + ["message"] * 6 + ["event"] * 3
    fork = described("sessions fork", said(capsys, "fork", session, "--rounds", "1", "--json")[1])["session"]
    assert (fork["parent"], fork["messages"]) == (session, 2)
    assert described("sessions delete", said(capsys, "delete", session, "--json")[1])["deleted"] == [session]
    assert [kept.id for kept in store.sessions()] == [fork["id"]]


def test_a_conversation_is_replayed_with_what_it_began_with_elsewhere(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(store)
    answers = Scripted("one fish", "two fish")
    lead = Agent(name="lead", model="o:m")
    anyio.run(lambda: run(lead, "how many?", provider=answers, emit=recorder))
    fork = Recorder(Store(), store.find(store.fork(str(recorder.session))))
    anyio.run(lambda: run(lead, "and now?", provider=answers, emit=fork))
    for piece in (
        RunStarted(run="k", parent=None, agent="lead", model="o:m", prompt="more"),
        said_so("three f"),
    ):
        fork(piece)
    fork.close()  # as if its process were killed
    lines = said(capsys, "replay", "last", "--format", "plain")[1].splitlines()
    assert lines[:3] == [
        "you │ how many?",
        "scripted:m │ one fish",
        "understudy │ 2 messages, 1 model, 0 tool calls",
    ]
    assert lines[3:5] == ["you │ and now?", "lead o:m │ two fish"] and lines[5].startswith("lead o:m │ ·")
    assert lines[6:8] == ["you │ more", "lead o:m │ three f"]
    assert lines[-1] == "lead o:m │ ✗ stopped: the program ended before the answer was complete"
    kinds = [
        json.loads(line)["kind"]
        for line in said(capsys, "replay", str(recorder.session), "--json")[1].splitlines()
    ]
    assert kinds == ["run_started", "streamed", "appended", "run_ended"]


def test_what_is_wrong_is_one_sentence(
    store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    session = talk(store, "birds")
    (tmp_path / "taken.md").write_text("mine", encoding="utf-8")
    for words, says in (
        (("show", "zz"), "there is no conversation 'zz'; the newest are"),
        (("delete",), "say which to delete"),
        (("delete", session, "zz"), "there is no conversation 'zz'"),
        (("show", "a", "b"), "wanted one conversation"),
        (("search", "!"), "wanted words to look for"),
        (("export", "--to", str(tmp_path / "taken.md")), "exists; choose another name"),
        (("export", "--to", str(tmp_path / "no" / "x.md")), "cannot be written"),
    ):
        code, out, err = said(capsys, *words)
        assert code in (1, 2) and out == "" and says in err and err.count("\n") == 1, words
    assert len(store.sessions()) == 1 and (tmp_path / "taken.md").read_text(encoding="utf-8") == "mine"
