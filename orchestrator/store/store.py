"""Conversations on disk: kept by whole rounds, searchable, resumable, shared by several processes.

A killed process loses at most the round under way: a round is one transaction, made as it ends.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from servers.state.home import home
from servers.state.sqlite import transaction

from ..events import Appended, Emit, Event, Notice, RunEnded, RunStarted, ignore
from ..sanitize import one_line
from ..types import Message, Text, Thinking, ToolCall, ToolResult, Usage
from .schema import StoreError, open_database

__all__ = [
    "Entry",
    "Found",
    "Kept",
    "Recorder",
    "Store",
    "StoreError",
    "message_json",
    "message_of",
    "open_conversation",
]

MAX_SEARCHED_CHARS = 100_000  # of one message; the message itself is kept whole


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


class Store:
    """The conversations of this user. Safe to use from several threads and processes."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises StoreError with one sentence when the file cannot be used."""
        try:
            self.path = path or home() / "conversations.sqlite"
        except OSError as exc:
            raise StoreError(f"the folder for conversations cannot be made: {exc}") from exc
        self._database = open_database(self.path)
        weakref.finalize(self, self._database.close)  # a store that is forgotten leaves no file open
        self._lock = threading.RLock()

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def start(
        self, *, title: str = "", folder: str = "", name: str | None = None, parent: str | None = None
    ) -> str:
        """The id of a new conversation, or of the one the named agent already has."""
        row = (secrets.token_hex(4), name, time.time(), one_line(title, 80), folder, parent)
        with self._writing() as database:
            database.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING", row
            )
            if name is not None:
                return str(database.execute("SELECT id FROM sessions WHERE name = ?", (name,)).fetchone()[0])
        return row[0]

    def append(self, session: str, started: RunStarted, event: Appended) -> None:
        """Keep one whole round. Raises StoreError when the session was deleted meanwhile."""
        main = started.parent is None and started.role == "lead"
        usage = json.dumps({key: value for key, value in asdict(event.usage).items() if value is not None})
        with self._writing() as database:
            row = (
                session,
                started.run,
                main,
                started.agent,
                started.model,
                time.time(),
                usage,
                event.recorded,
            )
            try:
                number = database.execute(
                    "INSERT INTO rounds (session, run, main, agent, model, at, usage, recorded)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    row,
                ).lastrowid
            except sqlite3.IntegrityError as exc:
                raise StoreError(f"the conversation {session} was deleted") from exc
            database.executemany(
                "INSERT INTO messages (round, role, body, text) VALUES (?, ?, ?, ?)",
                [(number, m.role, message_json(m), _searched(m)) for m in event.messages],
            )

    def sessions(self, limit: int = 50) -> list[Kept]:
        """The newest first."""
        return self._kept("1", "ORDER BY updated_at DESC, sessions.rowid DESC LIMIT ?", limit)

    def find(self, which: str) -> Kept:
        """By id, by a beginning that fits one alone, by an agent's name, or "last". Raises StoreError."""
        if which == "last":
            newest = self.sessions(1)
            if not newest:
                raise StoreError("there is no conversation yet; 'understudy chat' begins one")
            return newest[0]
        fitting = self._kept("sessions.id = ?1 OR name = ?1", "LIMIT 2", which)
        if not fitting and re.fullmatch(r"[0-9a-f]{1,8}", which):
            fitting = self._kept("sessions.id GLOB ?", "LIMIT 2", which + "*")
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise StoreError(f"more than one conversation begins with {which!r}; give more of the id")
        newest = ", ".join(kept.id for kept in self.sessions(5)) or "none"
        raise StoreError(f"there is no conversation {one_line(which, 40)!r}; the newest are {newest}")

    def history(self, session: str) -> list[Message]:
        """The conversation as it can be sent: whole rounds, those of one run together."""
        return [entry.message for entry in self.entries(session) if entry.main]

    def entries(self, session: str) -> list[Entry]:
        """Every message kept: the conversation and what workers and advisers said for it."""
        rows = self._read(
            "SELECT at, run, main, agent, model, body, usage, recorded,"
            " messages.id = max(messages.id) OVER (PARTITION BY rounds.id)"
            " FROM rounds JOIN messages ON messages.round = rounds.id WHERE session = ?"
            " ORDER BY min(rounds.id) OVER (PARTITION BY run), rounds.id, messages.id",
            session,
        )
        return [
            Entry(
                at=row[0],
                run=row[1],
                main=bool(row[2]),
                agent=row[3],
                model=row[4],
                message=message_of(json.loads(row[5])),
                usage=_usage(row[6]) if row[8] else None,
                recorded=bool(row[7]),
            )
            for row in rows
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
        """Messages that hold all the words, the best first; the last word may be unfinished. Raises StoreError."""
        words = re.findall(r"\w+", query)
        if not words:
            raise StoreError(f"wanted words to look for, found {one_line(query, 40)!r}")
        matching = " ".join(f'"{word}"' for word in words) + "*"
        rows = self._read(
            "SELECT session, title, at, messages.role, model, snippet(found, 0, '', '', '...', 16)"
            " FROM found JOIN messages ON messages.id = found.rowid JOIN rounds ON rounds.id = messages.round"
            " JOIN sessions ON sessions.id = session WHERE found MATCH ? ORDER BY rank LIMIT ?",
            matching,
            limit,
        )
        return [
            Found(session=s, title=t, at=at, role=role, model=model, excerpt=one_line(text, 200))
            for s, t, at, role, model, text in rows
        ]

    def fork(self, session: str, *, rounds: int | None = None) -> str:
        """A new conversation that begins as this one did, with its first `rounds` rounds; None: with all."""
        kept = self.find(session)
        new = self.start(title=kept.title, folder=kept.folder, parent=kept.id)
        with self._writing() as database:
            numbers = database.execute(
                "SELECT id FROM rounds WHERE session = ? AND main ORDER BY id LIMIT ?",
                (kept.id, -1 if rounds is None else max(rounds, 0)),
            ).fetchall()
            for (number,) in numbers:
                copy = database.execute(
                    "INSERT INTO rounds (session, run, main, agent, model, at, usage, recorded)"
                    " SELECT ?, run, main, agent, model, at, '{}', recorded FROM rounds WHERE id = ?",
                    (new, number),  # its tokens were spent there, not here
                ).lastrowid
                database.execute(
                    "INSERT INTO messages (round, role, body, text)"
                    " SELECT ?, role, body, text FROM messages WHERE round = ? ORDER BY id",
                    (copy, number),
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

    def _kept(self, where: str, rest: str, *values: Any) -> list[Kept]:
        names = [field.name for field in fields(Kept)]
        rows = self._read(f"{_KEPT} WHERE {where} GROUP BY sessions.id {rest}", *values)
        return [Kept(**dict(zip(names, row, strict=True))) for row in rows]

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._lock, _explained(self.path):
            return self._database.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        """All of it or nothing of it."""
        with self._lock, _explained(self.path), transaction(self._database):
            yield self._database


class Recorder:
    """An Emit that keeps a conversation: in `history`, always sendable, and round by round on disk.

    A store that fails does not end the conversation: the person is told once and it goes on unsaved.
    """

    def __init__(
        self,
        store: Store | None,
        kept: Kept | None = None,
        *,
        folder: str = "",
        history: Iterable[Message] = (),
        spent: Mapping[str, Usage] | None = None,
        emit: Emit = ignore,
    ) -> None:
        self.store, self.kept = store, kept
        self.session = kept.id if kept else None
        self.history = list(history)
        self.spent = dict(spent or {})  # by model, workers and advisers included
        self._folder, self._emit = folder, emit
        self._runs: dict[str, RunStarted] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._runs[event.run] = event
            case RunEnded():
                self._runs.pop(event.run, None)
            case Appended() if (started := self._runs.get(event.run)) is not None:
                self.spent[started.model] = self.spent.get(started.model, Usage()) + event.usage
                if started.parent is None and started.role == "lead":
                    self.history += event.messages
                self._keep(started, event)
            case _:
                pass

    def close(self) -> None:
        """Close the store it keeps in."""
        if self.store is not None:
            self.store.close()

    def _keep(self, started: RunStarted, event: Appended) -> None:
        if self.store is None:
            return
        try:
            if self.session is None:
                title = started.prompt.strip().split("\n")[0]
                self.session = self.store.start(title=title, folder=self._folder)
            self.store.append(self.session, started, event)
        except StoreError as exc:
            self.store = None
            self._emit(
                Notice(text=f"from here on nothing of this conversation is kept: {exc}", level="warning")
            )


def open_conversation(
    store: Store | None,
    *,
    which: str | None = None,
    name: str | None = None,
    folder: str = "",
    emit: Emit = ignore,
) -> Recorder:
    """What keeps a conversation in `store`: a kept one, an agent's own, or a new one.

    `which`: the one to go on with, as `Store.find` takes it. `name`: of an agent that remembers by itself; its
    conversation is made when there is none. `store` None: nothing is kept. Raises StoreError.
    """
    if store is None:
        return Recorder(None)
    if name is not None:
        which = store.start(name=name, title=name, folder=folder)
    if which is None:
        return Recorder(store, folder=folder, emit=emit)
    kept = store.find(which)
    return Recorder(store, kept, history=store.history(kept.id), spent=store.usage(kept.id), emit=emit)


def message_json(message: Message) -> str:
    """ASCII, so that a lone surrogate in what a model wrote survives too."""
    return json.dumps(_messages().dump_python(message, mode="json", warnings="none"))


def message_of(value: Any) -> Message:
    return _messages().validate_python(value)


@cache
def _messages() -> TypeAdapter[Message]:
    return TypeAdapter(Message)


def _searched(message: Message) -> str:
    said: list[str] = []
    for part in message.parts:
        match part:
            case Text() | Thinking():
                said.append(part.text)
            case ToolCall():
                said.append(
                    f"{part.name} {json.dumps(dict(part.arguments), ensure_ascii=False, default=str)}"
                )
            case ToolResult():
                said.append(part.text)
            case _:
                pass
    return "\n".join(said)[:MAX_SEARCHED_CHARS].encode("utf-8", "replace").decode()


_KEPT = """
SELECT sessions.id, name, created_at, coalesce(max(at), created_at) AS updated_at, title, folder, parent,
    coalesce((SELECT model FROM rounds AS r WHERE r.session = sessions.id AND main ORDER BY id DESC LIMIT 1), ''),
    (SELECT count(*) FROM rounds AS r JOIN messages ON round = r.id WHERE r.session = sessions.id AND main)
FROM sessions LEFT JOIN rounds ON rounds.session = sessions.id"""


def _usage(text: str) -> Usage:
    return Usage(**json.loads(text))


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as exc:
        raise StoreError(f"{path} cannot be used now: {exc}") from exc
    except (sqlite3.DatabaseError, sqlite3.ProgrammingError) as exc:
        raise StoreError(f"{path} cannot be read ({exc}); move it away to begin anew") from exc
