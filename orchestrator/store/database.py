"""The journal's file: its tables, opening it beside other processes, and what its errors mean."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from servers.state.home import home
from servers.state.sqlite import NewerFormat, connect, statements, transaction

from ..errors import OrchestratorError

VERSION = 4
BUSY_S = 10.0  # how long to wait for another process that is writing

_SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,              -- of the agent that remembers by itself; NULL for a conversation
    created_at REAL NOT NULL,      -- seconds since 1970
    title TEXT NOT NULL,
    folder TEXT NOT NULL,
    parent TEXT,                   -- the session this one was forked from
    updated_at REAL NOT NULL,
    model TEXT NOT NULL DEFAULT '',    -- that answered last
    messages INTEGER NOT NULL DEFAULT 0    -- of the conversation, without workers and advisers
);
CREATE INDEX sessions_by_time ON sessions (updated_at);
CREATE TABLE events (              -- the journal: what happened, in order; nothing is changed here
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    run TEXT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,            -- of Event; the messages of an `appended` stand in its round
    body TEXT NOT NULL             -- JSON of the Event
);
CREATE INDEX events_of_run ON events (session, run, id);
CREATE TABLE drafts (              -- pieces of answers that are not whole yet; the message takes their place
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    run TEXT NOT NULL,
    thinking INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX drafts_of_run ON drafts (session, run, id);
CREATE TABLE rounds (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    run TEXT NOT NULL,
    main INTEGER NOT NULL,         -- 1: part of the conversation; 0: a worker's or adviser's
    agent TEXT NOT NULL,
    model TEXT NOT NULL,
    at REAL NOT NULL,
    usage TEXT NOT NULL,           -- JSON of Usage
    recorded INTEGER NOT NULL,     -- 1: the seconds in usage were not measured
    begun INTEGER NOT NULL         -- the run's first event: what orders runs
);
CREATE INDEX rounds_of_session ON rounds (session, begun, id);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    round INTEGER NOT NULL REFERENCES rounds ON DELETE CASCADE,
    role TEXT NOT NULL,
    body TEXT NOT NULL,            -- JSON of Message, whole
    text TEXT NOT NULL             -- what is searched: words, tool inputs and outputs
);
CREATE INDEX messages_of_round ON messages (round, id);
CREATE TABLE calls (               -- of models, with what they cost; they outlive the conversation they were made for
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    session TEXT,                  -- NULL: of no kept conversation
    run TEXT,
    agent TEXT NOT NULL,
    role TEXT NOT NULL,
    model TEXT NOT NULL,           -- that was really asked
    labels TEXT NOT NULL,          -- JSON object of strings
    input_tokens INTEGER,          -- NULL: not reported
    cached_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,                 -- NULL: not known
    seconds REAL,
    error TEXT                     -- NULL: it was answered
);
CREATE INDEX calls_by_time ON calls (at);
CREATE INDEX calls_of_session ON calls (session);
CREATE TABLE set_aside (           -- what calls under way may cost at most, so that processes share a budget
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    session TEXT,
    labels TEXT NOT NULL,
    usd REAL NOT NULL
);
CREATE TABLE memories (            -- what agents remember beyond their conversations
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,       -- of agent and text
    agent TEXT NOT NULL,
    at REAL NOT NULL,
    text TEXT NOT NULL,
    importance REAL NOT NULL,      -- 0 to 1
    metadata TEXT NOT NULL         -- JSON object
);
CREATE INDEX memories_of_agent ON memories (agent, at);
CREATE TABLE vectors (
    memory INTEGER NOT NULL REFERENCES memories ON DELETE CASCADE,
    model TEXT NOT NULL,           -- that made it; only vectors of one model are compared
    size INTEGER NOT NULL,
    vector BLOB NOT NULL,          -- 32-bit floats
    PRIMARY KEY (memory, model)
);
CREATE VIRTUAL TABLE remembered USING fts5 (text, content='memories', content_rowid='number', tokenize='porter unicode61');
CREATE TRIGGER memories_added AFTER INSERT ON memories BEGIN
    INSERT INTO remembered (rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER memories_gone AFTER DELETE ON memories BEGIN
    INSERT INTO remembered (remembered, rowid, text) VALUES ('delete', old.number, old.text);
END;
CREATE VIRTUAL TABLE found USING fts5 (text, content='messages', content_rowid='id', prefix='1 2 3');
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
    INSERT INTO found (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER messages_gone AFTER DELETE ON messages BEGIN
    INSERT INTO found (found, rowid, text) VALUES ('delete', old.id, old.text);
END;
"""

_FROM_1 = """
ALTER TABLE sessions ADD COLUMN updated_at REAL NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN model TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rounds ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
UPDATE rounds SET begun = (SELECT min(r.id) FROM rounds AS r WHERE r.session = rounds.session AND r.run = rounds.run);
UPDATE sessions SET
    updated_at = coalesce((SELECT max(at) FROM rounds WHERE session = sessions.id), created_at),
    model = coalesce((SELECT model FROM rounds WHERE session = sessions.id AND main ORDER BY id DESC LIMIT 1), ''),
    messages = (SELECT count(*) FROM rounds JOIN messages ON round = rounds.id WHERE session = sessions.id AND main);
DROP INDEX rounds_of_session;
DROP TRIGGER messages_added;
DROP TRIGGER messages_gone;
DROP TABLE found;
"""
"""What a file of format 1 needs before the statements of today make what it lacks."""
_FROM_2 = """
INSERT INTO calls (at, session, run, agent, role, model, labels, input_tokens, cached_tokens, output_tokens, cost_usd)
SELECT at, session, run, agent, CASE WHEN main THEN 'lead' ELSE 'worker' END, model, '{}',
    json_extract(usage, '$.input_tokens'), json_extract(usage, '$.cached_tokens'),
    json_extract(usage, '$.output_tokens'), json_extract(usage, '$.cost_usd')
FROM rounds WHERE usage != '{}';
"""
_IN_1 = ("sessions", "rounds", "messages", "messages_of_round")
_NEW_IN_3 = ("calls", "calls_by_time", "calls_of_session", "set_aside")
_NEW_IN_4 = ("memories", "memories_of_agent", "vectors", "remembered", "memories_added", "memories_gone")
_MADE = re.compile(r"CREATE (?:VIRTUAL )?(?:TABLE|INDEX|TRIGGER) (\w+)")


class StoreError(OrchestratorError):
    """The store cannot be used, or does not hold what was asked for."""


class Unwritable(StoreError):
    """Nothing can be written now, and what is there is sound: the file is busy, its disk full or read-only."""


class Damaged(StoreError):
    """The file cannot be read."""


class Database:
    """The journal's file, for several threads beside other processes. Raises StoreError, as everything here."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or place()
        self._connection = open_database(self.path)
        weakref.finalize(self, self._connection.close)  # one that is forgotten leaves no file open
        self._lock = threading.RLock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def prepare(self, add: Callable[[sqlite3.Connection], None]) -> None:
        """Let `add` give the connection functions of its own."""
        with self._lock:
            add(self._connection)

    def read(self, query: str, *values: Any) -> list[Any]:
        with self._lock, explained(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """All of it or nothing of it."""
        with self._lock, explained(self.path), transaction(self._connection):
            yield self._connection

    @contextmanager
    def patient(self, seconds: float) -> Generator[None]:
        """Within it, wait so long for another process that is writing."""
        with self._lock, explained(self.path):
            self._connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
            try:
                yield
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def place() -> Path:
    """Where this user's journal lies. Raises StoreError when the folder cannot be made."""
    try:
        return (home() / "conversations.sqlite").resolve()
    except OSError as exc:
        raise Unwritable(f"the folder for conversations cannot be used: {exc.strerror or exc}") from exc


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to the database, made when there is none; only for reading where nothing can be written.

    Raises StoreError; never overwrites what it cannot read.
    """
    try:
        with explained(path):
            try:
                database = connect(
                    path,
                    statements(_SCHEMA),
                    version=VERSION,
                    steps=[_to_2(), _to_3(), _to_4()],
                    busy_s=BUSY_S,
                )
            except (OSError, sqlite3.OperationalError) as exc:
                if not path.exists() or not _is_read_only(exc):
                    raise
                return _readable(path)
            return database
    except NewerFormat as exc:
        raise StoreError(
            f"{path} was written by another Understudy (format {exc.found}, this one reads {VERSION});"
            " update Understudy, or set UNDERSTUDY_HOME to another folder"
        ) from exc
    except OSError as exc:
        raise Unwritable(f"the conversations in {path} cannot be opened: {exc.strerror or exc}") from exc


@contextmanager
def explained(path: Path) -> Generator[None]:
    """SQLite's errors as ours, each with its true cause."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _meaning(path, exc) from exc


def _meaning(path: Path, exc: sqlite3.Error) -> StoreError:
    match (getattr(exc, "sqlite_errorcode", None) or 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            who = _writer(path)
            return Unwritable(f"{path} is busy: {who or 'another process'} has been writing to it")
        case sqlite3.SQLITE_FULL:
            return Unwritable(f"the disk of {path} is full")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return Unwritable(f"{path} cannot be written: it is read-only here")
        case sqlite3.SQLITE_CANTOPEN:
            return Unwritable(f"{path} cannot be opened; look at the rights of its folder")
        case sqlite3.SQLITE_IOERR:
            return Unwritable(f"the disk of {path} failed: {exc}")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Damaged(
                f"{path} is damaged ({exc}); 'understudy sessions repair' saves what can be read and begins anew"
            )
        case _:
            return StoreError(f"{path} cannot be used: {exc}")


def _is_read_only(exc: Exception) -> bool:
    code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
    return isinstance(exc, OSError) or code in (
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
    )


def _readable(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Where not even the log's index can be made, the file is taken as it stands."""
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        database = sqlite3.connect(
            f"{path.as_uri()}?{mode}", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("PRAGMA query_only = ON")
            found = int(database.execute("PRAGMA user_version").fetchone()[0])
            database.execute("SELECT count(*) FROM (SELECT 1 FROM sessions LIMIT 1)")
        except sqlite3.OperationalError:
            database.close()
            continue
        if found == VERSION:
            return database
        database.close()
        raise StoreError(
            f"{path} has format {found} and cannot be brought to {VERSION}: it is read-only here"
        )
    raise Unwritable(f"{path} cannot be opened; look at the rights of the file and its folder")


def _to_2() -> list[str]:
    """What brings a file of format 1 to format 2; its messages keep their numbers, its events begin behind its rounds."""
    return [
        *statements(_FROM_1),
        *(statement for name, statement in _made().items() if name not in (*_IN_1, *_NEW_IN_3, *_NEW_IN_4)),
        "INSERT INTO found (found) VALUES ('rebuild')",
        "INSERT INTO sqlite_sequence (name, seq) SELECT 'events', coalesce(max(id), 0) FROM rounds",
    ]


def _to_3() -> list[str]:
    """What brings a file of format 2 to format 3."""
    return [*(_made()[name] for name in _NEW_IN_3), *statements(_FROM_2)]


def _to_4() -> list[str]:
    return [_made()[name] for name in _NEW_IN_4]


def _made() -> dict[str, str]:
    """The statements of the schema by the name of what they make."""
    return {made[1]: each for each in statements(_SCHEMA) if (made := _MADE.search(each))}


def _writer(path: Path) -> str | None:
    """Who holds the write lock, where the system tells: SQLite's WAL locks byte 120 of the index beside the file."""
    with suppress(OSError, ValueError, IndexError):
        inode = os.stat(f"{path}-shm").st_ino
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            _, kind, _, way, pid, place, start, *_ = line.split()
            if (kind, way, start) == ("POSIX", "WRITE", "120") and place.endswith(f":{inode}"):
                return process(pid)
    return None


def process(pid: str) -> str:
    """A process as a person can find it: its number and, where the system tells, how it was started."""
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
        words = json.dumps(" ".join(command.split("\0"))[:60].strip())
        return f"process {pid} ({words[1:-1]})"
    return f"process {pid}"
