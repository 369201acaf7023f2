"""The journal of conversations beside bare sqlite3: list, resume, search, fork and append among a million messages.

    python -m benchmarks.store [--sessions 10000] [--messages 1000000] [--json]

The peer is a file of two tables and one full-text index, filled with the same messages, and the shortest statements
that give the same answer. What the journal holds beyond that (events, rounds, counters, money) is what its ratio pays
for. The searched words range from one that stands in nearly every message to one that stands in a single one, and a
single letter, the beginning of every third word.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.ratios import Row, ratio, report
from orchestrator.events import Appended, RunEnded, RunStarted, event_json
from orchestrator.store.codec import message_json, message_of
from orchestrator.store.store import Store
from orchestrator.types import Message, Usage, assistant, user

LONG = 20_000
"""Messages of the conversation that is forked."""
WORDS_EACH = 20
BARE = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, updated_at REAL, title TEXT);
CREATE INDEX by_time ON sessions (updated_at);
CREATE TABLE messages (id INTEGER PRIMARY KEY, session TEXT, body TEXT, text TEXT);
CREATE INDEX of_session ON messages (session, id);
CREATE VIRTUAL TABLE found USING fts5 (text, content='messages', content_rowid='id', prefix='1 2 3');
CREATE TRIGGER added AFTER INSERT ON messages BEGIN INSERT INTO found (rowid, text) VALUES (new.id, new.text); END;
"""


def vocabulary(rng: random.Random) -> tuple[list[str], list[float]]:
    """Words as frequent as those of a language: the n-th is 1/n as frequent as the first."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = ["the", "a", "of"]
    while len(words) < 20_000:
        words.append("".join(rng.choices(letters, k=rng.randint(2, 9))))
    return words, [1 / place for place in range(1, len(words) + 1)]


def conversations(sessions: int, messages: int) -> Iterator[tuple[str, list[Message]]]:
    """(id, messages): one of LONG messages, the others alike."""
    rng = random.Random(7)
    words, weights = vocabulary(rng)
    each = max((messages - LONG) // (sessions - 1), 2)
    for number in range(sessions):
        count = LONG if number == 0 else each
        said = rng.choices(words, weights, k=count * WORDS_EACH)
        texts = [" ".join(said[at : at + WORDS_EACH]) for at in range(0, len(said), WORDS_EACH)]
        if number == sessions // 2:
            texts[-1] += " needle"
        turns = [user(t) if n % 2 == 0 else assistant(t, origin="o:m") for n, t in enumerate(texts)]
        yield f"{number:08x}", turns


def fill(store: Store, bare: sqlite3.Connection, sessions: int, messages: int) -> None:
    """Both files, session by session; the journal gets the rows that `Recorder` would write."""
    events = rounds = rows = 0
    for number, (session, turns) in enumerate(conversations(sessions, messages)):
        bodies = [(message_json(m), m.text, m.role) for m in turns]
        with bare:
            bare.execute("INSERT INTO sessions VALUES (?, ?, ?)", (session, number, "t"))
            bare.executemany(
                "INSERT INTO messages (session, body, text) VALUES (?, ?, ?)",
                [(session, body, text) for body, text, _ in bodies],
            )
        with store.database.writing() as database:
            database.execute(
                "INSERT INTO sessions (id, created_at, title, folder, updated_at, model, messages)"
                " VALUES (?, ?, 't', '/', ?, 'o:m', ?)",
                (session, number, number, len(turns)),
            )
            kept_events, kept_rounds, kept_messages = [], [], []
            for at in range(0, len(turns), 2):
                rounds += 1
                run, pair = f"{rounds:08x}", turns[at : at + 2]
                begun = RunStarted(run=run, parent=None, agent="lead", model="o:m", prompt=pair[0].text)
                ended = RunEnded(run=run, usage=Usage(), seconds=1.0)
                value = json.loads(event_json(Appended(run=run, messages=(), usage=Usage())))
                del value["messages"]
                appended = json.dumps({**value, "round": rounds, "places": [0, len(pair)]})
                kept_events += [
                    (session, run, number, "run_started", event_json(begun)),
                    (session, run, number, "appended", appended),
                    (session, run, number, "run_ended", event_json(ended)),
                ]
                kept_rounds.append((rounds, session, run, number, events + 1))
                kept_messages += [(rounds, role, body, text) for body, text, role in bodies[at : at + 2]]
                events += 3
            database.executemany(
                "INSERT INTO events (session, run, at, kind, body) VALUES (?, ?, ?, ?, ?)", kept_events
            )
            database.executemany(
                "INSERT INTO rounds (id, session, run, main, agent, model, at, usage, recorded, begun)"
                " VALUES (?, ?, ?, 1, 'lead', 'o:m', ?, '{}', 0, ?)",
                kept_rounds,
            )
            database.executemany(
                "INSERT INTO messages (round, role, body, text) VALUES (?, ?, ?, ?)", kept_messages
            )
        rows += len(turns)
        if number % 500 == 0:
            sys.stderr.write(f"\r{rows:,} messages")
    sys.stderr.write("\r")


def measure(ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 5) -> dict[str, float]:
    """Medians of both, in turn, so that a busy machine is busy for both; the first run of each warms up."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for side, work in zip(took, (ours, theirs), strict=True):
            began = perf_counter()
            work()
            if turn:
                side.append(perf_counter() - began)
    return ratio(*map(statistics.median, took))


def bare_fork(bare: sqlite3.Connection, session: str) -> None:
    new = secrets.token_hex(4)
    with bare:
        bare.execute("INSERT INTO sessions VALUES (?, 1e9, 't')", (new,))
        bare.execute(
            "INSERT INTO messages (session, body, text) SELECT ?, body, text FROM messages WHERE session = ? ORDER BY id",
            (new, session),
        )


def bare_search(bare: sqlite3.Connection, word: str, order: str = "rank") -> list[object]:
    return bare.execute(
        "SELECT session, snippet(found, 0, '', '', '...', 16) FROM found JOIN messages ON messages.id = found.rowid"
        f" WHERE found MATCH ? ORDER BY {order} LIMIT 20",
        (f'"{word}"*',),
    ).fetchall()


def compared(store: Store, bare: sqlite3.Connection, sessions: int) -> dict[str, Row]:
    middle, long = f"{sessions // 3:08x}", f"{0:08x}"

    def bare_resume(session: str) -> list[Message]:
        rows = bare.execute("SELECT body FROM messages WHERE session = ? ORDER BY id", (session,))
        return [message_of(json.loads(body)) for (body,) in rows]

    def resume(session: str) -> object:
        return store.find(session), store.history(session), store.usage(session), store.summary(session)

    def append() -> None:
        started = RunStarted(run=secrets.token_hex(4), parent=None, agent="lead", model="o:m", prompt="q")
        store.start_run(middle, started)
        messages = (user("q"), assistant("an answer"))
        store.append(middle, started, Appended(run=started.run, messages=messages, usage=Usage()))
        store.end_run(middle, RunEnded(run=started.run, usage=Usage(), seconds=1.0))

    def bare_append() -> None:
        for message in (user("q"), assistant("an answer")):
            with bare:
                row = (middle, message_json(message), message.text)
                bare.execute("INSERT INTO messages (session, body, text) VALUES (?, ?, ?)", row)

    listed = "SELECT * FROM sessions ORDER BY updated_at DESC LIMIT 50"
    rows: dict[str, Row] = {
        "list the newest 50": measure(lambda: store.sessions(50), lambda: bare.execute(listed).fetchall()),
        "resume one of many": measure(lambda: resume(middle), lambda: bare_resume(middle)),
        f"resume one of {LONG:,} messages": measure(lambda: resume(long), lambda: bare_resume(long)),
    }
    for name, word in (
        ("in one message", "needle"),
        ("in thousands", "of"),
        ("in nearly all", "the"),
        ("of one letter", "t"),
    ):
        rows[f"search a word {name}"] = measure(
            lambda word=word: store.search(word), lambda word=word: bare_search(bare, word), rounds=3
        )
    rows["the same letter, bare without ranking"] = measure(
        lambda: store.search("t"), lambda: bare_search(bare, "t", "found.rowid DESC"), rounds=3
    )
    rows[f"fork {LONG:,} messages"] = measure(
        lambda: store.fork(long), lambda: bare_fork(bare, long), rounds=3
    )
    rows["a question and its answer, kept"] = measure(append, bare_append, rounds=20)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="The journal beside bare sqlite3.")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ours.sqlite")
        bare = sqlite3.connect(Path(folder) / "bare.sqlite")
        bare.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; {BARE}")
        fill(store, bare, options.sessions, options.messages)
        report(compared(store, bare, options.sessions), as_json=options.json)
        store.close()
        bare.close()


if __name__ == "__main__":
    main()
