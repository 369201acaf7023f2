"""The journal of all conversations on disk: every event as it happens, and views of it: history, search, spending.

An event is one transaction, so a killed process loses nothing that had happened.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..events import (
    Appended,
    Event,
    Journaled,
    RunEnded,
    RunStarted,
    Streamed,
    Summarised,
    ToolFinished,
    event_of,
)
from ..sanitize import one_line
from ..types import Message, Usage, user
from .codec import message_in
from .database import Damaged, Database, Deleted, StoreError, Unwritable, place
from .fork import copy_rounds
from .local_runs import LocalRuns
from .open_runs import closing_entries, open_runs, unended
from .records import Entry, Found, Kept, Unended, is_main
from .rounds import NEWEST, count, insert, note, round_of
from .search import search
from .under_way import all_under_way

__all__ = ["Damaged", "Deleted", "Entry", "Found", "Kept", "Store", "StoreError", "Unwritable"]


class Store:
    """The conversations of this user. Safe to use from several threads and processes.

    Whatever reads or writes raises StoreError where the file cannot be, or there is no such conversation.
    """

    def __init__(self, path: Path | None = None, *, later: bool = False) -> None:
        """Raises StoreError with one sentence when the file cannot be used.

        `later`: where nothing can be read or written, begin empty, and keep what is told once that is possible.
        """
        self.database = Database(path, later=later)
        self.patient = self.database.patient
        self._read, self._writing = self.database.read, self.database.writing

    @staticmethod
    def place() -> Path:
        """Where this user's conversations lie. Raises StoreError when the folder cannot be made."""
        return place()

    @property
    def path(self) -> Path:
        """The file they lie in."""
        return self.database.path

    def close(self) -> None:
        """Write what is left and let the file go. Closing twice is the same as once."""
        self.database.close()

    @property
    def read_only(self) -> bool:
        """Whether the file is open for reading alone, because nothing can be written there."""
        return self.database.unwritable is not None

    def start(
        self,
        session: str | None = None,
        *,
        title: str = "",
        folder: str = "",
        name: str | None = None,
        parent: str | None = None,
    ) -> str:
        """The id of a new conversation, `session` when given, or of the one the named agent already has; as `begin`."""
        if name is not None and (known := self.named(name)):
            return known
        new = session or secrets.token_hex(4)
        self.begin(new, title=title, folder=folder, name=name, parent=parent)
        if name is not None:  # another process may have been first
            return self.named(name) or new
        return new

    def begin(
        self,
        session: str,
        *,
        title: str = "",
        folder: str = "",
        name: str | None = None,
        parent: str | None = None,
    ) -> None:
        """A new conversation of this id; nothing happens when it exists, or its name is taken.

        `name`: of an agent that remembers by itself; `parent`: the conversation it was forked from; None: no such.
        """
        now = time.time()
        with self._writing() as database:
            database.execute(
                "INSERT INTO sessions (id, name, created_at, title, folder, parent, updated_at)"
                f" VALUES (?, ?, ?, ?, ?, ?, max(?, {NEWEST})) ON CONFLICT DO NOTHING",
                (session, name, now, one_line(title, 80), folder, parent, now),
            )

    def note(self, session: str, event: Event) -> None:
        """Keep an event that has no messages. Raises StoreError when the session was deleted meanwhile."""
        with self._writing() as database, _of(session):
            note(database, session, event)

    def start_run(self, session: str, event: RunStarted) -> None:
        """Keep that a run began, and what was asked."""
        now = time.time()
        with self._writing() as database, _of(session):
            note(database, session, event)
            question = event.question or user(event.prompt)
            asked = Appended(run=event.run, messages=(question,), usage=Usage())
            insert(database, round_of(database, session, event, asked, now), (question,))
            if is_main(event):
                count(database, session, 1, now)

    def end_run(self, session: str, event: RunEnded) -> None:
        """Keep that a run ended. A question that nothing followed leaves the conversation; it stays in the journal."""
        with self._writing() as database, _of(session):
            note(database, session, event)
            alone = database.execute(
                "UPDATE rounds SET main = 0 WHERE session = ?1 AND run = ?2 AND main AND 1 ="
                " (SELECT count(*) FROM rounds AS r JOIN messages ON round = r.id WHERE r.session = ?1 AND r.run = ?2)",
                (session, event.run),
            ).rowcount
            count(database, session, -alone, time.time())

    def draft(self, session: str, event: Streamed) -> None:
        """Keep a piece of an answer that is not whole yet."""
        with self._writing() as database, _of(session):
            row = (session, event.run, event.thinking, event.text)
            database.execute("INSERT INTO drafts (session, run, thinking, text) VALUES (?, ?, ?, ?)", row)

    def append(self, session: str, started: RunStarted, event: Appended) -> None:
        """Keep messages that are whole. Raises StoreError when the session was deleted meanwhile."""
        now = time.time()
        with self._writing() as database, _of(session):
            number = round_of(database, session, started, event, now)
            asked = database.execute("SELECT count(*) FROM messages WHERE round = ?", (number,)).fetchone()[0]
            known = asked if event.messages[0].role == "user" else 0
            note(database, session, event, round=number, first=asked - known)
            database.execute("DELETE FROM drafts WHERE session = ? AND run = ?", (session, event.run))
            insert(database, number, event.messages[known:])
            database.execute(
                "UPDATE rounds SET begun = (SELECT min(id) FROM events WHERE session = ? AND run = ?)"
                " WHERE id = ? AND begun = 0",
                (session, event.run, number),
            )
            if is_main(started):
                count(database, session, len(event.messages) - known, now, started.model or None)

    def sessions(self, limit: int = 50) -> list[Kept]:
        """The newest first, at most `limit` of them."""
        return self._kept("1", "ORDER BY updated_at DESC, rowid DESC LIMIT ?", limit)

    def find(self, which: str) -> Kept:
        """By id, by a beginning that fits one alone, by an agent's name, or "last". Raises StoreError."""
        if self.database.unread and self.database.unwritable is not None:
            raise self.database.unwritable
        if which == "last":
            newest = self.sessions(1)
            if not newest:
                raise StoreError("there is no conversation yet; 'understudy chat' begins one")
            return newest[0]
        fitting = self._kept("id = ?1 OR name = ?1", "LIMIT 2", which)
        if not fitting and re.fullmatch(r"[0-9a-f]{1,8}", which):
            fitting = self._kept("id GLOB ?", "LIMIT 2", which + "*")
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise StoreError(f"more than one conversation begins with {which!r}; give more of the id")
        newest = ", ".join(kept.id for kept in self.sessions(5)) or "none"
        raise StoreError(f"there is no conversation {one_line(which, 40)!r}; the newest are {newest}")

    def named(self, name: str) -> str | None:
        """The conversation of the agent of this name; None: it has none."""
        known = self._read("SELECT id FROM sessions WHERE name = ?", name)
        return str(known[0][0]) if known else None

    def history(self, session: str) -> list[Message]:
        """The conversation as it can be sent: whole, the messages of one run together."""
        return [entry.message for entry in self.entries(session) if entry.main]

    def entries(self, session: str) -> list[Entry]:
        """Every message: the conversation and what workers and advisers said for it.

        A run that was never ended, because its process was killed or still works on it, is closed here.
        """
        with self.database.at_once():
            rows = self._read(
                "SELECT begun, at, run, main, agent, model, body, usage, recorded, rounds.id"
                " FROM rounds JOIN messages ON messages.round = rounds.id WHERE session = ?"
                " ORDER BY begun, rounds.id, messages.id",
                session,
            )
            pairs = zip(rows, [*rows[1:], None], strict=False)
            kept = [(row[0], _entry(row, after is None or row[-1] != after[-1])) for row, after in pairs]
            for begun, event, at in open_runs(self.database, session):
                said = [entry.message for _, entry in kept if entry.run == event.run]
                kept += [(begun, entry) for entry in closing_entries(self.database, session, event, said, at)]
        return [entry for _, entry in sorted(kept, key=lambda pair: pair[0])]

    def runs(self, session: str) -> set[str]:
        """Those that said something in the conversation."""
        return {
            row[0]
            for row in self._read("SELECT DISTINCT run FROM rounds WHERE session = ? AND main", session)
        }

    def under_way(self, session: str) -> dict[str, str]:
        """The runs of a conversation that a living process is at, with the number of the process."""
        begun = "SELECT 1 FROM events WHERE session = ? AND run = ? LIMIT 1"
        working = all_under_way(self.path)
        return {run: pid for run, pid in working.items() if self._read(begun, session, run)}

    def unended(self, session: str) -> list[Unended]:
        """The runs that were never ended, because their process was killed or still works on them."""
        return unended(self.database, session)

    def usage(self, session: str, local: LocalRuns | None = None) -> dict[str, Usage]:
        """What each model used in all, workers and advisers included; unknown stays None. `local`: told which delegations."""
        spent: dict[str, Usage] = {}
        for model, usage in self._read(
            "SELECT model, usage FROM rounds WHERE session = ? ORDER BY id", session
        ):
            spent[model] = spent.get(model, Usage()) + _usage(usage)
        local = local or LocalRuns()
        for (body,) in self._read(
            "SELECT body FROM events WHERE session = ? AND kind = 'tool_finished' ORDER BY id", session
        ):
            event = event_of(json.loads(body)) if "__delegat" in body else None
            for model, used in local.of(event) if isinstance(event, ToolFinished) else ():
                spent[model] = spent.get(model, Usage()) + used
        return spent

    def search(self, query: str, limit: int = 20) -> list[Found]:
        """Messages that hold all the words; the last word may be unfinished. Raises StoreError.

        The best first, or, where very many hold them, the newest; at most `limit`.
        """
        return search(self.database, query, limit)

    def events(self, session: str) -> list[Event]:
        """What happened, in order, as a screen can show it again; pieces of answers are left out."""
        found: list[Event] = []
        for kind, body in self._read("SELECT kind, body FROM events WHERE session = ? ORDER BY id", session):
            value = json.loads(body)
            if kind == "appended":
                value["messages"] = self._messages(value.pop("round"), *value.pop("places"))
            found.append(event_of(value))
        return found

    def journaled(self, session: str) -> list[Journaled]:
        """The values that the runs of a conversation keep for when they are resumed, in order."""
        kept = "SELECT body FROM events WHERE session = ? AND kind = 'journaled' ORDER BY id"
        found = [event_of(json.loads(body)) for (body,) in self._read(kept, session)]
        return [event for event in found if isinstance(event, Journaled)]

    def summary(self, session: str) -> Summarised | None:
        """The newest summary of the conversation's beginning, also of what it was forked from; None: there is none."""
        rows = self._read(
            "WITH RECURSIVE line (id, parent, depth) AS (SELECT id, parent, 0 FROM sessions WHERE id = ?1 UNION ALL"
            " SELECT sessions.id, sessions.parent, depth + 1 FROM sessions JOIN line ON sessions.id = line.parent"
            " WHERE depth < 100)"
            " SELECT body FROM line JOIN events ON session = line.id AND run IS NULL AND kind = 'summarised'"
            " WHERE json_extract(body, '$.stands_for') <= (SELECT messages FROM sessions WHERE id = ?1)"
            " ORDER BY depth, events.id DESC LIMIT 1",
            session,
        )
        found = [event_of(json.loads(body)) for (body,) in rows]
        return next((event for event in found if isinstance(event, Summarised)), None)

    def fork(self, session: str, *, rounds: int | None = None) -> str:
        """A new conversation that begins as this one did, with its first `rounds` rounds; None: with all."""
        kept = self.find(session)
        new = self.start(title=kept.title, folder=kept.folder, parent=kept.id)
        copy_rounds(self.database, kept, new, rounds)
        return new

    def delete(self, session: str) -> None:
        """Forget a conversation and everything said for it; nothing happens when there is none."""
        with self._writing() as database:
            database.execute("DELETE FROM sessions WHERE id = ?", (session,))

    def forget(self, name: str) -> None:
        """Delete what the agent of this name remembers; nothing happens when it remembers nothing."""
        if self.named(name) is None:
            return
        with self._writing() as database:
            database.execute("DELETE FROM sessions WHERE name = ?", (name,))

    def _messages(self, number: int, first: int, count: int) -> list[Any]:
        rows = self._read(
            "SELECT body FROM messages WHERE round = ? ORDER BY id LIMIT ? OFFSET ?", number, count, first
        )
        return [json.loads(row[0]) for row in rows]

    def _kept(self, where: str, rest: str, *values: Any) -> list[Kept]:
        names = [field.name for field in fields(Kept)]
        columns = ", ".join(_ANSWERED if name == "model" else name for name in names)
        rows = self._read(f"SELECT {columns} FROM sessions WHERE {where} {rest}", *values)
        return [Kept(**dict(zip(names, row, strict=True))) for row in rows]


# Of a panel's own line no model is the lead; whoever answered last goes on with it.
_ANSWERED = (
    "coalesce(nullif(sessions.model, ''), (SELECT rounds.model FROM rounds WHERE rounds.session = sessions.id"
    " AND rounds.model != '' ORDER BY begun DESC, rounds.id DESC LIMIT 1), '')"
)


@contextmanager
def _of(session: str) -> Generator[None]:
    try:
        yield
    except sqlite3.IntegrityError as exc:
        raise Deleted(f"the conversation {session} was deleted") from exc


def _entry(row: Any, last: bool) -> Entry:
    """`last`: of its round, whose usage it tells."""
    _, at, run, main, agent, model, body, usage, recorded, number = row
    return Entry(
        at=at,
        run=run,
        main=bool(main),
        agent=agent,
        model=model,
        message=message_in(body),
        usage=_usage(usage) if last else None,
        recorded=bool(recorded),
        round=number,
    )


@lru_cache(maxsize=1000)
def _usage(text: str) -> Usage:
    return Usage(**json.loads(text))
