"""The conversation database: its tables, and opening it beside other processes."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from ..errors import OrchestratorError

VERSION = 1
BUSY_S = 10.0  # how long to wait for another process that is writing

_SCHEMA = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,              -- of the agent that remembers by itself; NULL for a conversation
    created_at REAL NOT NULL,      -- seconds since 1970
    title TEXT NOT NULL,
    folder TEXT NOT NULL,
    parent TEXT                    -- the session this one was forked from
);
CREATE TABLE rounds (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    run TEXT NOT NULL,
    main INTEGER NOT NULL,         -- 1: part of the conversation; 0: a worker's or adviser's
    agent TEXT NOT NULL,
    model TEXT NOT NULL,
    at REAL NOT NULL,
    usage TEXT NOT NULL,           -- JSON of Usage
    recorded INTEGER NOT NULL      -- 1: the seconds in usage were not measured
);
CREATE INDEX rounds_of_session ON rounds (session, id);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    round INTEGER NOT NULL REFERENCES rounds ON DELETE CASCADE,
    role TEXT NOT NULL,
    body TEXT NOT NULL,            -- JSON of Message, whole
    text TEXT NOT NULL             -- what is searched: words, tool inputs and outputs
);
CREATE INDEX messages_of_round ON messages (round, id);
CREATE VIRTUAL TABLE found USING fts5 (text, content='messages', content_rowid='id');
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
    INSERT INTO found (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER messages_gone AFTER DELETE ON messages BEGIN
    INSERT INTO found (found, rowid, text) VALUES ('delete', old.id, old.text);
END;
"""


class StoreError(OrchestratorError):
    """The store cannot be used, or does not hold what was asked for."""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to the database, made when there is none. Raises StoreError; never overwrites what it cannot read."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as exc:
        raise StoreError(f"the conversations in {path} cannot be opened: {exc}") from exc
    try:
        _write_ahead(database)
        database.execute(
            "PRAGMA synchronous = NORMAL"
        )  # a killed process loses nothing, a power cut the last rounds
        database.execute("PRAGMA foreign_keys = ON")
        found = int(database.execute("PRAGMA user_version").fetchone()[0])
        if found == 0:
            _create(database)
        elif found != VERSION:
            raise StoreError(
                f"{path} was written by another Understudy (format {found}, this one reads {VERSION});"
                " update Understudy, or set UNDERSTUDY_HOME to another folder"
            )
    except sqlite3.DatabaseError as exc:
        database.close()
        raise StoreError(f"{path} cannot be read ({exc}); move it away to begin anew") from exc
    except StoreError:
        database.close()
        raise
    return database


def _write_ahead(database: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite answers "locked" at once while another process switches, whatever the timeout."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _create(database: sqlite3.Connection) -> None:
    database.execute("BEGIN IMMEDIATE")
    try:
        if int(database.execute("PRAGMA user_version").fetchone()[0]) == 0:
            for statement in _statements():
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise


def _statements() -> list[str]:
    """One by one: executescript would end the transaction that makes them all or nothing."""
    whole: list[str] = []
    held = ""
    for line in _SCHEMA.splitlines():
        held += line + "\n"
        if sqlite3.complete_statement(held):
            whole.append(held)
            held = ""
    return whole
