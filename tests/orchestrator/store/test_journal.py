"""Nothing that happened is lost: killed processes, busy, full and read-only disks, damaged files, older formats."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.agent import Agent, run
from orchestrator.cli import main
from orchestrator.events import Appended, Event, Notice, RunEnded, RunStarted, Streamed
from orchestrator.history import KILLED, UNDER_WAY
from orchestrator.providers.scripted import Scripted
from orchestrator.store.codec import message_json
from orchestrator.store.recorder import Recorder, open_conversation
from orchestrator.store.replay import replay
from orchestrator.store.store import Damaged, Store, StoreError, Unwritable
from orchestrator.types import Message, Thinking, ToolCall, Usage, assistant, user
from tests.conversations import whole
from tests.disks import disk_at, fill, read_only
from tests.results import described
from tests.wire.stub import Stub
from tests.wire.wires import refused

TURN = """
import os, signal, sys
import anyio
from orchestrator.agent import Agent, run
from orchestrator.events import tee
from orchestrator.providers.scripted import Scripted
from orchestrator.store.recorder import open_conversation
from orchestrator.store.store import Store
from orchestrator.types import ToolCall, ToolSpec, assistant, result

class Box:
    specs = (ToolSpec(name="echo", description="", parameters={"type": "object"}),)
    async def call(self, call, progress=None):
        return result(call, f"{call.id} is done")

calls = [ToolCall(id=f"c{n}", name="echo", arguments={"n": n}) for n in range(3)]
script = Scripted(assistant("I look.", calls[0], calls[1]), assistant(calls[2]), "It is three words long.")
count = 0
def deadly(event):
    global count
    print(event.kind, flush=True)
    count += 1
    if count == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
recorder = open_conversation(Store(), folder="/x")
agent = Agent(name="lead", model="scripted:s")
anyio.run(lambda: run(agent, "how long?", provider=script, tools=Box(), emit=tee(recorder, deadly)))
print("whole")
"""


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store()
    yield opened
    opened.close()


def ask(agent: Agent, prompt: str, **parts: Any) -> None:
    anyio.run(lambda: run(agent, prompt, **parts))


def talk(recorder: Recorder, prompt: str, *lines: str | Message) -> None:
    agent = Agent(name="lead", model="scripted:s")
    ask(agent, prompt, provider=Scripted(*lines), history=tuple(recorder.history), emit=recorder)


def test_a_process_killed_at_any_event_has_kept_all_that_had_happened_and_every_vendor_goes_on(
    own_state: Path, stub: Stub
) -> None:
    said, histories = list[str](), list[list[Message]]()
    for place in range(1, 60):
        shutil.rmtree(own_state / "understudy", ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-c", TURN, str(place)], capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode == 0:
            assert done.stdout.endswith("whole\n")
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        said = done.stdout.split()
        store = Store()
        kept = store.find("last")
        history = store.history(kept.id)
        whole(history)
        histories.append(history)
        assert history[0].text == "how long?"
        everything = json.dumps([str(message) for message in history])
        for number in range(said.count("tool_finished")):
            assert f"c{number} is done" in everything
        if said.count("appended") < 5:
            assert "the program ended" in everything
        assert store.search("long")
        assert store.history(store.fork(kept.id)) == history
        again = [event.kind for event in replay(store, kept.id) if event.kind != "streamed"]
        happened = [kind for kind in said if kind != "streamed"]
        assert again == (happened if happened[-1] == "run_ended" else [*happened, "appended", "run_ended"])
        store.close()
    else:
        pytest.fail("the turn never came to its end")
    assert len(said) > 12
    assert anyio.run(refused, stub, histories) == []


def test_the_next_question_after_a_kill_goes_on_from_what_was_there(own_state: Path) -> None:
    subprocess.run([sys.executable, "-c", TURN, "8"], capture_output=True, check=False, timeout=120)
    recorder = open_conversation(Store(), which="last")
    script = Scripted("three")
    agent = Agent(name="lead", model="scripted:s")
    ask(agent, "shorter please", provider=script, history=tuple(recorder.history), emit=recorder)
    assert script.requests[0].messages[0].text == "how long?"
    assert recorder.store is not None and recorder.session is not None
    again = recorder.store.history(recorder.session)
    assert again == recorder.history and again[-2].text == "shorter please"
    recorder.close()


def test_a_partial_answer_is_there_while_it_is_written_and_after_a_kill() -> None:
    recorder = open_conversation(Store())
    recorder(RunStarted(run="r", parent=None, agent="lead", model="o:m", prompt="tell me"))
    recorder(Streamed(run="r", text="A story, then.", thinking=True))
    for piece in ("Once ", "upon ", "a time"):
        recorder(Streamed(run="r", text=piece, thinking=False))
    for cause in (UNDER_WAY, KILLED):
        store = Store()
        history = store.history(str(recorder.session))
        assert history[1].parts[0] == Thinking(text="A story, then.")
        assert (
            history[0].text == "tell me" and history[1].text == f"Once upon a time\n\n[interrupted: {cause}]"
        )
        store.close()
        recorder.close()  # nobody is at it any more


def test_a_held_file_is_tried_again_now_and_then_and_not_for_every_piece(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = list[float]()
    recorder = open_conversation(store)
    recorder(RunStarted(run="r", parent=None, agent="lead", model="o:m", prompt="tell me"))
    patient = store.patient

    def noted(seconds: float) -> AbstractContextManager[None]:
        tries.append(seconds)
        return patient(seconds)

    monkeypatch.setattr(store, "patient", noted)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(500):
        recorder(Streamed(run="r", text="word ", thinking=False))
    other.execute("COMMIT")
    other.close()
    assert len(tries) == 1
    recorder(Appended(run="r", messages=(user("tell me"), assistant("word " * 500)), usage=Usage()))
    recorder(RunEnded(run="r", usage=Usage(), seconds=1.0))
    assert store.history(str(recorder.session)) == recorder.history


FORMAT_1 = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, name TEXT UNIQUE, created_at REAL NOT NULL, title TEXT NOT NULL,
    folder TEXT NOT NULL, parent TEXT);
CREATE TABLE rounds (id INTEGER PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    run TEXT NOT NULL, main INTEGER NOT NULL, agent TEXT NOT NULL, model TEXT NOT NULL, at REAL NOT NULL,
    usage TEXT NOT NULL, recorded INTEGER NOT NULL);
CREATE INDEX rounds_of_session ON rounds (session, id);
CREATE TABLE messages (id INTEGER PRIMARY KEY, round INTEGER NOT NULL REFERENCES rounds ON DELETE CASCADE,
    role TEXT NOT NULL, body TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX messages_of_round ON messages (round, id);
CREATE VIRTUAL TABLE found USING fts5 (text, content='messages', content_rowid='id');
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
    INSERT INTO found (rowid, text) VALUES (new.id, new.text); END;
CREATE TRIGGER messages_gone AFTER DELETE ON messages BEGIN
    INSERT INTO found (found, rowid, text) VALUES ('delete', old.id, old.text); END;
PRAGMA user_version = 1;
"""


def test_conversations_of_the_first_format_are_all_there_and_go_on(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path)
    old.executescript(FORMAT_1)
    old.execute("INSERT INTO sessions VALUES ('s1', NULL, 5, 'birds', '/x', NULL)")
    said = [(1, "a", 1, "kiwi?"), (2, "w", 0, "aside"), (3, "b", 1, "ostrich?"), (4, "a", 1, "late")]
    for number, run_id, spoken, text in said:
        row = (number, "s1", run_id, spoken, "lead", "o:m", 10.0 + number, '{"cost_usd": 0.5}', 0)
        old.execute("INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        for message in (user(text), assistant(f"of {text}")):
            row = (number, message.role, message_json(message), message.text)
            old.execute("INSERT INTO messages (round, role, body, text) VALUES (?, ?, ?, ?)", row)
    old.commit()
    old.close()
    store = Store(path)
    (kept,) = store.sessions()
    assert (kept.messages, kept.model, kept.updated_at) == (6, "o:m", 14.0)
    recorder = open_conversation(store, which="s1")
    talk(recorder, "new", "answer")
    texts = [m.text for m in store.history("s1")]
    assert texts == ["kiwi?", "of kiwi?", "late", "of late", "ostrich?", "of ostrich?", "new", "answer"]
    assert store.usage("s1")["o:m"].cost_usd == 2.0 and store.search("ostr") and store.search("answer")
    store.delete("s1")
    assert store.search("ostrich") == []
    store.close()


def test_what_happens_while_another_process_holds_the_file_is_written_afterwards(store: Store) -> None:
    told: list[Event] = []
    recorder = Recorder(store, emit=told.append)
    talk(recorder, "before", "one")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    talk(recorder, "meanwhile", "two")
    other.execute("COMMIT")
    other.close()
    talk(recorder, "after", "three")
    assert recorder.session is not None
    assert [m.text for m in store.history(recorder.session)] == [m.text for m in recorder.history]
    busy, written = [event.text for event in told if isinstance(event, Notice)]
    assert f"process {os.getpid()}" in busy and "held in memory" in busy and "written now" in written
    assert "move it away" not in busy


def test_a_full_disk_is_called_full_and_what_was_said_is_there_once_it_has_room(tmp_path: Path) -> None:
    with disk_at(tmp_path / "disk", "1m") as disk:
        store = Store(disk / "c.sqlite")
        told: list[Event] = []
        recorder = Recorder(store, emit=told.append)
        talk(recorder, "before", "one")
        ballast = fill(disk)
        talk(recorder, "x" * 50_000, "two")
        (notice,) = [event.text for event in told if isinstance(event, Notice)]
        assert notice.startswith(f"the disk of {store.path} is full")
        ballast.unlink()
        talk(recorder, "after", "three")
        assert recorder.session is not None
        assert [m.text for m in store.history(recorder.session)] == [m.text for m in recorder.history]
        store.close()


def test_a_file_that_cannot_be_written_is_still_read(store: Store, tmp_path: Path) -> None:
    talk(open_conversation(store), "what was said", "this")
    store.close()
    with read_only(tmp_path / "disk", store.path) as path:
        reader = Store(path)
        assert reader.read_only and reader.sessions()[0].title == "what was said"
        assert [m.text for m in reader.history(reader.find("last").id)] == ["what was said", "this"]
        told: list[Event] = []
        recorder = open_conversation(reader, which="last", emit=told.append)
        talk(recorder, "and now", "fine")
        assert len(recorder.history) == 4
        (notice,) = [event.text for event in told if isinstance(event, Notice)]
        assert "read-only" in notice and "move" not in notice
        reader.close()


def test_where_the_state_folder_cannot_be_written_every_command_works_unsaved_and_says_so(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talk(open_conversation(store), "the needle", "found")
    store.close()
    (tmp_path / "s.jsonl").write_text('{"text": "still here"}\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    write = ["call", "files", "write_file", "path=new.txt", "content=hello"]
    run = ["run", "--no-tools", "--model", "scripted:s.jsonl", "x"]
    commands = {"still here": run, "+hello": write, "calls": ["metrics"], "nothing": ["memory"]}
    with read_only(tmp_path / "disk", store.path) as path:
        for home, known in ((path.parent, "needle"), (path.parent / "none", "there is no conversation yet")):
            monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
            for says, words in {known: ["sessions"], **commands}.items():
                (tmp_path / "new.txt").unlink(missing_ok=True)
                assert main(words) == 0, words
                out, err = capsys.readouterr()
                assert says in out and f"{home} cannot be written" in err and "is kept" in err
        monkeypatch.setenv("UNDERSTUDY_HOME", str(path.parent))
        assert main(["sessions", "delete", "last"]) == 1  # not from a copy, as if that helped
        assert f"{path} cannot be written: it is read-only here" in capsys.readouterr().err
        assert os.environ["UNDERSTUDY_HOME"] == str(path.parent)


def test_only_a_damaged_file_is_called_damaged(store: Store, tmp_path: Path) -> None:
    store.close()
    bad = tmp_path / "bad.sqlite"
    bad.write_bytes(b"not a database at all, and long enough to be looked at" * 40)
    with pytest.raises(Damaged, match="sessions repair"):
        Store(bad)
    assert bad.read_bytes().startswith(b"not a database")
    newer = sqlite3.connect(tmp_path / "newer.sqlite")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="another Understudy") as caught:
        Store(tmp_path / "newer.sqlite")
    assert not isinstance(caught.value, Damaged | Unwritable)


def test_the_journal_shows_the_same_again(store: Store) -> None:
    seen: list[Event] = []
    recorder = Recorder(store)

    def both(event: Event) -> None:
        recorder(event)
        seen.append(event)

    agent = Agent(name="lead", model="scripted:s")
    script = Scripted(assistant("I try.", ToolCall(id="1", name="nope", arguments={"a": "\udc80"})), "no")
    ask(agent, "go", provider=script, emit=both)
    assert recorder.session is not None
    assert store.events(recorder.session) == [event for event in seen if event.kind != "streamed"]


def damaged(path: Path) -> None:
    """Overwrite pages in the middle of the file, where rows lie."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    data = bytearray(path.read_bytes())
    for page in range(len(data) // 4096 // 2, len(data) // 4096, 7):
        data[page * 4096 : page * 4096 + 2048] = b"\xff" * 2048
    path.write_bytes(data)


def test_what_can_be_read_of_a_damaged_file_is_saved_and_the_file_kept(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(40):
        talk(open_conversation(store), f"question {number} " + "x" * 3000, f"answer {number}")
    path = store.path
    store.close()
    assert main(["sessions", "repair", "--json"]) == 0
    assert described("sessions repair", capsys.readouterr().out)["repaired"] is False
    path.write_bytes(b"\xff" * 4096 + path.read_bytes()[4096:])
    assert main(["sessions", "repair", "--json"]) == 0
    said = described("sessions repair", capsys.readouterr().out)
    assert said["repaired"] and Path(said["old"]).exists()
    again = Store(path)
    talk(open_conversation(again), "after", "all")
    assert again.sessions(1)[0].title == "after"
    again.close()


def test_rows_beside_damaged_pages_are_saved(store: Store) -> None:
    from orchestrator.store.repair import repair

    for number in range(60):
        talk(open_conversation(store), f"question {number} " + "x" * 3000, f"answer {number}")
    path = store.path
    store.close()
    damaged(path)
    saved = repair(path)
    assert saved.old.exists() and 5 < saved.messages <= 120
    again = Store(path)
    for kept in again.sessions():
        for message in again.history(kept.id):
            assert message.text
    again.close()
