"""Delegations on disk from their first moment: who asks after one finds it whatever became of its server.

A server that lives holds a lock for its delegations, one byte of a file; the kernel lets go of it when the process
ends, however it ends. A delegation without an end and without that lock was interrupted.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields
from typing import Literal

from ...state.home import home
from ...state.sqlite import NewerFormat, connect

log = logging.getLogger(__name__)

MAX_AGE_S = 30 * 86_400.0
MAX_KEPT = 5_000
_TABLE = """
CREATE TABLE IF NOT EXISTS delegations (
    id TEXT PRIMARY KEY, server INTEGER NOT NULL, place TEXT NOT NULL, what TEXT NOT NULL, kind TEXT NOT NULL,
    began REAL NOT NULL, doing TEXT NOT NULL DEFAULT 'starting', ended REAL, state TEXT, result TEXT
) STRICT
"""

State = Literal["running", "done", "failed", "cancelled", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptJob:
    """A delegation as the disk knows it."""

    id: str
    what: str
    kind: str  # "delegate" or "map"
    began: float  # seconds since 1970
    doing: str  # the last that was heard of it while it ran
    ended: float | None
    state: State
    result: str | None  # the receipt as JSON, or why it failed


class JobStore:
    """The delegations of all servers on the folders of `place`. A disk that fails is logged: the work goes on."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.server = secrets.randbits(40) + 1
        self._guard = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._alive: int | None = None  # the lock file; closing any descriptor of it would let go of the lock
        self._let_go: Callable[[], object] | None = None
        self._broken = False

    def begin(self, id: str, what: str, kind: str) -> None:
        now = time.time()
        with self._opened() as db:
            if db is not None:
                db.execute(
                    "INSERT INTO delegations (id, server, place, what, kind, began) VALUES (?, ?, ?, ?, ?, ?)",
                    (id, self.server, self.place, what, kind, now),
                )
                db.execute("DELETE FROM delegations WHERE began < ?", (now - MAX_AGE_S,))
                db.execute(
                    "DELETE FROM delegations WHERE rowid <= (SELECT max(rowid) FROM delegations) - ?",
                    (MAX_KEPT,),
                )

    def tells(self, id: str, doing: str) -> None:
        with self._opened() as db:
            if db is not None:
                db.execute("UPDATE delegations SET doing = ? WHERE id = ?", (doing, id))

    def end(self, id: str, state: State, result: str | None) -> None:
        with self._opened() as db:
            if db is not None:
                row = (time.time(), state, result, id)
                db.execute("UPDATE delegations SET ended = ?, state = ?, result = ? WHERE id = ?", row)

    def find(self, id: str) -> KeptJob | None:
        """Of these folders; None when it was never begun here, or is forgotten."""
        found = self._rows("id = ?", (id,))
        return found[0] if found else None

    def recent(self, limit: int, within_s: float) -> list[KeptJob]:
        """Oldest first: those that run, and the last that ended, without this server's own."""
        rows = self._rows(
            "server != ? AND began > ? ORDER BY began DESC LIMIT ?",
            (self.server, time.time() - within_s, limit),
        )
        return rows[::-1]

    def close(self) -> None:
        with self._guard:
            if self._let_go is not None:
                self._let_go()
            self._db = self._alive = None
            self._broken = True

    def _rows(self, where: str, values: tuple[object, ...]) -> list[KeptJob]:
        names = [field.name for field in fields(KeptJob)]
        with self._opened() as db:
            if db is None:
                return []
            rows = db.execute(
                f"SELECT server, {', '.join(names)} FROM delegations WHERE place = ? AND {where}",
                (self.place, *values),
            ).fetchall()
            return [self._kept(row[0], dict(zip(names, row[1:], strict=True))) for row in rows]
        return []

    def _kept(self, server: int, row: dict[str, object]) -> KeptJob:
        state = row["state"] or ("running" if self._lives(server) else "interrupted")
        return KeptJob(**{**row, "state": state})  # pyright: ignore[reportArgumentType]  # a STRICT table

    def _lives(self, server: int) -> bool:
        if server == self.server:
            return True
        import fcntl

        assert self._alive is not None
        try:
            fcntl.lockf(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, server)
        except OSError:
            return True
        fcntl.lockf(self._alive, fcntl.LOCK_UN, 1, server)
        return False

    @contextmanager
    def _opened(self) -> Generator[sqlite3.Connection | None]:
        with self._guard:
            with _logged():
                if self._db is None and not self._broken:
                    self._open()
            with _logged():
                yield self._db

    def _open(self) -> None:
        import fcntl

        self._broken = True  # until it is open: one warning is enough
        folder = home()
        files = ExitStack()
        # One that is forgotten leaves no file open.
        self._let_go = weakref.finalize(self, files.close)
        db = files.enter_context(closing(connect(folder / "delegations.sqlite", [_TABLE], busy_s=5.0)))
        alive = os.open(folder / "delegations.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        files.callback(os.close, alive)
        fcntl.lockf(alive, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self.server)
        self._db, self._alive, self._broken = db, alive, False


@contextmanager
def _logged() -> Generator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, NewerFormat) as exc:
        log.warning("delegations are not kept on disk: %s", exc)
