"""Where the orders of one batch are kept: one SQLite file, a row an order, its state changed in one transaction.

An order is waiting, running, done, failed or cancelled. What the process that ran it did last is on disk before
the next thing is begun, so a killed batch goes on where it stopped.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from servers.state.home import home
from servers.state.one_process import HeldElsewhere, held_alone, holder
from servers.state.sqlite import connect, statements, transaction

from ..errors import RunError
from .orders import BatchOrder, Keyed

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

_SCHEMA = """
CREATE TABLE batch (id TEXT PRIMARY KEY, source TEXT NOT NULL, out TEXT NOT NULL, made REAL NOT NULL);
CREATE TABLE orders (
    seq INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, line INTEGER NOT NULL, priority INTEGER NOT NULL,
    size INTEGER NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0,
    again INTEGER NOT NULL DEFAULT 0,
    host TEXT, reason TEXT, intent TEXT, record TEXT, ended REAL);
CREATE INDEX orders_state ON orders (state);
"""


def storable(text: str) -> str:
    """Without what a database cannot hold: NUL, and bytes of a file's name that are no UTF-8."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class Lost(Exception):
    """An order is not ours any more: it was cancelled, or taken over by another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An order that nobody has, as much of it as choosing one needs."""

    key: str
    priority: int
    size: int
    """Characters its worker reads, about."""
    order: BatchOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An order as it is kept."""

    key: str
    line: int
    order: BatchOrder
    state: State
    tries: int
    again: int
    """How often a person has let it wait again after it had ended."""
    host: str | None
    reason: str | None
    """Why its last try failed."""
    intent: Mapping[str, Any] | None
    """The receipt of a change that was about to be made."""
    record: Mapping[str, Any] | None
    """The line of the output, once it has ended."""


def kept_of(row: Sequence[Any]) -> Kept:
    """The order in a row of key, line, body, state, tries, again, host, reason, intent, record."""
    key, line, body, state, tries, again, host, reason, intent, record = row
    return Kept(
        key=key,
        line=line,
        order=BatchOrder.model_validate_json(body),
        state=state,
        tries=tries,
        again=again,
        host=host,
        reason=reason,
        intent=json.loads(intent) if intent else None,
        record=json.loads(record) if record else None,
    )


class Queue(Protocol):
    """What runs a batch needs of the place where its orders are kept. Methods block."""

    def add(self, orders: Sequence[tuple[Keyed, int]]) -> int:
        """Keep these, each with its size; those that are there already stay as they are. How many were new."""
        ...

    def waiting(self) -> list[Waiting]:
        """Every order that nobody has."""
        ...

    def take(self, key: str, host: str) -> Kept | None:
        """Make it ours: running, one more try. None when another has it by now."""
        ...

    def intend(self, key: str, receipt: Mapping[str, Any]) -> None:
        """Keep the receipt of a change before it is made. Raises Lost: then it must not be made."""
        ...

    def end(self, key: str, state: State, record: Mapping[str, Any]) -> None:
        """It has ended so, and this is its line of the output."""
        ...

    def give_back(self, key: str, reason: str | None, *, tried: bool = True) -> None:
        """Let it wait again. `tried`: it counts as a try; `reason` is why that failed."""
        ...

    def interrupted(self, running: Collection[str]) -> list[Kept]:
        """Orders that run by the books while nobody runs them, now ours; `running` are those this process does run."""
        ...

    def still_ours(self, key: str) -> bool:
        """Whether an order that we run was neither cancelled nor taken over."""
        ...

    def changed_elsewhere(self) -> bool:
        """Whether another process may have changed it since this was asked last."""
        ...

    def counts(self) -> dict[State, int]:
        """How many orders are in each state."""
        ...

    def records(self) -> Iterable[Mapping[str, Any]]:
        """The line of the output of every order that has ended, the first to end first."""
        ...


class BatchFile:
    """A Queue in one SQLite file; one process runs it at a time. Raises RunError when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._version = 0
        with _told(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._db = connect(path, statements(_SCHEMA), version=1)

    def close(self) -> None:
        self._db.close()

    def begin(self, id: str, source: str, out: str) -> None:
        """Note what this batch is, the first time."""
        self._do(
            "INSERT OR IGNORE INTO batch VALUES (?, ?, ?, ?)",
            (id, storable(source), storable(out), time.time()),
        )

    @property
    def about(self) -> tuple[str, str, str, float]:
        """(id, source, out, when it was made)."""
        row = self._all("SELECT id, source, out, made FROM batch")
        return row[0] if row else (self.path.stem, "", "", 0.0)

    def add(self, orders: Sequence[tuple[Keyed, int]]) -> int:
        rows = [
            (one.key, one.line, one.order.priority, size, one.order.model_dump_json(by_alias=True))
            for one, size in orders
        ]
        with self._lock, _told(self.path), transaction(self._db) as db:
            before = db.total_changes
            db.executemany(
                "INSERT OR IGNORE INTO orders (key, line, priority, size, body) VALUES (?, ?, ?, ?, ?)", rows
            )
            return db.total_changes - before

    def waiting(self) -> list[Waiting]:
        rows = self._all("SELECT key, priority, size, body FROM orders WHERE state = 'waiting'")
        return [
            Waiting(key=key, priority=priority, size=size, order=BatchOrder.model_validate_json(body))
            for key, priority, size, body in rows
        ]

    def take(self, key: str, host: str) -> Kept | None:
        taken = self._do(
            "UPDATE orders SET state = 'running', tries = tries + 1, host = ?, intent = NULL"
            " WHERE key = ? AND state = 'waiting'",
            (host, key),
        )
        return self.order(key) if taken else None

    def order(self, key: str) -> Kept | None:
        found = self.orders("key = ?", (key,))
        return found[0] if found else None

    def intend(self, key: str, receipt: Mapping[str, Any]) -> None:
        self._do("UPDATE orders SET intent = ? WHERE key = ?", (json.dumps(receipt), key))

    def end(self, key: str, state: State, record: Mapping[str, Any]) -> None:
        self._do(
            "UPDATE orders SET state = ?, record = ?, ended = ?, intent = NULL WHERE key = ?",
            (state, json.dumps(record), time.time(), key),
        )

    def give_back(self, key: str, reason: str | None, *, tried: bool = True) -> None:
        self._do(
            "UPDATE orders SET state = 'waiting', reason = coalesce(?, reason), tries = tries - ?, host = NULL,"
            " intent = NULL WHERE key = ?",
            (reason and storable(reason), 0 if tried else 1, key),
        )

    def changed_elsewhere(self) -> bool:
        before, ((self._version,),) = self._version, self._all("PRAGMA data_version")
        return self._version != before

    def counts(self) -> dict[State, int]:
        return dict(self._all("SELECT state, count(*) FROM orders GROUP BY state"))

    def ended_since(self, when: float) -> int:
        """How many orders have ended from then on, by the wall clock."""
        return int(self._all("SELECT count(*) FROM orders WHERE ended >= ?", (when,))[0][0])

    def orders(self, where: str, values: Sequence[object] = (), limit: int = -1) -> list[Kept]:
        """The orders that fit, in the order of the input; a negative limit is none."""
        rows = self._all(
            f"SELECT key, line, body, state, tries, again, host, reason, intent, record FROM orders WHERE {where}"
            " ORDER BY seq LIMIT ?",
            (*values, limit),
        )
        return [kept_of(row) for row in rows]

    def interrupted(self, running: Collection[str]) -> list[Kept]:
        return [one for one in self.orders("state = 'running'") if one.key not in running]

    def still_ours(self, key: str) -> bool:
        del key
        return True  # the lock file keeps every other process out

    def failures(self, limit: int) -> list[Kept]:
        """The first orders that have failed."""
        return self.orders("state = 'failed'", limit=limit)

    def records(self) -> Iterable[Mapping[str, Any]]:
        rows = self._all("SELECT record FROM orders WHERE record IS NOT NULL ORDER BY ended, seq")
        return (json.loads(record) for (record,) in rows)

    def set_waiting(self, states: Sequence[State]) -> int:
        """Let the orders in these states wait again, their tries forgotten. How many."""
        marks = ", ".join("?" * len(states))
        return self._do(
            "UPDATE orders SET state = 'waiting', tries = 0, again = again + 1, record = NULL, ended = NULL"
            f" WHERE state IN ({marks})",
            states,
        )

    def set_cancelled(self) -> int:
        """Let nobody take what still waits. How many."""
        return self._do("UPDATE orders SET state = 'cancelled' WHERE state = 'waiting'")

    def _do(self, statement: str, values: Sequence[object] = ()) -> int:
        with self._lock, _told(self.path):
            return self._db.execute(statement, values).rowcount

    def _all(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock, _told(self.path):
            return self._db.execute(statement, values).fetchall()


def folder() -> Path:
    """Where batches are kept. Raises OSError."""
    return home() / "batches"


def run_by(path: Path) -> tuple[str, float] | None:
    """The number of the process that runs the batch in `path`, and since when by the wall clock; None: nobody does."""
    lock = path.with_suffix(".lock")
    process = holder(lock)
    try:
        return None if process is None else (process, lock.stat().st_mtime)
    except OSError:  # it has ended since
        return None


@contextmanager
def only_one(path: Path) -> Generator[None]:
    """This process alone runs the batch in `path`. Raises RunError when another does."""
    with ExitStack() as stack:
        try:
            with _told(path):
                stack.enter_context(held_alone(path.with_suffix(".lock")))
        except HeldElsewhere as exc:
            raise RunError(
                f"process {exc} is running this batch; `understudy batch status {path.stem}` shows how far it is"
            ) from None
        yield


@contextmanager
def _told(path: Path) -> Generator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as exc:
        raise RunError(f"the batch in {path} cannot be read or written: {exc}") from exc
