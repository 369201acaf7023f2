"""Opening an SQLite file that several processes share, its tables made once, and writing to it all or nothing."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

_making = threading.Lock()
"""No thread connects to a new file while another still holds the descriptor that made it."""


class AnyText(sqlite3.Connection):
    """One that takes any text: half characters, of which some file names and arguments consist, become "?"."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except UnicodeEncodeError:
            return super().execute(sql, [_whole(value) for value in parameters])

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        return super().executemany(sql, ([_whole(value) for value in row] for row in parameters))


class NewerFormat(Exception):
    """The file was written by a newer Understudy."""

    def __init__(self, found: int) -> None:
        super().__init__(f"format {found}")
        self.found = found


def connect(
    path: Path,
    tables: Iterable[str],
    *,
    version: int = 0,
    steps: Sequence[Sequence[str]] = (),
    application_id: int = 0,
    busy_s: float = 20.0,
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
    kind: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """A connection in WAL mode for all threads; the file is made when missing, readable by its owner alone.

    `tables`: the statements that make format `version`; at version 0 they run at each opening and must bear it.
    `steps`: the statements that bring a file from format 1 to 2, from 2 to 3, and so on to `version`.
    `busy_s`: how long to wait for other processes. NORMAL: a killed process loses nothing, a power cut the last
    writes. Raises OSError, sqlite3.Error, NewerFormat; ValueError when a step is missing.
    """
    if version and len(steps) != version - 1:
        raise ValueError(f"format {version} wants {version - 1} steps from its first, found {len(steps)}")
    path = Path(os.path.realpath(path))
    _make(path)
    db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False, factory=kind)
    try:
        _write_ahead(db, busy_s)
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("PRAGMA foreign_keys = ON")
        if (found := _format(db)) > version:
            raise NewerFormat(found)
        if found < version or version == 0:
            with transaction(db):
                found = _format(db)  # another process may have been first
                todo = [tables] if found == 0 else steps[found - 1 :]
                for statement in (statement for step in todo for statement in step):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {application_id}")
                db.execute(f"PRAGMA user_version = {version}")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[sqlite3.Connection]:
    """All that is written inside, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def statements(script: str) -> list[str]:
    """The statements of a script one by one: `executescript` would end the transaction that makes them all or none."""
    whole: list[str] = []
    held = ""
    for line in script.splitlines():
        held += line + "\n"
        if sqlite3.complete_statement(held):
            whole.append(held)
            held = ""
    return whole


def _make(path: Path) -> None:
    """Have the file there, for its owner alone. Raises OSError where it cannot be made or written.

    One that is there is never opened here: closing any descriptor of a file gives back all locks that this process has
    on it (POSIX), those of its other connections too. Another process then takes itself for the last, deletes the log
    under them, and the file is damaged; https://sqlite.org/howtocorrupt.html, 2.2.
    """
    with _making, suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(path, os.R_OK | os.W_OK):
        why = errno.EROFS if os.statvfs(path).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(why, os.strerror(why), str(path))


def _whole(value: Any) -> Any:
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode()
    return value


def _format(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _write_ahead(db: sqlite3.Connection, busy_s: float) -> None:
    """Switch to WAL. SQLite answers "locked" at once while another process switches, whatever the timeout."""
    deadline = time.monotonic() + busy_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
