"""Runs that nobody ended, because their process was killed or still works on them, and what makes them whole."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..events import RunStarted, event_of
from ..history import KILLED, UNDER_WAY, closing
from ..types import Message, ToolResult, user
from .codec import message_in
from .database import Database
from .records import Entry, Unended, is_main
from .under_way import is_under_way


def unended(database: Database, session: str) -> list[Unended]:
    """The runs of a conversation that were never ended."""
    last = "SELECT max(at) FROM events WHERE session = ? AND run = ?"
    return [
        Unended(
            run=event.run,
            cause=cause_of(database, event.run),
            closing=tuple(entry.message for entry in closing_entries(database, session, event, said, at)),
            seconds=max(float(database.read(last, session, event.run)[0][0]) - at, 0.0),
        )
        for _, event, at in open_runs(database, session)
        for said in [_said(database, session, event.run)]
    ]


def open_runs(database: Database, session: str) -> list[tuple[int, RunStarted, float]]:
    rows = database.read(
        "SELECT id, body, at FROM events AS begun WHERE session = ?1 AND kind = 'run_started' AND NOT EXISTS"
        " (SELECT 1 FROM events AS ended WHERE ended.session = ?1 AND ended.run = begun.run"
        "  AND ended.kind = 'run_ended')",
        session,
    )
    runs = [(int(number), event_of(json.loads(body)), float(at)) for number, body, at in rows]
    return [(number, event, at) for number, event, at in runs if isinstance(event, RunStarted)]


def cause_of(database: Database, run: str) -> str:
    """Why nobody has ended the run."""
    return UNDER_WAY if is_under_way(database.path, run) else KILLED


def closing_entries(
    database: Database, session: str, event: RunStarted, said: Sequence[Message], at: float
) -> list[Entry]:
    """What makes a run whole that nobody ended."""
    begin = () if said else (event.question or user(event.prompt),)
    draft = database.read(
        "SELECT thinking, text FROM drafts WHERE session = ? AND run = ? ORDER BY id", session, event.run
    )
    end = closing(
        (*said, *begin),
        cause=cause_of(database, event.run),
        said="".join(text for thinking, text in draft if not thinking),
        thought="".join(text for thinking, text in draft if thinking),
        results=_results(database, session, event.run),
        origin=event.model,
    )
    return [
        Entry(
            at=at,
            run=event.run,
            main=is_main(event),
            agent=event.agent,
            model=event.model,
            message=message,
            usage=None,
            recorded=False,
            round=None,
        )
        for message in (*begin, *end)
    ]


def _said(database: Database, session: str, run: str) -> list[Message]:
    said = (
        "SELECT body FROM rounds JOIN messages ON round = rounds.id WHERE session = ? AND run = ?"
        " ORDER BY rounds.id, messages.id"
    )
    return [message_in(body) for (body,) in database.read(said, session, run)]


def _results(database: Database, session: str, run: str) -> dict[str, ToolResult]:
    """The results of tools that had finished, by the call's id."""
    rows = database.read(
        "SELECT body FROM events WHERE session = ? AND run = ? AND kind = 'tool_finished' ORDER BY id",
        session,
        run,
    )
    events = [event_of(json.loads(row[0])) for row in rows]
    return {e.result.call_id: e.result for e in events if e.kind == "tool_finished"}
