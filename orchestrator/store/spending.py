"""What models cost, call by call: the record every process of this person writes to, and the budgets they share."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import OutOfBudget
from ..events import Called, Event, RunEnded, RunStarted
from .database import Database, StoreError

MAX_WAITING = 20_000  # calls that wait for a disk that cannot be written
PATIENCE_S = 0.25  # how long a call waits for another process
HELD_S = 3600.0  # money that a killed process had set aside is free again after this

_ADD = (
    "INSERT INTO calls (at, session, run, agent, role, model, labels, input_tokens, cached_tokens, output_tokens,"
    " cost_usd, seconds, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Budgets that hold over processes, in US dollars. None: no limit."""

    per_day: float | None = None  # of the local calendar
    per_conversation: float | None = None
    per_label: Mapping[str, float] = field(default_factory=dict[str, float])  # by "key=value", over all time


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    name: str
    usd: float
    where: str  # SQL that chooses the calls, and what is set aside, that count
    values: tuple[Any, ...]


class Spending:
    """A sink that writes down every call, and a purse that refuses what the budgets do not allow.

    Nothing is opened before the first call. What cannot be written waits; a budget that cannot be checked refuses.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        conversation: Callable[[], str | None] = lambda: None,
        path: Path | None = None,
    ) -> None:
        """`conversation`: the id of the kept conversation that calls are made for, None where there is none."""
        self._limits, self._conversation, self._path = limits or Limits(), conversation, path
        self._runs: dict[str, RunStarted] = {}
        self._waiting: deque[tuple[Any, ...]] = deque(maxlen=MAX_WAITING)
        self._database: Database | None = None
        self._opening = threading.Lock()

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._runs[event.run] = event
            case RunEnded():
                self._runs.pop(event.run, None)
            case Called():
                self._waiting.append(self._row(event))
                with suppress(StoreError):
                    self._flush()
            case _:
                pass

    def limits(self, labels: Mapping[str, str]) -> bool:
        return bool(self._holding(labels))

    def set_aside(self, model: str, usd: float, labels: Mapping[str, str]) -> Callable[[], None]:
        limits = self._holding(labels)
        try:
            self._flush()
            number = self._aside(model, usd, labels, limits)
        except StoreError as exc:
            raise OutOfBudget(f"{model} is not called, since the budget cannot be checked: {exc}") from exc

        def let_go() -> None:
            with suppress(StoreError), self._opened().writing() as database:
                database.execute("DELETE FROM set_aside WHERE id = ?", (number,))

        return let_go

    def close(self) -> None:
        """Write what still waits, as far as it can be."""
        with suppress(StoreError):
            self._flush()
        if self._database is not None:
            self._database.close()

    def _aside(self, model: str, usd: float, labels: Mapping[str, str], limits: Sequence[_Limit]) -> int:
        now = time.time()
        with self._opened().writing() as database:
            database.execute(
                "DELETE FROM set_aside WHERE at NOT BETWEEN ? AND ?", (now - HELD_S, now + HELD_S)
            )
            for limit in limits:
                sums = (
                    f"SELECT coalesce(sum({figure}), 0) FROM {table} WHERE {limit.where}"
                    for figure, table in (("cost_usd", "calls"), ("usd", "set_aside"))
                )
                spent, held = (float(database.execute(each, limit.values).fetchone()[0]) for each in sums)
                if usd > limit.usd - spent - held:
                    held_too = f" and ${held:.4f} set aside for calls under way" if held else ""
                    raise OutOfBudget(
                        f"{model} may cost up to ${usd:.4f}; of the ${limit.usd:.4f} for {limit.name},"
                        f" ${spent:.4f} are spent{held_too}"
                    )
            added = database.execute(
                "INSERT INTO set_aside (at, session, labels, usd) VALUES (?, ?, ?, ?)",
                (now, self._conversation(), _json(labels), usd),
            )
            return int(added.lastrowid or 0)

    def _holding(self, labels: Mapping[str, str]) -> list[_Limit]:
        limits, holding = self._limits, list[_Limit]()
        if limits.per_day is not None:
            midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
            holding.append(_Limit(name="today", usd=limits.per_day, where="at >= ?", values=(midnight,)))
        session = self._conversation()
        if limits.per_conversation is not None and session is not None:
            name = "this conversation"
            holding.append(
                _Limit(name=name, usd=limits.per_conversation, where="session = ?", values=(session,))
            )
        for label, usd in limits.per_label.items():
            key, _, value = label.partition("=")
            if labels.get(key) == value:
                where = "(SELECT value FROM json_each(labels) WHERE key = ?) = ?"
                holding.append(_Limit(name=f"the label {label}", usd=usd, where=where, values=(key, value)))
        return holding

    def _flush(self) -> None:
        while self._waiting:
            opened = self._opened()
            with opened.patient(PATIENCE_S), opened.writing() as database:
                database.execute(_ADD, self._waiting[0])
            self._waiting.popleft()

    def _opened(self) -> Database:
        with self._opening:
            if self._database is None:
                self._database = Database(self._path)
            return self._database

    def _row(self, event: Called) -> tuple[Any, ...]:
        begun, usage = self._runs.get(event.run or ""), event.usage
        return (
            time.time(),
            self._conversation(),
            event.run,
            begun.agent if begun else "",
            begun.role if begun else "lead",
            event.model,
            _json(event.labels),
            usage.input_tokens,
            usage.cached_tokens,
            usage.output_tokens,
            usage.cost_usd,
            event.seconds,
            event.error,
        )


def _json(labels: Mapping[str, str]) -> str:
    told = {key: value.encode("utf-8", "replace").decode() for key, value in sorted(labels.items())}
    return json.dumps(told)
