"""The conversation database: its tables, and opening it beside other processes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from servers.state.sqlite import NewerFormat, connect, statements

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
        return connect(path, statements(_SCHEMA), version=VERSION, busy_s=BUSY_S)
    except NewerFormat as exc:
        raise StoreError(
            f"{path} was written by another Understudy (format {exc.found}, this one reads {VERSION});"
            " update Understudy, or set UNDERSTUDY_HOME to another folder"
        ) from exc
    except (OSError, sqlite3.OperationalError) as exc:
        raise StoreError(f"the conversations in {path} cannot be opened: {exc}") from exc
    except sqlite3.Error as exc:
        raise StoreError(f"{path} cannot be read ({exc}); move it away to begin anew") from exc
