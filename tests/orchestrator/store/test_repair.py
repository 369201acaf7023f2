"""What still stands in a damaged file is saved, wherever and however often it was hit."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.cli import main
from orchestrator.events import Appended, RunEnded, RunStarted
from orchestrator.store.archive import as_jsonl
from orchestrator.store.recorder import open_conversation
from orchestrator.store.repair import damage, repair
from orchestrator.store.replay import replay
from orchestrator.store.store import Store
from orchestrator.types import Message, Usage, assistant, user

TALKS, TURNS, PAGE = 20, 3, 4096
LONG = "long " * 1500  # an answer that goes over several pages


def talk(store: Store, name: str, turns: int = TURNS) -> None:
    recorder = open_conversation(store, name=name)
    for n in range(turns):
        run = f"{name}-{n}"
        asked, said = user(f"{name} asks {n} " + "x" * 800), assistant(f"{name} hears {n} {LONG * (n == 1)}")
        recorder(RunStarted(run=run, parent=None, agent="lead", model="o:m", prompt=asked.text))
        recorder(Appended(run=run, messages=(asked, said), usage=Usage(input_tokens=1)))
        recorder(RunEnded(run=run, usage=Usage(input_tokens=1), seconds=1.0))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of TALKS conversations, all of it in the file itself."""
    path = tmp_path_factory.mktemp("sound") / "c.sqlite"
    store = Store(path)
    for number in range(TALKS):
        talk(store, f"talk{number}")
    store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def copied(sound: Path, folder: Path, change: Callable[[bytearray], bytearray]) -> Path:
    path = folder / "c.sqlite"
    path.write_bytes(change(bytearray(sound.read_bytes())))
    return path


def read_all(path: Path) -> list[Message]:
    """Every message, with all that can be told of each conversation; the file is sound."""
    found: list[Message] = []
    with closing(Store(path)) as store:
        assert damage(store.database) is None
        for kept in store.sessions(1000):
            history = store.history(kept.id)
            assert len(list(as_jsonl(store, kept))) > len(list(store.events(kept.id))) >= 0
            assert all(event.kind for event in replay(store, kept.id))
            found += history
        talk(store, "afterwards", 1)
    return found


def zeroed(first: int, last: int) -> Callable[[bytearray], bytearray]:
    def change(data: bytearray) -> bytearray:
        data[first:last] = bytes(last - first)
        return data

    return change


def headed(place: int, value: bytes) -> Callable[[bytearray], bytearray]:
    def change(data: bytearray) -> bytearray:
        data[place : place + len(value)] = value
        return data

    return change


@pytest.mark.parametrize(
    "change",
    [zeroed(0, 100), zeroed(0, PAGE), headed(16, b"\x10\x01"), headed(60, bytes(4)), headed(60, b"\0\0\0\2")],
    ids=["no header", "no first page", "another page size", "no format", "an older format"],
)
def test_a_file_with_a_wrong_beginning_loses_nothing(
    sound: Path, own_state: Path, change: Callable[[bytearray], bytearray], capsys: pytest.CaptureFixture[str]
) -> None:
    home = own_state / "understudy"
    home.mkdir(mode=0o700)
    copied(sound, home, change).rename(home / "conversations.sqlite")
    assert main(["sessions"]) != 0 and "sessions repair" in capsys.readouterr().err
    assert main(["sessions", "repair"]) == 0
    messages = TALKS * TURNS * 2
    assert f"{TALKS} conversations with {messages} messages are saved" in capsys.readouterr().out
    with closing(Store()) as store:
        for number in range(TALKS):
            (one,) = [kept for kept in store.sessions(100) if kept.name == f"talk{number}"]
            assert [m.text.split()[:3] for m in store.history(one.id)][-1] == [f"talk{number}", "hears", "2"]
            assert store.usage(one.id)["o:m"].input_tokens == TURNS


def test_damage_behind_a_sound_beginning_is_found(
    sound: Path, own_state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = own_state / "understudy"
    home.mkdir(mode=0o700)
    path = home / "conversations.sqlite"
    path.write_bytes(sound.read_bytes())
    assert main(["sessions", "repair"]) == 0 and "nothing to repair" in capsys.readouterr().out
    assert path.read_bytes() == sound.read_bytes()
    data = bytearray(sound.read_bytes())
    data[-40 * PAGE : -39 * PAGE] = bytes(PAGE)
    path.write_bytes(data)
    assert main(["sessions", "repair"]) == 0
    assert read_all(path)


@settings(max_examples=8)
@example(seed=1, pages=1.0, cut=0.5, noise=0)
@example(seed=2, pages=0.6, cut=1.0, noise=500)
@given(
    seed=st.integers(0, 999), pages=st.floats(0.2, 1.0), cut=st.floats(0.05, 1.0), noise=st.integers(0, 300)
)
def test_a_file_damaged_in_many_places_gives_back_only_what_was_said_and_is_sound(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, seed: int, pages: float, cut: float, noise: int
) -> None:
    """`pages`: the share left whole; `cut`: the share of the file that is there; `noise`: bytes changed at random."""
    rng = random.Random(seed)

    def change(data: bytearray) -> bytearray:
        for page in range(len(data) // PAGE):
            if rng.random() > pages:
                data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
        for _ in range(noise):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return data[: int(len(data) * cut)]

    path = copied(sound, tmp_path_factory.mktemp("damaged"), change)
    saved = repair(path)
    assert saved.old.exists()
    found = read_all(path)
    if not noise:  # a changed letter within a text is seen by nobody
        with closing(Store(sound)) as store:
            said = {m.text for kept in store.sessions(100) for m in store.history(kept.id)}
        assert {m.text for m in found if "[interrupted" not in m.text} <= said
    if pages == 1.0 and not noise:
        assert len(found) >= TALKS * TURNS * 2 * cut * 0.5


def test_what_was_deleted_does_not_come_back_and_what_is_only_in_the_log_does(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    store = Store(path)
    for name in ("keep", "drop"):
        talk(store, name)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.delete(store.find("drop").id)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    talk(store, "late")  # in the log alone, as after a crash
    crashed = tmp_path / "crashed.sqlite"
    for end in ("", "-wal"):
        crashed.with_name(crashed.name + end).write_bytes(path.with_name(path.name + end).read_bytes())
    store.close()
    repair(crashed)
    with closing(Store(crashed)) as again:
        assert sorted(str(kept.name) for kept in again.sessions()) == ["keep", "late"]
        assert again.search("drop") == [] and len(again.history(again.find("late").id)) == 2 * TURNS
