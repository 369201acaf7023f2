"""The undo store: what every change replaced, and the journal that lets a killed change be finished or taken back.

One SQLite file in the state folder, shared by all servers of a user. Contents are kept once, by
hash, compressed; the oldest go when the store is over its caps.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from ..state.sqlite import connect, statements, transaction
from .trees import remove_tree

MAX_STORE_BYTES = 512 << 20
MAX_AGE_S = 30 * 86_400.0
PRUNE_EVERY = 64  # changes between two looks at the caps,
PRUNE_BYTES = 64 << 20  # or bytes kept by them; the first change of a process looks too

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ops (
    seq INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, at REAL NOT NULL, tool TEXT NOT NULL,
    state TEXT NOT NULL, body TEXT NOT NULL, trash_bytes INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS ops_state ON ops (state);
CREATE TABLE IF NOT EXISTS blobs (hash TEXT PRIMARY KEY, size INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS kept (op INTEGER NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (op, hash));
CREATE INDEX IF NOT EXISTS kept_hash ON kept (hash);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One name that a change touches."""

    root: str
    path: str  # root-relative, links resolved
    kind: Literal["write", "move", "trash", "made"] = "write"
    old_rev: str | None = None  # None: was not there
    new_rev: str | None = None  # None: is gone
    blob: str | None = None  # the old content
    mode: int | None = None  # of the old file
    new_mode: int | None = None  # None: unchanged
    temp: str | None = None  # the temporary name beside it while the change is under way
    to: str | None = None  # for move: root-relative; for trash: the name in the store's trash folder
    to_root: str | None = None


_STEP = tuple(field.name for field in fields(Step))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One change as the journal knows it."""

    id: str
    at: float  # seconds since 1970
    tool: str
    state: Literal["begun", "copied", "done"]  # copied: a move between file systems has its copy in place
    steps: tuple[Step, ...]
    made: tuple[tuple[str, str], ...] = ()  # (root, path) of folders made on the way
    trash_bytes: int = 0


class UndoStore:
    """Records and contents. Everything raises OSError when the store cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "undo.sqlite"
        self._lock = threading.Lock()
        self._open: sqlite3.Connection | None = None
        self._changes = PRUNE_EVERY  # since the last look at the caps
        self._bytes = 0

    @property
    def exists(self) -> bool:
        return self.file.exists()

    def begin(self, record: Record, contents: Sequence[bytes], *, synced: bool = True) -> None:
        """Note what is about to happen, with the contents it replaces; on disk when this returns, unless not `synced`.

        A killed process loses the note in neither case; against a power cut, `syncing` makes it last.
        """
        with self._writing(synced=synced) as db:
            row = db.execute(
                "INSERT INTO ops (id, at, tool, state, body, trash_bytes) VALUES (?, ?, ?, ?, ?, ?)",
                (record.id, record.at, record.tool, record.state, _body(record), record.trash_bytes),
            )
            for data in contents:
                name = name_of(data)
                if not db.execute("SELECT 1 FROM blobs WHERE hash = ?", (name,)).fetchone():
                    packed = zlib.compress(data, 1)
                    db.execute("INSERT INTO blobs VALUES (?, ?, ?)", (name, len(packed), packed))
                db.execute("INSERT OR IGNORE INTO kept VALUES (?, ?)", (row.lastrowid, name))
        self._changes += 1
        self._bytes += record.trash_bytes + sum(map(len, contents))
        if self._changes >= PRUNE_EVERY or self._bytes >= PRUNE_BYTES:
            self._changes = self._bytes = 0
            self.prune()

    @contextmanager
    def syncing(self) -> Generator[None]:
        """What was noted is on disk at the end of this, and reaches it while the body runs."""
        log = _syncs.submit(_sync, f"{self.file}-wal")
        try:
            yield
        finally:
            wait((log,))
        log.result()

    def finish(
        self, record_id: str, state: Literal["copied", "done"] = "done", *, synced: bool = True
    ) -> None:
        """Note that it has happened. Not `synced`, a power cut may take the note back, and the next start finds out."""
        with self._writing(synced=synced) as db:
            db.execute("UPDATE ops SET state = ? WHERE id = ?", (state, record_id))

    def drop(self, record_id: str) -> None:
        """Forget a change that was taken back."""
        with self._writing() as db:
            _drop(db, "id = ?", (record_id,))

    def content(self, name: str) -> bytes | None:
        """A kept content; None when it is no longer in the store."""
        with self._reading() as db:
            row = db.execute("SELECT data FROM blobs WHERE hash = ?", (name,)).fetchone()
        return zlib.decompress(row[0]) if row else None

    def record(self, record_id: str) -> Record | None:
        found = self._records("id = ?", (record_id,))
        return found[0] if found else None

    def recent(self, limit: int) -> list[Record]:
        """The newest finished changes first."""
        return self._records("state = 'done'", (), limit)

    def named(self, tool_ending: str) -> Record | None:
        """The newest finished change whose tool's name ends so."""
        found = self._records("state = 'done' AND substr(tool, ?) = ?", (-len(tool_ending), tool_ending), 1)
        return found[0] if found else None

    def unfinished(self) -> list[Record]:
        return self._records("state != 'done'", ())

    @contextmanager
    def trash(self) -> Generator[int]:
        """The folder where deleted trees lie, by descriptor."""
        folder = self.folder / "trash"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)

    def prune(self, max_bytes: int | None = None, max_age_s: float = MAX_AGE_S) -> list[str]:
        """Forget the oldest changes beyond the caps; returns their ids."""
        max_bytes = MAX_STORE_BYTES if max_bytes is None else max_bytes
        gone: list[str] = []
        with self._writing() as db:
            gone += _drop(db, "state = 'done' AND at < ?", (time.time() - max_age_s,))
            oldest = "seq = (SELECT min(seq) FROM ops WHERE state = 'done')"
            while _size(db) > max_bytes and (dropped := _drop(db, oldest, ())):
                gone += dropped
        with self.trash() as fd:
            for name in gone:
                with suppress(OSError):
                    remove_tree(fd, name)
        return gone

    def close(self) -> None:
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _records(self, where: str, values: Sequence[object], limit: int = 1000) -> list[Record]:
        if not self.exists:
            return []
        with self._reading() as db:
            rows = db.execute(
                f"SELECT id, at, tool, state, body FROM ops WHERE {where} ORDER BY seq DESC LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [_record(*row) for row in rows]

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection]:
        with self._lock, _as_os_error():
            yield self._connection()

    @contextmanager
    def _writing(self, *, synced: bool = True) -> Generator[sqlite3.Connection]:
        with self._lock, _as_os_error():
            db = self._connection()
            db.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            with transaction(db):
                yield db

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open = connect(self.file, statements(_SCHEMA), synchronous="FULL")
            weakref.finalize(self, self._open.close)  # a store that is forgotten leaves no file open
        return self._open


_syncs = ThreadPoolExecutor(4, "undo-sync")


def _sync(log: str) -> None:
    """SQLite's log of what was committed. No lock is lost by closing it: they are on other files, unlike at a database."""
    with suppress(FileNotFoundError):  # a file system that can have none has every commit on disk already
        fd = os.open(log, os.O_RDONLY)
        try:
            getattr(os, "fdatasync", os.fsync)(fd)
        finally:
            os.close(fd)


@contextmanager
def _as_os_error() -> Generator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        raise OSError(errno.EIO, f"the undo store: {exc}") from exc


def name_of(data: bytes) -> str:
    """The name a content is kept under."""
    return hashlib.sha256(data).hexdigest()


def _body(record: Record) -> str:
    steps = [
        {name: value for name in _STEP if (value := getattr(step, name)) is not None} for step in record.steps
    ]
    return json.dumps({"steps": steps, "made": record.made})


def _record(
    record_id: str, at: float, tool: str, state: Literal["begun", "copied", "done"], body: str
) -> Record:
    parsed = json.loads(body)
    steps = tuple(Step(**step) for step in parsed["steps"])
    made = tuple((root, path) for root, path in parsed["made"])
    return Record(id=record_id, at=at, tool=tool, state=state, steps=steps, made=made)


def _drop(db: sqlite3.Connection, where: str, values: Sequence[object]) -> list[str]:
    rows = db.execute(f"SELECT seq, id FROM ops WHERE {where}", values).fetchall()
    for seq, _ in rows:
        db.execute(
            "DELETE FROM blobs WHERE hash IN (SELECT hash FROM kept WHERE op = ?1) AND NOT EXISTS"
            " (SELECT 1 FROM kept WHERE kept.hash = blobs.hash AND op != ?1)",
            (seq,),
        )
        db.execute("DELETE FROM kept WHERE op = ?", (seq,))
        db.execute("DELETE FROM ops WHERE seq = ?", (seq,))
    return [record_id for _, record_id in rows]


def _size(db: sqlite3.Connection) -> int:
    kept = db.execute("SELECT coalesce(sum(size), 0) FROM blobs").fetchone()[0]
    return kept + db.execute("SELECT coalesce(sum(trash_bytes), 0) FROM ops").fetchone()[0]
