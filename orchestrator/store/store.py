"""The journal of all conversations on disk: every event as it happens, and views of it: history, search, spending.

An event is one transaction, so a killed process loses nothing that had happened.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..events import Appended, Event, Journaled, RunEnded, RunStarted, Streamed, Summarised
from ..history import KILLED, closing
from ..sanitize import one_line
from ..types import Message, ToolResult, Usage, user
from .codec import event_json, event_of, message_json, message_of, searched
from .database import Damaged, Database, StoreError, Unwritable, place

__all__ = ["Damaged", "Entry", "Found", "Kept", "Store", "StoreError", "Unwritable"]

MAX_RANKED = 2_000  # matches up to which a search puts the best first; of more, the newest come first


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One conversation in the store."""

    id: str
    name: str | None  # the agent that remembers by itself; None for a conversation of its own
    created_at: float  # seconds since 1970
    updated_at: float
    title: str
    folder: str
    parent: str | None  # the session it was forked from
    model: str  # that answered last; empty when nothing was answered
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message as it was kept."""

    at: float
    run: str
    main: bool  # part of the conversation; False: a worker's or an adviser's
    agent: str
    model: str
    message: Message
    usage: Usage | None  # of the round, on its last message
    recorded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    session: str
    title: str
    at: float
    role: str
    model: str
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unended:
    """A run nobody ended."""

    run: str
    closing: tuple[Message, ...]  # what makes its record whole
    seconds: float  # from its beginning to the last that is known of it


class Store:
    """The conversations of this user. Safe to use from several threads and processes."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises StoreError with one sentence when the file cannot be used."""
        self.database = Database(path)
        self.path = self.database.path
        self.patient = self.database.patient
        self._read, self._writing = self.database.read, self.database.writing

    @staticmethod
    def place() -> Path:
        """Where this user's conversations lie. Raises StoreError when the folder cannot be made."""
        return place()

    def close(self) -> None:
        self.database.close()

    @property
    def read_only(self) -> bool:
        """Whether the file is open for reading alone, because nothing can be written there."""
        return bool(self._read("PRAGMA query_only")[0][0])

    def start(
        self, *, title: str = "", folder: str = "", name: str | None = None, parent: str | None = None
    ) -> str:
        """The id of a new conversation, or of the one the named agent already has."""
        if name is not None and (known := self._read("SELECT id FROM sessions WHERE name = ?", name)):
            return str(known[0][0])
        new = secrets.token_hex(4)
        self.begin(new, title=title, folder=folder, name=name, parent=parent)
        if name is not None:  # another process may have been first
            return str(self._read("SELECT id FROM sessions WHERE name = ?", name)[0][0])
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
        """A new conversation of this id; nothing happens when it exists, or its name is taken."""
        now = time.time()
        with self._writing() as database:
            database.execute(
                "INSERT INTO sessions (id, name, created_at, title, folder, parent, updated_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (session, name, now, one_line(title, 80), folder, parent, now),
            )

    def note(self, session: str, event: Event) -> None:
        """Keep an event that has no messages. Raises StoreError when the session was deleted meanwhile."""
        with self._writing() as database, _of(session):
            _noted(database, session, event)

    def start_run(self, session: str, event: RunStarted) -> None:
        """Keep that a run began, and what was asked."""
        now = time.time()
        with self._writing() as database, _of(session):
            _noted(database, session, event)
            question = event.question or user(event.prompt)
            asked = Appended(run=event.run, messages=(question,), usage=Usage())
            _insert(database, self._round(database, session, event, asked, now), (question,))
            if is_main(event):
                _count(database, session, 1, now)

    def end_run(self, session: str, event: RunEnded) -> None:
        """Keep that a run ended. A question that nothing followed leaves the conversation; it stays in the journal."""
        with self._writing() as database, _of(session):
            _noted(database, session, event)
            alone = database.execute(
                "UPDATE rounds SET main = 0 WHERE session = ?1 AND run = ?2 AND main AND 1 ="
                " (SELECT count(*) FROM rounds AS r JOIN messages ON round = r.id WHERE r.session = ?1 AND r.run = ?2)",
                (session, event.run),
            ).rowcount
            _count(database, session, -alone, time.time())

    def draft(self, session: str, event: Streamed) -> None:
        """Keep a piece of an answer that is not whole yet."""
        with self._writing() as database, _of(session):
            row = (session, event.run, event.thinking, event.text)
            database.execute("INSERT INTO drafts (session, run, thinking, text) VALUES (?, ?, ?, ?)", row)

    def append(self, session: str, started: RunStarted, event: Appended) -> None:
        """Keep messages that are whole. Raises StoreError when the session was deleted meanwhile."""
        now = time.time()
        with self._writing() as database, _of(session):
            number = self._round(database, session, started, event, now)
            asked = database.execute("SELECT count(*) FROM messages WHERE round = ?", (number,)).fetchone()[0]
            known = asked if event.messages[0].role == "user" else 0
            _noted(database, session, event, round=number, first=asked - known)
            database.execute("DELETE FROM drafts WHERE session = ? AND run = ?", (session, event.run))
            _insert(database, number, event.messages[known:])
            database.execute(
                "UPDATE rounds SET begun = (SELECT min(id) FROM events WHERE session = ? AND run = ?)"
                " WHERE id = ? AND begun = 0",
                (session, event.run, number),
            )
            if is_main(started):
                _count(database, session, len(event.messages) - known, now, started.model or None)

    def sessions(self, limit: int = 50) -> list[Kept]:
        """The newest first."""
        return self._kept("1", "ORDER BY updated_at DESC, rowid DESC LIMIT ?", limit)

    def find(self, which: str) -> Kept:
        """By id, by a beginning that fits one alone, by an agent's name, or "last". Raises StoreError."""
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

    def history(self, session: str) -> list[Message]:
        """The conversation as it can be sent: whole, the messages of one run together."""
        return [entry.message for entry in self.entries(session) if entry.main]

    def entries(self, session: str) -> list[Entry]:
        """Every message: the conversation and what workers and advisers said for it.

        A run that was never ended, because its process was killed or still works on it, is closed here.
        """
        rows = self._read(
            "SELECT begun, at, run, main, agent, model, body, usage, recorded,"
            " messages.id = max(messages.id) OVER (PARTITION BY rounds.id)"
            " FROM rounds JOIN messages ON messages.round = rounds.id WHERE session = ?"
            " ORDER BY begun, rounds.id, messages.id",
            session,
        )
        kept = [(int(row[0]), _entry(row[1:])) for row in rows]
        for begun, event, at in self._open_runs(session):
            said = [entry.message for _, entry in kept if entry.run == event.run]
            kept += [(begun, entry) for entry in self._closing(session, event, said, at)]
        return [entry for _, entry in sorted(kept, key=lambda pair: pair[0])]

    def unended(self, session: str) -> list[Unended]:
        """The runs that were never ended, because their process was killed or still works on them."""
        last = "SELECT max(at) FROM events WHERE session = ? AND run = ?"
        return [
            Unended(
                run=event.run,
                closing=tuple(entry.message for entry in self._closing(session, event, said, at)),
                seconds=float(self._read(last, session, event.run)[0][0]) - at,
            )
            for _, event, at in self._open_runs(session)
            for said in [self._said(session, event.run)]
        ]

    def usage(self, session: str) -> dict[str, Usage]:
        """What each model used in all, workers and advisers included; unknown stays None."""
        spent: dict[str, Usage] = {}
        for model, usage in self._read(
            "SELECT model, usage FROM rounds WHERE session = ? ORDER BY id", session
        ):
            spent[model] = spent.get(model, Usage()) + _usage(usage)
        return spent

    def search(self, query: str, limit: int = 20) -> list[Found]:
        """Messages that hold all the words; the last word may be unfinished. Raises StoreError.

        The best first, or, where more than MAX_RANKED hold them, the newest: to rank them takes seconds then.
        """
        words = re.findall(r"\w+", query)
        if not words:
            raise StoreError(f"wanted words to look for, found {one_line(query, 40)!r}")
        matching = " ".join(f'"{word}"' for word in words) + "*"
        many = "SELECT count(*) FROM (SELECT 1 FROM found WHERE found MATCH ? LIMIT ?)"
        ranked = self._read(many, matching, MAX_RANKED + 1)[0][0] <= MAX_RANKED
        rows = self._read(
            "SELECT session, title, at, messages.role, rounds.model, excerpt FROM"
            " (SELECT rowid AS id, snippet(found, 0, '', '', '...', 16) AS excerpt FROM found WHERE found MATCH ?"
            f"  ORDER BY {'rank' if ranked else 'rowid DESC'} LIMIT ?) AS hits"
            " CROSS JOIN messages ON messages.id = hits.id JOIN rounds ON rounds.id = messages.round"
            " JOIN sessions ON sessions.id = session",
            matching,
            limit,
        )
        return [
            Found(session=s, title=t, at=at, role=role, model=model, excerpt=one_line(text, 200))
            for s, t, at, role, model, text in rows
        ]

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
        with self._writing() as database:
            most = -1 if rounds is None else max(rounds, 0)
            chosen = "SELECT id FROM rounds WHERE session = ? AND main ORDER BY begun, id LIMIT ?"
            base = int(database.execute("SELECT coalesce(max(id), 0) FROM rounds").fetchone()[0])
            # The tokens of these rounds were spent there, not here.
            database.execute(
                "INSERT INTO rounds (id, session, run, main, agent, model, at, usage, recorded, begun)"
                " SELECT ? + row_number() OVER (ORDER BY begun, id), ?, run, main, agent, model, at, '{}', recorded,"
                f" begun FROM rounds WHERE id IN ({chosen})",
                (base, new, kept.id, most),
            )
            added = database.execute(
                "INSERT INTO messages (round, role, body, text) SELECT copies.id, role, body, messages.text"
                f" FROM (SELECT id, row_number() OVER (ORDER BY begun, id) AS place FROM rounds WHERE id IN ({chosen}))"
                " AS chosen JOIN messages ON messages.round = chosen.id"
                " JOIN rounds AS copies ON copies.id = ? + chosen.place ORDER BY chosen.place, messages.id",
                (kept.id, most, base),
            ).rowcount
            database.execute(
                "UPDATE sessions SET messages = ?, model = ? WHERE id = ?", (added, kept.model, new)
            )
        return new

    def delete(self, session: str) -> None:
        """Forget a conversation and everything said for it; nothing happens when there is none."""
        with self._writing() as database:
            database.execute("DELETE FROM sessions WHERE id = ?", (session,))

    def forget(self, name: str) -> None:
        """Delete what the agent of this name remembers; nothing happens when it remembers nothing."""
        with self._writing() as database:
            database.execute("DELETE FROM sessions WHERE name = ?", (name,))

    def _round(
        self,
        database: sqlite3.Connection,
        session: str,
        started: RunStarted,
        event: Appended,
        now: float,
    ) -> int:
        """The round these messages belong to: an answer joins its question, tool results the round of their calls."""
        usage = json.dumps({key: value for key, value in asdict(event.usage).items() if value is not None})
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

    def _messages(self, number: int, first: int, count: int) -> list[Any]:
        rows = self._read(
            "SELECT body FROM messages WHERE round = ? ORDER BY id LIMIT ? OFFSET ?", number, count, first
        )
        return [json.loads(row[0]) for row in rows]

    def _open_runs(self, session: str) -> list[tuple[int, RunStarted, float]]:
        rows = self._read(
            "SELECT id, body, at FROM events AS begun WHERE session = ?1 AND kind = 'run_started' AND NOT EXISTS"
            " (SELECT 1 FROM events AS ended WHERE ended.session = ?1 AND ended.run = begun.run"
            "  AND ended.kind = 'run_ended')",
            session,
        )
        runs = [(int(number), event_of(json.loads(body)), float(at)) for number, body, at in rows]
        return [(number, event, at) for number, event, at in runs if isinstance(event, RunStarted)]

    def _closing(self, session: str, event: RunStarted, said: Sequence[Message], at: float) -> list[Entry]:
        """What makes a run whole that nobody ended."""
        begin = () if said else (event.question or user(event.prompt),)
        draft = self._read(
            "SELECT thinking, text FROM drafts WHERE session = ? AND run = ? ORDER BY id", session, event.run
        )
        end = closing(
            (*said, *begin),
            cause=KILLED,
            said="".join(text for thinking, text in draft if not thinking),
            thought="".join(text for thinking, text in draft if thinking),
            results=self._results(session, event.run),
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
            )
            for message in (*begin, *end)
        ]

    def _said(self, session: str, run: str) -> list[Message]:
        said = (
            "SELECT body FROM rounds JOIN messages ON round = rounds.id WHERE session = ? AND run = ?"
            " ORDER BY rounds.id, messages.id"
        )
        return [message_of(json.loads(body)) for (body,) in self._read(said, session, run)]

    def _results(self, session: str, run: str) -> dict[str, ToolResult]:
        """The results of tools that had finished, by the call's id."""
        rows = self._read(
            "SELECT body FROM events WHERE session = ? AND run = ? AND kind = 'tool_finished' ORDER BY id",
            session,
            run,
        )
        events = [event_of(json.loads(row[0])) for row in rows]
        return {e.result.call_id: e.result for e in events if e.kind == "tool_finished"}

    def _kept(self, where: str, rest: str, *values: Any) -> list[Kept]:
        names = [field.name for field in fields(Kept)]
        rows = self._read(f"SELECT {', '.join(names)} FROM sessions WHERE {where} {rest}", *values)
        return [Kept(**dict(zip(names, row, strict=True))) for row in rows]


def is_main(started: RunStarted) -> bool:
    """Whether a run is part of the conversation, and not a worker's or an adviser's."""
    return started.parent is None and started.role == "lead"


@contextmanager
def _of(session: str) -> Generator[None]:
    try:
        yield
    except sqlite3.IntegrityError as exc:
        raise StoreError(f"the conversation {session} was deleted") from exc


def _noted(
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


def _insert(database: sqlite3.Connection, round: int, messages: Sequence[Message]) -> None:
    database.executemany(
        "INSERT INTO messages (round, role, body, text) VALUES (?, ?, ?, ?)",
        [(round, m.role, message_json(m), searched(m)) for m in messages],
    )


def _count(
    database: sqlite3.Connection, session: str, more: int, now: float, model: str | None = None
) -> None:
    database.execute(
        "UPDATE sessions SET updated_at = ?, model = coalesce(?, model), messages = messages + ? WHERE id = ?",
        (now, model, more, session),
    )


def _entry(row: Any) -> Entry:
    at, run, main, agent, model, body, usage, recorded, last = row
    return Entry(
        at=at,
        run=run,
        main=bool(main),
        agent=agent,
        model=model,
        message=message_of(json.loads(body)),
        usage=_usage(usage) if last else None,
        recorded=bool(recorded),
    )


def _usage(text: str) -> Usage:
    return Usage(**json.loads(text))
