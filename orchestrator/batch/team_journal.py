"""The journal of durable patterns in a team's PostgreSQL: a run that any machine may go on with, one at a time."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

import anyio

from ..errors import RunError
from ..patterns.durable import Work
from ..store.resumable import Begun, begun_of
from .team_database import TeamDatabase

_SCHEMA = """
CREATE TABLE IF NOT EXISTS understudy_journal (
    seq BIGSERIAL PRIMARY KEY, run TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, UNIQUE (run, key));
CREATE INDEX IF NOT EXISTS understudy_journal_key ON understudy_journal (key);
"""


class TeamJournal:
    """The Journal of one run. While it is open no other process goes on with the run; death frees it.

    Raises RunError where another has it, and when the database cannot be used.
    """

    def __init__(self, url: str, run: str | None = None) -> None:
        self.run = run or secrets.token_hex(8)
        held = int.from_bytes(hashlib.sha256(self.run.encode()).digest()[:8], "big", signed=True)
        other = f"the run {self.run} is being gone on with by another process; wait for it, or end it"
        self._base = TeamDatabase(url, _SCHEMA, holds=held, held_says=other)
        self.close = self._base.close

    async def once(self, key: str, work: Work) -> Any:
        known = await anyio.to_thread.run_sync(self._value, key)
        if known is not None:
            return json.loads(known)
        value = json.dumps(await work())
        with anyio.CancelScope(shield=True):  # it is paid for
            return json.loads(await anyio.to_thread.run_sync(self._keep, key, value))

    def _value(self, key: str) -> str | None:
        found = self._base.ask(
            "SELECT value FROM understudy_journal WHERE run = %s AND key = %s", (self.run, key)
        )
        return found[0][0] if found else None

    def _keep(self, key: str, value: str) -> str:
        return kept_first(self._base, self.run, key, value)


def kept_first(base: TeamDatabase, run: str, key: str, value: str) -> str:
    """What is kept there from now on: this, or what another kept before."""
    base.change(
        "INSERT INTO understudy_journal (run, key, value) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (run, key, value),
    )
    return str(base.ask("SELECT value FROM understudy_journal WHERE run = %s AND key = %s", (run, key))[0][0])


class TeamRuns:
    """The durable runs of a whole team. Raises RunError when the database cannot be used."""

    def __init__(self, url: str) -> None:
        self._base = TeamDatabase(url, _SCHEMA)
        self.close = self._base.close

    def unfinished(self) -> list[Begun]:
        """Those without an outcome, the newest first."""
        rows = self._base.ask(
            "SELECT run, key, value FROM understudy_journal WHERE run NOT IN"
            " (SELECT run FROM understudy_journal WHERE key = 'outcome') ORDER BY seq"
        )
        return begun_of((run, key, json.loads(value)) for run, key, value in rows)

    def find(self, run: str | None) -> Begun:
        """The unfinished run of this number, or the newest. Raises RunError when there is none."""
        known = self.unfinished()
        found = [one for one in known if run is None or one.run == run]
        if not found:
            there = ", ".join(one.run for one in known[:5]) or "none"
            which = "no pattern of the team" if run is None else f"no run {run!r} of the team"
            raise RunError(f"{which} is unfinished; there are {there}")
        return found[0]

    def decide(self, run: Begun, answer: str) -> str:
        """Keep a person's answer to what the run waits for; one that was given before stands. Raises RunError."""
        if run.paused is None:
            raise RunError(f"the run {run.run} waits for no decision")
        return str(json.loads(kept_first(self._base, run.run, run.paused["key"], json.dumps(answer))))
