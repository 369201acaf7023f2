"""Running a batch: every host takes the next order when it is idle, until none is left, each order done once."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio

from servers.ollama.engines.protocol import EngineError
from servers.ollama.ledger.receipt import Receipt
from servers.output import ToolError

from ..errors import RunError
from .host import Host, kind_of
from .output import Output
from .queue import BatchFile, Kept, State
from .schedule import Kind, Schedule

GOOD = ("accepted", "answered", "written")
LOOK_S = 0.5
"""How often a host that has nothing to do looks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When to try again, and when to stop. None: no limit."""

    retries: int = 1
    """How often a failed order is tried again."""
    max_parallel: int | None = None
    """Orders under way on all hosts together."""
    stop_after_failures: int | None = None
    budget_usd: float | None = None
    """By the hourly prices of the hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a batch is."""

    counts: Mapping[State, int]
    took_s: float
    finish_s: float | None
    """Seconds until it is done, about; None while nothing is known."""
    running: Sequence[str]
    """host: key, of what is under way."""


@dataclass(slots=True, kw_only=True)
class BatchRun:
    """One process's work on a batch."""

    queue: BatchFile
    output: Output
    hosts: Sequence[Host]
    limits: Limits = Limits()
    told: Callable[[str], None] = lambda said: None
    """Hears what a person should know, one sentence each."""
    watched: Callable[[Standing], None] = lambda standing: None
    stopped_why: str | None = None
    """Set when no further order shall begin."""
    failed_now: int = 0
    _schedule: Schedule = field(init=False)
    _by_name: dict[str, Host] = field(init=False)
    _kinds: dict[str, Kind] = field(default_factory=dict[str, Kind])
    _ready: anyio.Event = field(default_factory=anyio.Event)
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._by_name = {host.name: host for host in self.hosts}
        self._schedule = Schedule(lambda name, kind: self._by_name[name].seconds(kind))

    async def run(self) -> Standing:
        """Until every order has ended or something stops it. Raises RunError when queue or output cannot be written."""
        settle_interrupted(self.queue, self.hosts)
        self.output.catch_up(self.queue.records())
        for one in self.queue.waiting():
            self._kinds[one.key] = kind = kind_of(one.order, one.size)
            self._schedule.add(one.key, kind, one.priority)
        room = anyio.CapacityLimiter(self.limits.max_parallel or math.inf)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._on_signal, group.cancel_scope)
                group.start_soon(self._watch)
                async with anyio.create_task_group() as work:
                    for host in self.hosts:
                        for _ in range(host.slots):
                            work.start_soon(self._work, host, room)
                group.cancel_scope.cancel()
        finally:
            settle_interrupted(self.queue, self.hosts)
            self.output.catch_up(self.queue.records())
        return self.standing()

    def standing(self) -> Standing:
        up = {host.name: host.at_work() for host in self.hosts if host.is_up}
        return Standing(
            counts=self.queue.counts(),
            took_s=time.monotonic() - self._began,
            finish_s=self._schedule.ends_s(up),
            running=[f"{host.name}: {key}" for host in self.hosts for key in host.running],
        )

    async def _work(self, host: Host, room: anyio.CapacityLimiter) -> None:
        """One slot of a host: order after order."""
        while (chosen := await self._next(host)) is not None:
            async with room:
                await self._do(host, *chosen)
            self._changed()

    async def _next(self, host: Host) -> tuple[str, Kind] | None:
        """What to begin now; waits while there may be something later. None when there will be nothing."""
        while self.stopped_why is None:
            if not len(self._schedule) and not any(other.running for other in self.hosts):
                return None
            if host.is_up:
                was_down = host.down_why
                await host.look(list(self._schedule.kinds()))
                if host.down_why and host.down_why != was_down:
                    self.told(f"{host.name} does not answer ({host.down_why}); its work goes to the others")
            if host.is_up and self.stopped_why is None:
                others = {
                    one.name: one.at_work() for one in self.hosts if one.is_up and one.name != host.name
                }
                if (chosen := self._schedule.take(host.name, others)) is not None:
                    host.began(*chosen)
                    return chosen
            if not self._possible():
                return None
            with anyio.move_on_after(LOOK_S):
                await self._ready.wait()
        return None

    def _possible(self) -> bool:
        """Whether any host can take what waits, now or later; orders that none can take fail."""
        if any(host.running for host in self.hosts) or not all(host.is_up for host in self.hosts):
            return True
        for kind in self._schedule.kinds():
            if all(host.seconds(kind) == math.inf for host in self.hosts):
                self._refuse(kind)
        return True

    def _refuse(self, kind: Kind) -> None:
        model, tags, _, _ = kind.group
        wanted = " and ".join(
            [f"the model {model}" if model != "auto" else "", f"the tags {', '.join(tags)}" if tags else ""]
        ).strip(" and")
        for key in self._schedule.remove(kind):
            if (kept := self.queue.take(key, "")) is not None:
                self._end(kept, "failed", {"outcome": "failed", "reason": f"no host has {wanted}"}, 0.0)

    async def _do(self, host: Host, key: str, kind: Kind) -> None:
        """One order on one host, whatever comes of it."""
        kept = await anyio.to_thread.run_sync(self.queue.take, key, host.name)
        if kept is None:  # cancelled meanwhile
            host.ended(key)
            return
        try:
            receipt = await host.carry_out(kept, partial(_intend, self.queue, key))
        except ToolError as exc:
            receipt = Receipt(outcome="failed", reason=str(exc))
        finally:
            took_s = host.ended(key)
        if receipt.outcome not in GOOD and not await self._answers(host):
            self.queue.give_back(key, None, tried=False)
            self._schedule.add(key, kind, kept.order.priority, first=True)
            return
        host.learned()
        record = receipt.model_dump(mode="json", exclude_defaults=True)
        if receipt.outcome in GOOD:
            host.done += 1
            self._end(kept, "done", record, took_s)
        elif kept.tries <= self.limits.retries:
            self.queue.give_back(key, receipt.reason)
            self._schedule.add(key, kind, kept.order.priority)
        else:
            self._end(kept, "failed", record, took_s)
        spent = sum(one.usd for one in self.hosts)
        if self.limits.budget_usd is not None and spent >= self.limits.budget_usd:
            self.stop(f"the hosts have cost {spent:.4f} USD, and --budget-usd is {self.limits.budget_usd:g}")

    async def _answers(self, host: Host) -> bool:
        try:
            await host.check()
        except EngineError as exc:
            host.failed(str(exc))
            self.told(f"{host.name} does not answer ({exc}); its order goes to another")
            return False
        return True

    def _end(self, kept: Kept, state: State, receipt: Mapping[str, Any], took_s: float) -> None:
        record = line_of(kept, state, receipt, took_s)
        self.queue.end(kept.key, state, record)
        self.output.add(record)
        if state == "failed":
            self.failed_now += 1
            most = self.limits.stop_after_failures
            if most is not None and self.failed_now >= most:
                self.stop(f"{self.failed_now} orders have failed, and --stop-after-failures is {most}")

    def stop(self, why: str) -> None:
        """Begin nothing more; what runs is finished."""
        if self.stopped_why is None:
            self.stopped_why = why
            self.told(f"{why}; what runs is finished, then it stops")
            self._changed()

    def _changed(self) -> None:
        self._ready.set()
        self._ready = anyio.Event()

    async def _watch(self) -> None:
        while True:
            self.watched(self.standing())
            await anyio.sleep(1.0)

    async def _on_signal(self, scope: anyio.CancelScope) -> None:
        """The first Ctrl-C finishes what runs, the second gives it back."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if self.stopped_why is not None:
                    self.told("what ran is given back; the same command goes on")
                    scope.cancel()
                    return
                self.stop("stopped by you")


def settle_interrupted(queue: BatchFile, hosts: Sequence[Host]) -> None:
    """Orders that were under way when a process ended: those whose change was made are done, the rest wait again.

    Every queue delivers at least once; the key in the undo store, written together with the change, makes it once.
    """
    if not hosts:
        raise RunError("a batch needs at least one host")
    for kept in queue.orders("state = 'running'"):
        op = hosts[0].made(kept.key) if kept.intent else None
        if kept.intent is None or op is None:
            queue.give_back(kept.key, None, tried=False)
            continue
        queue.end(kept.key, "done", line_of(kept, "done", {**kept.intent, "op": op}, None))


def line_of(kept: Kept, state: State, receipt: Mapping[str, Any], took_s: float | None) -> dict[str, Any]:
    """An order's line of the output: which order, how it went, then its receipt."""
    order = kept.order
    about: dict[str, Any] = {"key": kept.key, "line": kept.line, "ok": state == "done", "tries": kept.tries}
    about |= {"again": kept.again or None, "id": order.id, "label": order.label, "host": kept.host or None}
    about["seconds"] = None if took_s is None else round(took_s, 3)
    return {name: value for name, value in about.items() if value is not None} | dict(receipt)


def _intend(queue: BatchFile, key: str, receipt: Receipt) -> None:
    queue.intend(key, receipt.model_dump(mode="json", exclude_defaults=True))
