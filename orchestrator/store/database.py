"""The journal's file: its tables, opening it beside other processes, and what its errors mean."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sqlite3
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from servers.state.home import home, home_path
from servers.state.sqlite import AnyText, NewerFormat, connect, transaction

from ..errors import OrchestratorError
from .schema import VERSION, steps, tables

BUSY_S = 10.0  # how long to wait for another process that is writing
NAME = "conversations.sqlite"
FULL_BYTES = 64 << 10  # where an error does not say what it came from: a disk with less room is full

REPAIR = "'understudy sessions repair' saves what can be read and begins anew"
_NOT_AS_SAID = re.compile(r"already exists|duplicate column|no such (table|column)")


class StoreError(OrchestratorError):
    """The store cannot be used, or does not hold what was asked for."""


class Unwritable(StoreError):
    """Nothing can be written now, and what is there is sound: the file is busy, its disk full or read-only."""


class Deleted(StoreError):
    """The conversation is not there any more."""


class Damaged(StoreError):
    """The file cannot be read."""


class Database:
    """The journal's file, for several threads beside other processes. Raises StoreError, as everything here.

    Where nothing can be written, what is there can be read, and each write tries again.
    """

    def __init__(self, path: Path | None = None, *, later: bool = False) -> None:
        """`later`: where there is nothing to read either, begin empty, and make the file once that is possible."""
        self._named = path
        self.path = path or home_path() / NAME
        self._busy_s = BUSY_S
        self._preparing: list[Callable[[sqlite3.Connection], None]] = []
        self._lock = threading.RLock()
        self.unwritable: Unwritable | None = None  # why nothing can be written
        self.unread = False  # whether what may be there cannot be read either
        self._use(self._opened(later))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def prepare(self, add: Callable[[sqlite3.Connection], None]) -> None:
        """Let `add` give the connection functions of its own."""
        with self._lock:
            self._preparing.append(add)
            add(self._connection)

    def read(self, query: str, *values: Any) -> list[Any]:
        with self._lock, explained(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def at_once(self) -> Generator[None]:
        """Within it everything is read as it is at one moment, whatever others write meanwhile."""
        with self._lock, explained(self.path):
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """All of it or nothing of it."""
        with self._lock:
            if self.unwritable is not None:
                self._try_again()
            with explained(self.path), transaction(self._connection):
                yield self._connection

    @contextmanager
    def patient(self, seconds: float) -> Generator[None]:
        """Within it, wait so long for another process that is writing."""
        with self._lock, explained(self.path):
            self._wait(seconds)
            try:
                yield
            finally:
                self._wait(BUSY_S)

    def _wait(self, seconds: float) -> None:
        self._busy_s = seconds
        self._connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _opened(self, later: bool) -> sqlite3.Connection:
        try:
            return self._writable()
        except Unwritable as exc:
            self.unwritable = exc
            try:
                return _readable(self.path)
            except Unwritable:
                if not later:
                    raise exc from exc.__cause__
        self.unread = True
        return _empty()

    def _writable(self) -> sqlite3.Connection:
        self.path = self._named or place()
        return open_database(self.path, busy_s=self._busy_s)

    def _try_again(self) -> None:
        try:
            fresh = self._writable()
        except Unwritable as exc:
            self.unwritable = exc
            raise
        for add in self._preparing:
            add(fresh)
        self._connection.close()
        self.unwritable, self.unread = None, False
        self._use(fresh)

    def _use(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        weakref.finalize(self, connection.close)  # one that is forgotten leaves no file open


def place() -> Path:
    """Where this user's journal lies. Raises StoreError when the folder cannot be made."""
    try:
        return (home() / NAME).resolve()
    except OSError as exc:
        said = f"the folder for conversations cannot be used: {exc.strerror or exc}"
        raise (StoreError if exc.errno == errno.EPERM else Unwritable)(said) from exc


def open_database(path: Path, *, busy_s: float = BUSY_S) -> sqlite3.Connection:
    """A connection to the database, made when there is none.

    Raises StoreError; never overwrites what it cannot read.
    """
    try:
        with explained(path):
            return connect(path, tables(), version=VERSION, steps=steps(), busy_s=busy_s, kind=AnyText)
    except NewerFormat as exc:
        raise StoreError(
            f"{path} was written by another Understudy (format {exc.found}, this one reads {VERSION});"
            " update Understudy, or set UNDERSTUDY_HOME to another folder"
        ) from exc
    except OSError as exc:
        match exc.errno:
            case errno.EROFS:
                said = f"{path} cannot be written: it is read-only here"
            case errno.ENOSPC | errno.EDQUOT:
                said = f"the disk of {path} is full"
            case _:
                said = f"the conversations in {path} cannot be opened: {exc.strerror or exc}"
        raise Unwritable(said) from exc


@contextmanager
def explained(path: Path) -> Generator[None]:
    """SQLite's errors as ours, each with its true cause."""
    try:
        yield
    except sqlite3.Error as exc:
        raise _meaning(path, exc) from exc


def _meaning(path: Path, exc: sqlite3.Error) -> StoreError:
    match (getattr(exc, "sqlite_errorcode", None) or 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            who = _writer(path)
            return Unwritable(f"{path} is busy: {who or 'another process'} has been writing to it")
        case sqlite3.SQLITE_FULL:
            return Unwritable(f"the disk of {path} is full")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return Unwritable(f"{path} cannot be written: it is read-only here")
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN if _is_full(path):
            return Unwritable(f"the disk of {path} is full")
        case sqlite3.SQLITE_CANTOPEN:
            return Unwritable(f"{path} cannot be opened; look at the rights of its folder")
        case sqlite3.SQLITE_IOERR:
            return Unwritable(f"the disk of {path} failed: {exc}")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return Damaged(f"{path} is damaged ({exc}); {REPAIR}")
        case sqlite3.SQLITE_ERROR if _NOT_AS_SAID.search(str(exc)):  # a header that tells another format
            return Damaged(f"{path} is damaged ({exc}); {REPAIR}")
        case _:
            return StoreError(f"{path} cannot be used: {exc}")


def _is_full(path: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(path.parent).free < FULL_BYTES
    return False


def _readable(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Where not even the log's index can be made, the file is taken as it stands."""
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        database: sqlite3.Connection | None = None
        try:
            database = sqlite3.connect(
                f"{path.absolute().as_uri()}?{mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                factory=AnyText,
            )
            database.execute("PRAGMA query_only = ON")
            found = int(database.execute("PRAGMA user_version").fetchone()[0])
            database.execute("SELECT count(*) FROM (SELECT 1 FROM sessions LIMIT 1)")
        except sqlite3.OperationalError:
            if database is not None:
                database.close()
            continue
        if found == VERSION:
            return database
        database.close()
        raise StoreError(
            f"{path} has format {found} and cannot be brought to {VERSION}: it is read-only here"
        )
    raise Unwritable(f"{path} cannot be opened; look at the rights of the file and its folder")


def _empty() -> sqlite3.Connection:
    """What is read where nothing can be."""
    database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=AnyText)
    for statement in tables():
        database.execute(statement)
    database.execute("PRAGMA query_only = ON")
    return database


def _writer(path: Path) -> str | None:
    """Who holds the write lock, where the system tells: SQLite's WAL locks byte 120 of the index beside the file."""
    with suppress(OSError, ValueError, IndexError):
        inode = os.stat(f"{path}-shm").st_ino
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            _, kind, _, way, pid, place, start, *_ = line.split()
            if (kind, way, start) == ("POSIX", "WRITE", "120") and place.endswith(f":{inode}"):
                return process(pid)
    return None


def process(pid: str) -> str:
    """A process as a person can find it: its number and, where the system tells, how it was started."""
    with suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
        words = json.dumps(" ".join(command.split("\0"))[:60].strip())
        return f"process {pid} ({words[1:-1]})"
    return f"process {pid}"
