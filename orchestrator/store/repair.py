"""Saving what can be read of a damaged file of conversations."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..events import event_of
from ..sanitize import one_line
from ..types import Usage
from .codec import message_of
from .database import REPAIR, Damaged, Database, open_database
from .pages import Value, rows_in

_TYPES: Mapping[str, tuple[type, ...]] = {
    "#": (type(None),),  # the row's number, which stands beside the record
    "i": (int,),
    "n": (int, float),
    "N": (int, float, type(None)),
    "t": (str,),
    "T": (str, type(None)),
    "b": (bytes,),
}


@dataclass(frozen=True, slots=True)
class _Table:
    """By what a row of it is known: how many fields of which types, and what they must hold."""

    name: str
    columns: str
    types: str
    least: int  # fields of a row that a file of the first format had
    check: Callable[[dict[str, Any]], object] = lambda row: None  # raises ValueError or TypeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    sessions: int
    messages: int
    old: Path  # where the damaged file lies now


def damage(database: Database) -> Damaged | None:
    """What is wrong with a file that could be opened; None: nothing. Reads all of it. Raises StoreError."""
    try:
        (found,) = database.read("PRAGMA integrity_check(1)")[0]
        if found != "ok":
            return Damaged(f"{database.path} is damaged ({one_line(found)}); {REPAIR}")
        with database.writing() as writing:
            for index in ("found", "remembered"):
                writing.execute(f"INSERT INTO {index} ({index}) VALUES ('integrity-check')")
    except Damaged as exc:
        return exc
    return None


def repair(path: Path) -> Saved:
    """Put a sound file with all readable rows in the place of a damaged one, which is kept beside it.

    Raises OSError, and StoreError when the new file cannot be written; the old one then stays where it is.
    """
    fresh = path.with_name(f"{path.name}.repaired-{os.getpid()}")
    with closing(open_database(fresh)) as new:
        new.execute("PRAGMA foreign_keys = OFF")
        new.execute("BEGIN")
        for number, row in rows_in(path):
            _keep(new, number, row)
        _make_whole(new)
        new.execute("COMMIT")
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


def _keep(new: sqlite3.Connection, number: int, row: tuple[Value, ...]) -> None:
    """The row in the table it is of; a foreign or damaged one is left out."""
    for table in _TABLES:
        kinds = table.types[: len(row)]
        if not table.least <= len(row) <= len(table.types):
            continue
        if not all(isinstance(value, _TYPES[kind]) for value, kind in zip(row, kinds, strict=True)):
            continue
        names = table.columns.split()[: len(row)]
        values = [number if kind == "#" else value for value, kind in zip(row, kinds, strict=True)]
        with suppress(ValueError, TypeError, KeyError, sqlite3.Error):
            table.check(dict(zip(names, values, strict=True)))
            places = ", ".join("?" * len(names))
            new.execute(f"INSERT OR IGNORE INTO {table.name} ({', '.join(names)}) VALUES ({places})", values)
        return


def _event(row: dict[str, Any]) -> None:
    value = json.loads(row["body"])
    if row["kind"] == "appended":
        numbers = (value.pop("round"), *value.pop("places"))
        if len(numbers) != 3 or not all(isinstance(one, int) and one >= 0 for one in numbers):
            raise ValueError("its messages are nowhere")
        value["messages"] = []
    if event_of(value).kind != row["kind"]:
        raise ValueError("another kind")


def _message(row: dict[str, Any]) -> None:
    if message_of(json.loads(row["body"])).role != row["role"]:
        raise ValueError("another role")


def _object(field: str) -> Callable[[dict[str, Any]], object]:
    return lambda row: dict(json.loads(row[field]))


_TABLES = (
    _Table("sessions", "id name created_at title folder parent updated_at model messages", "tTnttTnti", 6),
    _Table("events", "id session run at kind body", "#tTntt", 6, _event),
    _Table("drafts", "id session run thinking text", "#ttit", 5),
    _Table(
        "rounds",
        "id session run main agent model at usage recorded begun",
        "#ttittntii",
        9,
        lambda row: Usage(**json.loads(row["usage"])),
    ),
    _Table("messages", "id round role body text", "#ittt", 5, _message),
    _Table(
        "calls",
        "id at session run agent role model labels input_tokens cached_tokens output_tokens cost_usd seconds error",
        "#nTTttttNNNNNT",
        14,
        _object("labels"),
    ),
    _Table("memories", "number id agent at text importance metadata", "#ttntnt", 7, _object("metadata")),
    _Table("vectors", "memory model size vector", "itib", 4),
)


_MESSAGES_MISSING = (
    "json_extract(body, '$.places[0]') + json_extract(body, '$.places[1]')"
    " > (SELECT count(*) FROM messages WHERE round = json_extract(body, '$.round'))"
)


def _make_whole(new: sqlite3.Connection) -> None:
    """Make anew what can be told from other rows, and leave out what belongs to nothing."""
    _rounds_of_events(new)
    new.execute(
        "INSERT INTO sessions (id, created_at, title, folder, updated_at)"
        " SELECT session, min(at), coalesce((SELECT substr(messages.text, 1, 80) FROM rounds AS r JOIN messages"
        "  ON round = r.id WHERE r.session = known.session ORDER BY r.id, messages.id LIMIT 1), ''), '', max(at)"
        " FROM (SELECT session, at FROM rounds UNION ALL SELECT session, at FROM events) AS known"
        " WHERE session NOT IN (SELECT id FROM sessions) GROUP BY session"
    )
    for orphans in (
        "messages WHERE round NOT IN (SELECT id FROM rounds)",
        "drafts WHERE session NOT IN (SELECT id FROM sessions)",
        "vectors WHERE memory NOT IN (SELECT number FROM memories)",
        f"events WHERE kind = 'appended' AND {_MESSAGES_MISSING}",
    ):
        new.execute(f"DELETE FROM {orphans}")
    new.execute(
        "UPDATE sessions SET updated_at = max(updated_at, created_at), messages ="
        " (SELECT count(*) FROM rounds JOIN messages ON round = rounds.id WHERE session = sessions.id AND main)"
    )


def _rounds_of_events(new: sqlite3.Connection) -> None:
    """The rounds that are lost, from what the journal says of their messages."""
    new.execute(
        "INSERT OR IGNORE INTO rounds (id, session, run, main, agent, model, at, usage, recorded, begun)"
        " SELECT json_extract(e.body, '$.round'), e.session, e.run,"
        "  json_extract(b.body, '$.parent') IS NULL AND json_extract(b.body, '$.role') = 'lead',"
        "  json_extract(b.body, '$.agent'), json_extract(b.body, '$.model'), e.at, '{}', 1, b.id"
        " FROM events AS e JOIN events AS b ON b.session = e.session AND b.run = e.run AND b.kind = 'run_started'"
        " WHERE e.kind = 'appended' AND json_extract(e.body, '$.round') NOT IN (SELECT id FROM rounds)"
        " ORDER BY e.id"
    )
