"""Rows of the journal as they are written: a line for each event, rounds, and the messages in them."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence

from ..events import Appended, Event, RunStarted, event_json
from ..types import Message
from .codec import message_json, searched
from .records import is_main

NEWEST = "(SELECT coalesce(max(updated_at), 0) + 0.000001 FROM sessions)"
"""A moment after all that was kept, which "last" goes by: a clock may have been put back."""


def note(
    database: sqlite3.Connection, session: str, event: Event, *, round: int | None = None, first: int = 0
) -> None:
    """The event as a line of the journal; the messages of an Appended are named by their places in a round."""
    if isinstance(event, Appended):
        value = json.loads(event_json(event))
        del value["messages"]
        body = json.dumps({**value, "round": round, "places": [first, len(event.messages)]})
    else:
        body = event_json(event)
    database.execute(
        "INSERT INTO events (session, run, at, kind, body) VALUES (?, ?, ?, ?, ?)",
        (session, getattr(event, "run", None), time.time(), event.kind, body),
    )


def round_of(
    database: sqlite3.Connection,
    session: str,
    started: RunStarted,
    event: Appended,
    now: float,
) -> int:
    """The round these messages belong to: an answer joins its question, tool results the round of their calls."""
    usage = json.dumps(event.usage.known())
    if event.messages[0].role != "assistant":
        last, alone = database.execute(
            "SELECT max(rounds.id), count(*) = 1 FROM rounds JOIN messages ON round = rounds.id"
            " WHERE session = ? AND run = ?",
            (session, event.run),
        ).fetchone()
        if last is not None and (alone or event.messages[0].role == "tool"):
            if alone:
                row = (usage, event.recorded, last)
                database.execute("UPDATE rounds SET usage = ?, recorded = ? WHERE id = ?", row)
            return int(last)
    first = database.execute(
        "SELECT min(id) FROM events WHERE session = ? AND run = ?", (session, event.run)
    ).fetchone()[0]
    row = (
        session,
        event.run,
        is_main(started),
        started.agent,
        started.model,
        now,
        usage,
        event.recorded,
        first or 0,
    )
    number = database.execute(
        "INSERT INTO rounds (session, run, main, agent, model, at, usage, recorded, begun)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    ).lastrowid
    assert number is not None
    return number


def insert(database: sqlite3.Connection, round: int, messages: Sequence[Message]) -> None:
    database.executemany(
        "INSERT INTO messages (round, role, body, text) VALUES (?, ?, ?, ?)",
        [(round, m.role, message_json(m), searched(m)) for m in messages],
    )


def count(
    database: sqlite3.Connection, session: str, more: int, now: float, model: str | None = None
) -> None:
    database.execute(
        f"UPDATE sessions SET updated_at = max(?, {NEWEST}), model = coalesce(?, model), messages = messages + ?"
        " WHERE id = ?",
        (now, model, more, session),
    )
