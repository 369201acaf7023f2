"""Running a batch: every host takes the next order when it is idle, until none is left, each order done once."""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio

from servers.ollama.engines.protocol import EngineError
from servers.ollama.ledger.receipt import Receipt
from servers.ollama.ledger.runs import DELIVERED
from servers.output import ToolError

from ..errors import OrchestratorError, RunError
from .finish import Finish, by_forecast
from .host import Host, kind_of
from .output import Output
from .queue import Kept, Lost, Queue, State
from .schedule import Kind, Schedule

log = logging.getLogger(__name__)

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
    finish: Finish | None
    """When it will be done; None while nothing is known."""
    running: Sequence[str]
    """host: key, of what is under way."""


@dataclass(slots=True, kw_only=True)
class BatchRun:
    """One process's work on a batch."""

    queue: Queue
    output: Output | None
    """None: another process writes it."""
    hosts: Sequence[Host]
    limits: Limits = Limits()
    follow: bool = False
    """Wait for further orders when there are none, and for those of others that die."""
    told: Callable[[str], None] = lambda said: None
    """Hears what a person should know, one sentence each."""
    watched: Callable[[Standing], None] = lambda standing: None
    stopped_why: str | None = None
    """Set when no further order shall begin."""
    failed_now: int = 0
    _schedule: Schedule = field(init=False)
    _by_name: dict[str, Host] = field(init=False)
    _down: dict[str, str] = field(default_factory=dict[str, str])
    """Hosts that were told not to answer, and why."""
    _cancelled: bool = False
    """Orders that we knew could not be taken any more."""
    _known: set[str] = field(default_factory=set[str])
    """Keys in the schedule."""
    _ours: set[str] = field(default_factory=set[str])
    """Keys of orders that we take, run or end: alive, so that a thread that looks for lost ones sees them in time."""
    _scopes: dict[str, anyio.CancelScope] = field(default_factory=dict[str, anyio.CancelScope])
    """Of the runs under way."""
    _ready: anyio.Event = field(default_factory=anyio.Event)
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._by_name = {host.name: host for host in self.hosts}
        self._schedule = Schedule(lambda name, kind: self._by_name[name].seconds(kind))

    async def run(self) -> Standing:
        """Until every order has ended or something stops it. Raises RunError when queue or output cannot be written."""
        await self._caught_up()
        await anyio.to_thread.run_sync(self.queue.changed_elsewhere)
        await self._filled()
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
            with anyio.CancelScope(shield=True):
                await self._caught_up()
        return await self.standing()

    async def _caught_up(self) -> None:
        """Settle what an ended process left, and let the output have every line it should have."""
        await anyio.to_thread.run_sync(settle_interrupted, self.queue, self.hosts, self._ours)
        if self.output is not None:
            await anyio.to_thread.run_sync(self.output.catch_up, self.queue.records())

    async def _filled(self) -> int:
        """Take in what waits and is not known yet. How many."""
        waiting = await anyio.to_thread.run_sync(self.queue.waiting)
        fresh = [one for one in waiting if one.key not in self._known and one.key not in self._ours]
        for one in fresh:
            self._known.add(one.key)
            self._schedule.add(one.key, kind_of(one.order, one.size), one.priority)
        return len(fresh)

    async def _changed_elsewhere(self) -> None:
        """Do as a person said in another terminal: leave out what was cancelled, take in what shall be tried again."""
        known = {*self._known}
        waiting = {one.key for one in await anyio.to_thread.run_sync(self.queue.waiting)}
        gone = (known & self._known) - waiting
        self._known -= gone
        self._schedule.leave_out(gone)
        if gone or self._cancelled:
            self._cancelled = False
            self.told("what waited was cancelled from elsewhere; what runs is finished")
        if fresh := await self._filled():
            self.told(f"{fresh:,} orders were let wait again from elsewhere")

    async def standing(self) -> Standing:
        counts = await anyio.to_thread.run_sync(self.queue.counts)
        up = {host.name: host.at_work() for host in self.hosts if host.is_up}
        about_s = self._schedule.ends_s(up)
        return Standing(
            counts=counts,
            took_s=time.monotonic() - self._began,
            finish=None if about_s is None else self._finish(about_s),
            running=[f"{host.name}: {key}" for host in self.hosts for key in host.running],
        )

    def _finish(self, about_s: float) -> Finish:
        ratios = [ratio for host in self.hosts for ratio in host.ratios]
        spread = max((host.spread for host in self.hosts), default=0.0)
        left = len(self._schedule) + sum(len(host.running) for host in self.hosts)
        return by_forecast(about_s, left, ratios, spread)

    async def _work(self, host: Host, room: anyio.CapacityLimiter) -> None:
        """One slot of a host: order after order."""
        while (chosen := await self._next(host)) is not None:
            try:
                async with room:
                    await self._do(host, *chosen)
            finally:
                self._ours.discard(chosen[0])
            self._changed()

    async def _next(self, host: Host) -> tuple[str, Kind] | None:
        """What to begin now; waits while there may be something later. None when there will be nothing."""
        while self.stopped_why is None:
            idle = not len(self._schedule) and not any(other.running for other in self.hosts)
            if idle and not self.follow:
                await self._filled()  # a person may have let failed ones wait again
                if not len(self._schedule):
                    return None
            if host.is_up:
                await host.look(list(self._schedule.kinds()))
                self._tell_whether_up(host)
            if host.is_up and self.stopped_why is None:
                others = {
                    one.name: one.at_work() for one in self.hosts if one.is_up and one.name != host.name
                }
                if (chosen := self._schedule.take(host.name, others)) is not None:
                    host.began(*chosen)
                    self._known.discard(chosen[0])
                    self._ours.add(chosen[0])
                    return chosen
            if not self.follow:
                await self._refuse_impossible()
            with anyio.move_on_after(LOOK_S):
                await self._ready.wait()
        return None

    def _tell_whether_up(self, host: Host) -> None:
        """That it stopped answering, or answers again, once."""
        before, why = self._down.pop(host.name, None), host.down_why
        if why is not None:
            self._down[host.name] = why
        if why is not None and before is None:
            others = any(other.down_why is None for other in self.hosts)
            then = "its work goes to the others" if others else "the batch waits until it does"
            self.told(f"{host.name} does not answer ({why}); {then}")
        elif why is None and before is not None:
            self.told(f"{host.name} answers again, and takes orders again")

    async def _refuse_impossible(self) -> None:
        """Let orders that no host can take fail; while one is down it may be the one that can."""
        if any(host.running for host in self.hosts) or not all(host.is_up for host in self.hosts):
            return
        for kind in self._schedule.kinds():
            if all(host.seconds(kind) == math.inf for host in self.hosts):
                await self._refuse(kind)

    async def _refuse(self, kind: Kind) -> None:
        model, tags, _, _ = kind.group
        wanted = " and ".join(
            [f"the model {model}" if model != "auto" else "", f"the tags {', '.join(tags)}" if tags else ""]
        ).strip(" and")
        for key in self._schedule.remove(kind):
            if (kept := self.queue.take(key, "")) is not None:
                await self._end(kept, "failed", {"outcome": "failed", "reason": f"no host has {wanted}"}, 0.0)

    async def _do(self, host: Host, key: str, kind: Kind) -> None:
        """One order on one host, whatever comes of it."""
        kept = await anyio.to_thread.run_sync(self.queue.take, key, host.name)
        if kept is None:
            self._cancelled = True
            host.ended(key, whole=False)
            return
        receipt, revs = None, dict[str, str]()
        try:
            with anyio.CancelScope() as self._scopes[key]:
                receipt = await host.carry_out(kept, partial(_intend, self.queue, key, revs))
        except ToolError as exc:
            receipt = Receipt(outcome="failed", reason=str(exc))
        except Lost:
            pass
        except OrchestratorError:  # the queue cannot be written: no order may go on
            raise
        except Exception:  # a fault of one order must not end all the others
            log.exception("the order %s crashed", key)
            receipt = Receipt(
                outcome="failed", reason="it failed through a fault of its own; the log has the details"
            )
        finally:
            took_s = host.ended(key, whole=receipt is not None and receipt.outcome in DELIVERED)
            del self._scopes[key]
        if receipt is None:
            self.told(f"the order {key} was cancelled or taken over; its run was stopped")
            return
        if receipt.outcome not in DELIVERED and not await self._answers(host):
            await self._wait_again(kept, kind, None, tried=False)
            return
        host.learned()
        record = receipt.model_dump(mode="json", exclude_defaults=True)
        if receipt.outcome in DELIVERED:
            await self._end(kept, "done", record | ({"revs": revs} if revs else {}), took_s)
        elif kept.tries <= self.limits.retries:
            await self._wait_again(kept, kind, receipt.reason)
        else:
            await self._end(kept, "failed", record, took_s)
        spent = sum(one.usd for one in self.hosts)
        if self.limits.budget_usd is not None and spent >= self.limits.budget_usd:
            self.stop(f"the hosts have cost {spent:.4f} USD, and --budget-usd is {self.limits.budget_usd:g}")

    async def _wait_again(self, kept: Kept, kind: Kind, reason: str | None, *, tried: bool = True) -> None:
        """Give it back; one that was no try of its own goes before its like."""
        await anyio.to_thread.run_sync(lambda: self.queue.give_back(kept.key, reason, tried=tried))
        if kept.key not in self._known:
            self._known.add(kept.key)
            self._schedule.add(kept.key, kind, kept.order.priority, first=not tried)

    async def _answers(self, host: Host) -> bool:
        try:
            await host.check()
        except EngineError:
            self._tell_whether_up(host)
            return False
        return True

    async def _end(self, kept: Kept, state: State, receipt: Mapping[str, Any], took_s: float) -> None:
        record = line_of(kept, state, receipt, took_s)
        await anyio.to_thread.run_sync(self.queue.end, kept.key, state, record)
        if self.output is not None:
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
            self.watched(await self.standing())
            await anyio.sleep(1.0)
            for key, scope in [*self._scopes.items()]:
                if not await anyio.to_thread.run_sync(self.queue.still_ours, key):
                    scope.cancel()
            if self.follow:
                await self._caught_up()
                await self._filled()
                self._changed()
            elif await anyio.to_thread.run_sync(self.queue.changed_elsewhere):
                await self._changed_elsewhere()
                self._changed()

    async def _on_signal(self, scope: anyio.CancelScope) -> None:
        """The first Ctrl-C finishes what runs, the second gives it back."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if self.stopped_why is not None:
                    self.told("what ran is given back; the same command goes on")
                    scope.cancel()
                    return
                self.stop("stopped by you")


def settle_interrupted(queue: Queue, hosts: Sequence[Host], running: Collection[str] = ()) -> None:
    """Orders that were under way when a process ended: those whose change was made are done, the rest wait again.

    Every queue delivers at least once. The key in the undo store, written together with the change, makes it once on
    one machine; on another, where that store is not, the files themselves tell: they have the revisions of the intent.
    """
    if not hosts:
        raise RunError("a batch needs at least one host")
    for kept in queue.interrupted(running):
        intent = kept.intent or {}
        op = hosts[0].made(kept.key) if intent else None
        if op is not None:
            intent = {**intent, "op": op}
        elif not hosts[0].holds(intent.get("revs", {})):
            queue.give_back(kept.key, None, tried=False)
            continue
        queue.end(kept.key, "done", line_of(kept, "done", intent, None))


def line_of(kept: Kept, state: State, receipt: Mapping[str, Any], took_s: float | None) -> dict[str, Any]:
    """An order's line of the output: which order, how it went, then its receipt."""
    order = kept.order
    key = kept.key.rpartition(":")[2]  # a team's queue puts the batch before it
    about: dict[str, Any] = {"key": key, "line": kept.line, "ok": state == "done", "tries": kept.tries}
    about |= {"again": kept.again or None, "id": order.id, "label": order.label, "host": kept.host or None}
    about["seconds"] = None if took_s is None else round(took_s, 3)
    return {name: value for name, value in about.items() if value is not None} | dict(receipt)


def _intend(queue: Queue, key: str, made: dict[str, str], receipt: Receipt, revs: Mapping[str, str]) -> None:
    made.update(revs)
    queue.intend(key, {**receipt.model_dump(mode="json", exclude_defaults=True), "revs": revs})
