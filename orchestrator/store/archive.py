"""A conversation as JSON lines that are read in again without loss: its messages, and what else the journal has of it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from ..errors import ConfigError
from ..events import event_of
from ..sanitize import one_line
from ..types import Message, Usage
from .codec import message_json, message_of
from .database import Database
from .records import Kept
from .rounds import insert
from .store import Store
from .transcript import LAST_MOMENT, as_markdown, moment, write

Moment = Annotated[float, Field(ge=0, le=LAST_MOMENT)]
"""Seconds since 1970."""


class _Session(BaseModel):
    kind: Literal["session"]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]
    name: str | None
    created_at: Moment
    updated_at: Moment
    title: str
    folder: str
    parent: str | None
    model: str
    lines: int | None = None  # that follow; None: written by an older version


class _Said(BaseModel):
    """A message; what stands there beside these fields is the message itself."""

    kind: Literal["message"]
    at_s: Moment
    run: str
    main: bool
    agent: str
    model: str
    round: int | None  # None: it only closes a run that nobody ended, and is made anew
    usage: dict[str, Any] | None = None  # on the last message of a round
    recorded: bool = False


class _Happened(BaseModel):
    kind: Literal["event"]
    at_s: Moment
    run: str | None
    event: dict[str, Any]  # of an appended: the round and the places its messages have there


class _Piece(BaseModel):
    kind: Literal["draft"]
    run: str
    thinking: bool
    text: str


@dataclass(slots=True)
class _Round:
    said: _Said
    usage: Usage = field(default_factory=Usage)
    messages: list[Message] = field(default_factory=list[Message])


@dataclass(slots=True)
class _Archive:
    session: _Session
    rounds: dict[int, _Round] = field(default_factory=dict[int, _Round])
    events: list[_Happened] = field(default_factory=list[_Happened])
    pieces: list[_Piece] = field(default_factory=list[_Piece])


def as_jsonl(store: Store, kept: Kept) -> Iterator[str]:
    """The session's own line, one line a message with everything kept of it, then the journal's own."""
    with store.database.at_once():
        entries = store.entries(kept.id)
        happened = store.database.read(_HAPPENED, kept.id)
        pieces = store.database.read(_PIECES, kept.id)
    lines = len(entries) + len(happened) + len(pieces)
    yield json.dumps({"kind": "session", **asdict(kept), "lines": lines})
    for entry in entries:
        line = {
            "kind": "message",
            "at": moment(entry.at),
            "at_s": entry.at,
            "run": entry.run,
            "round": entry.round,
            "main": entry.main,
            "agent": entry.agent,
            "model": entry.model,
            **json.loads(message_json(entry.message)),
        }
        if entry.usage is not None:
            line["usage"] = entry.usage.known()
            line["recorded"] = entry.recorded
        yield json.dumps(line)
    for at, run, body in happened:
        yield json.dumps({"kind": "event", "at_s": at, "run": run, "event": json.loads(body)})
    for run, thinking, text in pieces:
        yield json.dumps({"kind": "draft", "run": run, "thinking": bool(thinking), "text": text})


_HAPPENED = "SELECT at, run, body FROM events WHERE session = ? ORDER BY id"
_PIECES = "SELECT run, thinking, text FROM drafts WHERE session = ? ORDER BY id"


def export(store: Store, kept: Kept, path: Path) -> None:
    """Into a new file: JSON lines when its name ends in .jsonl, else Markdown. Raises ConfigError."""
    lines = as_jsonl(store, kept) if path.suffix == ".jsonl" else as_markdown(kept, store.entries(kept.id))
    write(lines, path)


def read_in(store: Store, lines: Iterable[str], source: str) -> Kept:
    """Keep what `as_jsonl` wrote, under its own id and name where they are free; nothing of it when a line is wrong.

    What it cost counts where it was spent. Raises ConfigError naming the line, StoreError.
    """
    archive = _parsed(lines, source)
    taken = "SELECT 1 FROM sessions WHERE id = ? OR name = ?"
    session, name = archive.session.id, archive.session.name
    if store.database.read(taken, session, None):
        session = secrets.token_hex(4)
    if name is not None and store.database.read(taken, None, name):
        name = None
    _keep(store.database, archive, session, name)
    return store.find(session)


def _parsed(lines: Iterable[str], source: str) -> _Archive:
    archive: _Archive | None = None
    found = -1
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        found += 1
        try:
            line = _line().validate_json(text)
            if archive is None:
                if not isinstance(line, _Session):
                    raise ValueError("wanted the session's own line first")
                archive = _Archive(line)
            else:
                _take(archive, line, text)
        except ValueError as exc:
            raise ConfigError(f"{source}, line {number}: {_reason(exc)}; nothing of it is read in") from exc
    if archive is None:
        raise ConfigError(f"{source} is empty; 'understudy sessions export ID --to FILE.jsonl' writes one")
    wanted = archive.session.lines
    if wanted is not None and found != wanted:
        raise ConfigError(
            f"{source} is not whole: it had {wanted:,} lines after the first, found {found:,}; nothing of it is read in"
        )
    return archive


def _take(archive: _Archive, line: _Session | _Said | _Happened | _Piece, text: str) -> None:
    match line:
        case _Session():
            raise ValueError("a file holds one conversation, and here begins another")
        case _Said():
            if line.round is not None:
                kept = archive.rounds.setdefault(line.round, _Round(line))
                kept.messages.append(message_of(_own(json.loads(text))))
                if line.usage is not None:
                    kept.said, kept.usage = line, Usage(**_usage().validate_python(line.usage))
        case _Happened():
            event = line.event
            if event.get("kind") == "appended":
                if event.get("round") not in archive.rounds:
                    raise ValueError(f"the messages of round {event.get('round')} are missing")
                first, count = _places().validate_python(event.get("places"))
                if first + count > len(archive.rounds[event["round"]].messages):
                    raise ValueError(f"round {event.get('round')} has fewer messages than are said to be its")
                event = {**event, "messages": []}
            event_of(event)
            archive.events.append(line)
        case _Piece():
            archive.pieces.append(line)


def _keep(database: Database, archive: _Archive, session: str, name: str | None) -> None:
    own = archive.session
    main = sum(len(one.messages) for one in archive.rounds.values() if one.said.main)
    with database.writing() as writing:
        writing.execute(
            "INSERT INTO sessions (id, name, created_at, title, folder, parent, updated_at, model, messages)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                session,
                name,
                own.created_at,
                own.title,
                own.folder,
                own.parent,
                min(own.updated_at, time.time()),  # else it would be "last" for ever
                own.model,
                main,
            ),
        )
        base = int(writing.execute("SELECT coalesce(max(id), 0) FROM rounds").fetchone()[0])
        numbers = {old: base + place for place, old in enumerate(sorted(archive.rounds), 1)}
        begun: dict[str | None, int] = {}
        for line in archive.events:
            event = line.event
            if event.get("kind") == "appended":
                event = {**event, "round": numbers[event["round"]]}
            row = (session, line.run, line.at_s, event["kind"], json.dumps(event))
            noted = "INSERT INTO events (session, run, at, kind, body) VALUES (?, ?, ?, ?, ?)"
            begun.setdefault(line.run, writing.execute(noted, row).lastrowid or 0)
        for old, one in sorted(archive.rounds.items()):
            said = one.said
            place = begun.get(said.run, 0)  # runs that happened elsewhere have no events here, and come first
            writing.execute(
                "INSERT INTO rounds (id, session, run, main, agent, model, at, usage, recorded, begun)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (numbers[old], session, said.run, said.main, said.agent, said.model, said.at_s)
                + (json.dumps(one.usage.known()), said.recorded, place),
            )
            insert(writing, numbers[old], one.messages)
        writing.executemany(
            "INSERT INTO drafts (session, run, thinking, text) VALUES (?, ?, ?, ?)",
            [(session, piece.run, piece.thinking, piece.text) for piece in archive.pieces],
        )


def _own(line: dict[str, Any]) -> dict[str, Any]:
    """Of a message's line, the message."""
    return {key: line[key] for key in ("role", "parts", "origin") if key in line}


def _reason(exc: ValueError) -> str:
    if not isinstance(exc, ValidationError):
        return one_line(str(exc), 200)
    first = exc.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return one_line(f"{where}: {first['msg']}" if where else first["msg"], 200)


@cache
def _line() -> TypeAdapter[_Session | _Said | _Happened | _Piece]:
    return TypeAdapter(Annotated[_Session | _Said | _Happened | _Piece, Field(discriminator="kind")])


@cache
def _places() -> TypeAdapter[tuple[int, int]]:
    """Of an appended: its first message in the round, and how many."""
    return TypeAdapter(tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]])


@cache
def _usage() -> TypeAdapter[dict[str, Any]]:
    return TypeAdapter(
        dict[Annotated[str, Field(pattern=f"^({'|'.join(asdict(Usage()))})$")], float | int | None]
    )
