"""The orders of a team's batches in PostgreSQL: many workers pull, a dead one's orders are taken over by another.

A worker is alive while its connection holds an advisory lock; PostgreSQL frees it when the process or the machine dies.
Orders are claimed with SKIP LOCKED, so that workers never wait for one another, and ended only by who has them.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .orders import BatchOrder, Keyed
from .queue import Kept, Lost, State, Waiting, kept_of, storable
from .team_database import TeamDatabase

if TYPE_CHECKING:
    import psycopg

_SCHEMA = """
CREATE TABLE IF NOT EXISTS understudy_batches (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, out TEXT NOT NULL, made DOUBLE PRECISION NOT NULL);
CREATE TABLE IF NOT EXISTS understudy_orders (
    seq BIGSERIAL PRIMARY KEY, batch TEXT NOT NULL, key TEXT NOT NULL, line INTEGER NOT NULL, priority INTEGER NOT NULL,
    size BIGINT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0,
    again INTEGER NOT NULL DEFAULT 0, host TEXT, worker BIGINT, reason TEXT, intent TEXT, record TEXT,
    ended DOUBLE PRECISION, UNIQUE (batch, key));
CREATE INDEX IF NOT EXISTS understudy_orders_open ON understudy_orders (priority DESC, seq) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS understudy_orders_held ON understudy_orders (worker) WHERE state = 'running';
CREATE INDEX IF NOT EXISTS understudy_orders_batch ON understudy_orders (batch, state);
"""
_FIELDS = "batch || ':' || key, line, body, state, tries, again, host, reason, intent, record"
OFFERED = 200
"""Waiting orders that a worker looks at: enough to choose from."""


class TeamQueue:
    """A Queue in PostgreSQL. Keys are "batch:key". Raises RunError when the database cannot be used.

    `batch`: the one this process adds to and reads; None is a worker, which takes orders of all. JSON alone is
    stored, never pickled objects: who may write to the database still may not run code in a worker.
    """

    def __init__(self, url: str, *, batch: str | None = None) -> None:
        self.batch = batch
        self.worker = secrets.randbits(62)
        self._page_after = 0
        self._base = base = TeamDatabase(url, _SCHEMA, holds=self.worker)
        self.path, self.close = base.path, base.close
        self._do, self._all, self._with = base.change, base.ask, base.with_connection

    def begin(self, id: str, source: str, out: str) -> None:
        self._do(
            "INSERT INTO understudy_batches VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (id, storable(source), storable(out), time.time()),
        )

    @property
    def about(self) -> tuple[str, str, str, float]:
        row = self._all("SELECT id, source, out, made FROM understudy_batches WHERE id = %s", (self.batch,))
        return row[0] if row else (self.batch or "", "", "", 0.0)

    def add(self, orders: Sequence[tuple[Keyed, int]]) -> int:
        rows = [
            (
                self.batch,
                one.key,
                one.line,
                one.order.priority,
                size,
                one.order.model_dump_json(by_alias=True),
            )
            for one, size in orders
        ]

        def insert(db: psycopg.Connection) -> int:
            with db.transaction(), db.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO understudy_orders (batch, key, line, priority, size, body)"
                    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    rows,
                )
                return cursor.rowcount

        return self._with(insert)

    def waiting(self) -> list[Waiting]:
        """Some of those that wait: the first, and a page of the rest, the next page each time.

        Of the first alone a worker that can take none of them would never see what it could take.
        """
        fields = "seq, batch || ':' || key, priority, size, body"
        wanted = "state = 'waiting' AND (%s::text IS NULL OR batch = %s)"
        first = self._all(
            f"SELECT {fields} FROM understudy_orders WHERE {wanted} ORDER BY priority DESC, seq LIMIT %s",
            (self.batch, self.batch, OFFERED),
        )
        page = self._all(
            f"SELECT {fields} FROM understudy_orders WHERE {wanted} AND seq > %s ORDER BY seq LIMIT %s",
            (self.batch, self.batch, self._page_after, OFFERED),
        )
        self._page_after = page[-1][0] if len(page) == OFFERED else 0
        return [
            Waiting(key=key, priority=priority, size=size, order=BatchOrder.model_validate_json(body))
            for _, key, priority, size, body in {row[0]: row for row in [*first, *page]}.values()
        ]

    def take(self, key: str, host: str) -> Kept | None:
        batch, _, own = key.partition(":")
        rows = self._all(
            "UPDATE understudy_orders SET state = 'running', tries = tries + 1, host = %s, worker = %s, intent = NULL"
            " WHERE seq = (SELECT seq FROM understudy_orders WHERE batch = %s AND key = %s AND state = 'waiting'"
            f" FOR UPDATE SKIP LOCKED) RETURNING {_FIELDS}",
            (host, self.worker, batch, own),
        )
        return kept_of(rows[0]) if rows else None

    def intend(self, key: str, receipt: Mapping[str, Any]) -> None:
        if not self._mine("SET intent = %s", (json.dumps(receipt),), key):
            raise Lost(key)

    def end(self, key: str, state: State, record: Mapping[str, Any]) -> None:
        """What another has taken over meanwhile stays with the other."""
        self._mine(
            "SET state = %s, record = %s, ended = %s, intent = NULL, worker = NULL",
            (state, json.dumps(record), time.time()),
            key,
        )

    def give_back(self, key: str, reason: str | None, *, tried: bool = True) -> None:
        self._mine(
            "SET state = 'waiting', reason = coalesce(%s, reason), tries = tries - %s, host = NULL, worker = NULL,"
            " intent = NULL",
            (reason and storable(reason), 0 if tried else 1),
            key,
        )

    def interrupted(self, running: Collection[str]) -> list[Kept]:
        own = self._all(
            f"SELECT {_FIELDS} FROM understudy_orders WHERE worker = %s AND state = 'running'", (self.worker,)
        )
        lost = [
            kept for row in own if (kept := kept_of(row)).key not in running
        ]  # claimed as the connection broke
        return lost + self._of_the_dead()

    def _of_the_dead(self) -> list[Kept]:
        held = self._all("SELECT DISTINCT worker FROM understudy_orders WHERE state = 'running'")
        taken = list[Kept]()
        for (worker,) in held:
            if worker == self.worker or not self._all("SELECT pg_try_advisory_lock(%s)", (worker,))[0][0]:
                continue
            rows = self._all(
                "UPDATE understudy_orders SET worker = %s WHERE state = 'running' AND worker = %s"
                f" RETURNING {_FIELDS}",
                (self.worker, worker),
            )
            self._all("SELECT pg_advisory_unlock(%s)", (worker,))
            taken += [kept_of(row) for row in rows]
        return taken

    def still_ours(self, key: str) -> bool:
        """Whether an order that we run was neither cancelled nor taken over."""
        return bool(self._mine("SET host = host", (), key))

    def changed_elsewhere(self) -> bool:
        return True  # other workers always do

    def counts(self) -> dict[State, int]:
        return dict(
            self._all(
                "SELECT state, count(*) FROM understudy_orders WHERE %s::text IS NULL OR batch = %s GROUP BY state",
                (self.batch, self.batch),
            )
        )

    def failures(self, limit: int) -> list[Kept]:
        rows = self._all(
            f"SELECT {_FIELDS} FROM understudy_orders WHERE batch = %s AND state = 'failed' ORDER BY seq LIMIT %s",
            (self.batch, limit),
        )
        return [kept_of(row) for row in rows]

    def records(self) -> Iterable[Mapping[str, Any]]:
        rows = self._all(
            "SELECT record FROM understudy_orders WHERE batch = %s AND record IS NOT NULL ORDER BY ended, seq",
            (self.batch,),
        )
        return (json.loads(record) for (record,) in rows)

    def set_waiting(self, states: Sequence[State]) -> int:
        return self._do(
            "UPDATE understudy_orders SET state = 'waiting', tries = 0, again = again + 1, record = NULL, ended = NULL"
            " WHERE batch = %s AND state = ANY(%s)",
            (self.batch, list(states)),
        )

    def set_cancelled(self) -> int:
        """Let nobody take what waits, and whoever runs one of these stop."""
        return self._do(
            "UPDATE understudy_orders SET state = 'cancelled', worker = NULL"
            " WHERE batch = %s AND state IN ('waiting', 'running')",
            (self.batch,),
        )

    def _mine(self, change: str, values: Sequence[object], key: str) -> int:
        batch, _, own = key.partition(":")
        return self._do(
            f"UPDATE understudy_orders {change} WHERE batch = %s AND key = %s AND worker = %s AND state = 'running'",
            (*values, batch, own, self.worker),
        )
