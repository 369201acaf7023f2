"""The runs of a whole team in PostgreSQL. Each machine's own ledger is the source, and is sent again from where it stopped.

What others measured on the hosts a machine uses comes back into its ledger, so that speed models and odds are
learned from all of them.
"""

from __future__ import annotations

import json
import logging
import platform
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio

from servers.ollama.ledger.ledger import Ledger, LedgerError

from ..errors import RunError
from .team_database import TeamDatabase

if TYPE_CHECKING:
    import psycopg

_SCHEMA = """
CREATE TABLE IF NOT EXISTS understudy_ledgers (
    ledger TEXT PRIMARY KEY, machine TEXT NOT NULL, seen DOUBLE PRECISION NOT NULL,
    runs BIGINT NOT NULL DEFAULT 0, ratings BIGINT NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS understudy_runs (
    ledger TEXT NOT NULL, run BIGINT NOT NULL, at DOUBLE PRECISION NOT NULL, host TEXT NOT NULL, model TEXT NOT NULL,
    kind TEXT NOT NULL, outcome TEXT NOT NULL, seconds DOUBLE PRECISION, writes DOUBLE PRECISION, tokens_in BIGINT,
    tokens_out BIGINT, gate_passed BOOLEAN, verdict TEXT, body TEXT NOT NULL, PRIMARY KEY (ledger, run));
CREATE INDEX IF NOT EXISTS understudy_runs_host ON understudy_runs (host, ledger, run);
"""
EVERY_S = 5.0
"""How often a worker sends what is new and asks for what others measured."""

LAST_S = 5.0
"""How long the last runs may take to be sent when a worker ends."""

log = logging.getLogger(__name__)


class TeamLedger:
    """Methods block. Raises RunError when the database cannot be used, LedgerError when the ledger cannot."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        self._ledger = ledger
        self._base = TeamDatabase(url, _SCHEMA)
        self.close = self._base.close

    def send(self) -> int:
        """What this ledger has and the team has not; how many runs."""
        me = self._ledger.identity
        self._base.change(
            "INSERT INTO understudy_ledgers VALUES (%s, %s, %s) ON CONFLICT (ledger)"
            " DO UPDATE SET machine = excluded.machine, seen = excluded.seen",
            (me, platform.node(), time.time()),
        )
        sent = 0
        while some := self._base.with_connection(self._send_some):
            sent += some
        while self._base.with_connection(self._rate_some):
            pass
        return sent

    def _send_some(self, db: psycopg.Connection) -> int:
        """In one transaction that holds the ledger's row, so that processes that share a ledger leave no gap."""
        me = self._ledger.identity
        with db.transaction(), db.cursor() as cursor:
            cursor.execute("SELECT runs FROM understudy_ledgers WHERE ledger = %s FOR UPDATE", (me,))
            rows = self._ledger.own_since(_number(cursor.fetchone()))
            marks = ", ".join(["%s"] * 14)
            cursor.executemany(
                f"INSERT INTO understudy_runs VALUES ({marks}) ON CONFLICT DO NOTHING".encode(),
                [_values(me, number, row) for number, row in rows],
            )
            if rows:
                cursor.execute("UPDATE understudy_ledgers SET runs = %s WHERE ledger = %s", (rows[-1][0], me))
        return len(rows)

    def _rate_some(self, db: psycopg.Connection) -> int:
        me = self._ledger.identity
        with db.transaction(), db.cursor() as cursor:
            cursor.execute("SELECT ratings FROM understudy_ledgers WHERE ledger = %s FOR UPDATE", (me,))
            ratings = self._ledger.rated_since(_number(cursor.fetchone()))
            cursor.executemany(
                "UPDATE understudy_runs SET verdict = %s WHERE (ledger, run) = (%s, %s)",
                [(verdict, me, rated) for _, rated, verdict in ratings],
            )
            if ratings:
                cursor.execute(
                    "UPDATE understudy_ledgers SET ratings = %s WHERE ledger = %s", (ratings[-1][0], me)
                )
        return len(ratings)

    def fetch(self, hosts: Collection[str]) -> int:
        """What others have measured on these machines into this ledger; how many runs were new."""
        me, fresh = self._ledger.identity, 0
        for (other,) in self._base.ask("SELECT ledger FROM understudy_ledgers WHERE ledger <> %s", (me,)):
            while rows := self._base.ask(
                "SELECT run, body FROM understudy_runs WHERE host = ANY(%s) AND ledger = %s AND run > %s"
                " ORDER BY run LIMIT 500",
                (list(hosts), other, self._ledger.taken_until(other)),
            ):
                fresh += self._ledger.take_in(other, [(run, json.loads(body)) for run, body in rows])
        return fresh

    def totals(self) -> list[dict[str, Any]]:
        """By machine that asked, host, model and kind of task; the most runs first."""
        names = (
            "machine",
            "host",
            "model",
            "kind",
            "runs",
            "done",
            "judged",
            "passed",
            "good",
            "rejected",
            "median_s",
        )
        names += ("writes", "tokens_in", "tokens_out", "last")
        rows = self._base.ask(
            "SELECT machine, host, model, kind, count(*) AS runs, count(*) FILTER (WHERE outcome = 'done'),"
            " count(gate_passed), count(*) FILTER (WHERE gate_passed), count(*) FILTER (WHERE verdict = 'good'),"
            " count(*) FILTER (WHERE verdict = 'rejected'), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),"
            " percentile_cont(0.5) WITHIN GROUP (ORDER BY writes), coalesce(sum(tokens_in), 0)::bigint,"
            " coalesce(sum(tokens_out), 0)::bigint, max(at)"
            " FROM understudy_runs JOIN understudy_ledgers USING (ledger)"
            " GROUP BY machine, host, model, kind ORDER BY runs DESC, machine, host, model, kind"
        )
        return [dict(zip(names, row, strict=True)) for row in rows]


def _number(row: tuple[Any, ...] | None) -> int:
    return int(row[0]) if row else 0


def _values(ledger: str, run: int, row: dict[str, Any]) -> tuple[Any, ...]:
    passed = row["gate_passed"]
    seconds = row["total_s"] if row["total_s"] is not None else row["wall_s"]
    names = ("at", "host", "model", "kind", "outcome")
    figures = (seconds, row["decode_tokens_per_s"], row["tokens_in"], row["tokens_out"])
    verdict, body = (
        row["verdict"],
        {k: v for k, v in row.items() if k not in ("raw", "verdict") and v is not None},
    )
    judged = None if passed is None else bool(passed)
    return (ledger, run, *(row[name] for name in names), *figures, judged, verdict, json.dumps(body))


async def kept_up(
    url: str, open_ledger: Callable[[], Awaitable[Ledger]], hosts: Callable[[], Collection[str]]
) -> None:
    """Send and fetch again and again until cancelled; what is not possible now is done later."""
    team: TeamLedger | None = None
    said = ""
    try:
        while True:
            try:
                team = team or await anyio.to_thread.run_sync(TeamLedger, url, await open_ledger())
                await anyio.to_thread.run_sync(team.send)
                await anyio.to_thread.run_sync(team.fetch, hosts())
                said = ""
            except (RunError, LedgerError) as exc:
                if str(exc) != said:
                    log.warning("the team's ledger waits: %s", exc)
                said = str(exc)
            await anyio.sleep(EVERY_S)
    finally:
        if team is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_S), suppress(RunError, LedgerError):
                await anyio.to_thread.run_sync(team.send, abandon_on_cancel=True)
            team.close()
