"""Saving what can be read of a damaged file of conversations."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .database import open_database

TABLES = ("sessions", "events", "drafts", "rounds", "messages", "calls", "memories", "vectors")
MAX_ROW = 1 << 40  # no table has more rows than this; where it cannot even be counted, reading ends earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    sessions: int
    messages: int
    old: Path  # where the damaged file lies now


def repair(path: Path) -> Saved:
    """Put a sound file with all readable rows in the place of a damaged one, which is kept beside it.

    Raises OSError, and StoreError when the new file cannot be written; the old one then stays where it is.
    """
    fresh = path.with_name(f"{path.name}.repaired-{os.getpid()}")
    with closing(open_database(fresh)) as new:
        new.execute("PRAGMA foreign_keys = OFF")
        with suppress(sqlite3.Error), closing(_damaged(path)) as old:
            for table in TABLES:
                _copy(old, new, table)
        new.execute("DELETE FROM rounds WHERE session NOT IN (SELECT id FROM sessions)")
        new.execute("DELETE FROM messages WHERE round NOT IN (SELECT id FROM rounds)")
        new.execute("DELETE FROM events WHERE session NOT IN (SELECT id FROM sessions)")
        new.execute("DELETE FROM drafts WHERE session NOT IN (SELECT id FROM sessions)")
        sessions, messages = (
            int(new.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
            for table in ("sessions", "messages")
        )
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for end in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    fresh.rename(path)
    for end in ("-wal", "-shm"):
        fresh.with_name(fresh.name + end).unlink(missing_ok=True)
    return Saved(sessions=sessions, messages=messages, old=aside)


def _damaged(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    database.text_factory = _text
    return database


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> None:
    wanted = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    with suppress(sqlite3.Error):
        there = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
        names = [name for name in wanted if name in there]
        if not names:
            return
        columns = ", ".join(names)
        insert = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})"
        for row in _rows(old, f"SELECT {columns} FROM {table}", 0, _last(old, table)):
            with suppress(sqlite3.Error, ValueError, TypeError):
                for name, value in zip(names, row, strict=True):
                    if name in ("body", "usage", "labels", "metadata"):
                        json.loads(
                            value
                        )  # SQLite has no check sums: a row may be there with foreign bytes in it
                new.execute(insert, row)


def _last(old: sqlite3.Connection, table: str) -> int:
    with suppress(sqlite3.Error):
        return int(old.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()[0])
    return MAX_ROW


def _rows(old: sqlite3.Connection, select: str, first: int, last: int) -> Iterator[tuple[Any, ...]]:
    """The rows of a range; a range that cannot be read is halved until what is damaged is alone."""
    if first > last:
        return
    try:
        found = old.execute(f"{select} WHERE rowid BETWEEN ? AND ?", (first, last)).fetchall()
    except sqlite3.Error:
        if first < last < MAX_ROW:
            middle = (first + last) // 2
            yield from _rows(old, select, first, middle)
            yield from _rows(old, select, middle + 1, last)
        return
    yield from found
