"""Work that outlives the call that asked for it: started once, watched, waited for, cancelled by its id."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
import anyio.abc
from pydantic import BaseModel

from ...durations import duration
from ...output import ToolError
from .job_store import JobStore, KeptJob

T = TypeVar("T", bound=BaseModel)
log = logging.getLogger(__name__)
MAX_KEPT = 200
"""Finished jobs that stay readable."""
MAX_RUNNING = 64
TOLD_S = 2.0
"""How often the disk hears what a job is doing."""
_LISTED, _LISTED_S = 20, 86_400.0
"""Of other servers' jobs: how many are listed, and for how long."""


@dataclass(slots=True)
class Progress:
    """Where a job is. Read by others while it runs."""

    delegation: str = ""
    """The id of the job."""
    phase: str = "starting"
    """starting, waiting, reading, thinking, writing, checking, done."""
    model: str | None = None
    ahead: int = 0
    holder: str | None = None
    """Another process that has the engine while we wait."""
    tokens: int = 0
    cap: int | None = None
    began: float = field(default_factory=time.monotonic)
    first_token: float | None = None
    ends_at: float | None = None
    """When the forecast says the current run ends; the monotonic clock."""
    within: tuple[float, float] | None = None
    """The same of the interval that holds nine in ten."""
    again: bool = False
    """The model answers once more, as its first answer was rejected."""
    is_last: bool = False
    """No run follows this one, whatever becomes of its answer."""
    step: int = 0
    steps: int | None = None
    """Of a map: chunks done, chunks in all."""
    joins: bool = False
    """Of a map: it reduces its chunks' answers to one."""

    def piece(self, thinking: bool) -> None:
        """One piece of the answer has come: about one token."""
        self.first_token = self.first_token or time.monotonic()
        self.tokens += 1
        self.phase = "thinking" if thinking else "writing"

    def foreseen(self, forecast_s: float | None, within_s: tuple[float, float] | None) -> None:
        """What should pass until its end, from now on: the wait for its turn as well, while it waits."""
        now = time.monotonic()
        self.tokens, self.first_token = 0, None
        self.ends_at = None if forecast_s is None else now + forecast_s
        self.within = None if within_s is None else (now + within_s[0], now + within_s[1])

    def run(
        self, model: str, cap: int, forecast_s: float | None, within_s: tuple[float, float] | None = None
    ) -> None:
        """A run begins."""
        self.phase, self.model, self.cap = "reading", model, cap
        self.foreseen(forecast_s, within_s)

    @property
    def tokens_per_s(self) -> float | None:
        if self.first_token is None or self.tokens < 2:
            return None
        took = time.monotonic() - self.first_token
        return (self.tokens - 1) / took if took > 0 else None

    @property
    def remaining_s(self) -> float | None:
        """What is left of the current run: by the forecast, and never more than the cap allows at this pace.

        None where neither says: also when the forecast is past.
        """
        by_forecast = None if self.ends_at is None else max(self.ends_at - time.monotonic(), 0.0)
        rate = self.tokens_per_s
        by_cap = None if rate is None or self.cap is None else max(self.cap - self.tokens, 0) / rate
        known = [s for s in (by_forecast or None, by_cap) if s is not None]
        return min(known) if known else None

    @property
    def overdue(self) -> bool:
        """Whether it takes longer than was forecast."""
        return self.ends_at is not None and time.monotonic() > self.ends_at

    def _interval(self) -> str:
        if self.within is None or self.tokens:  # from the first token on the pace says more
            return ""
        low, high = (duration(max(end - time.monotonic(), 0.0)) for end in self.within)
        return f" (90 %: {low} to {high})"

    def _left(self, seconds: float) -> str:
        """What is left of the run under way, and what that is not the end of."""
        told = f"{duration(seconds)} left"
        if self.steps is not None:
            return f"{told} of this answer"
        if self.is_last:
            return told
        return f"{told} if {'this answer' if self.again else 'its first answer'} is right"

    def __str__(self) -> str:
        if self.phase == "waiting":
            held = f" ({self.holder} has it)" if self.holder else ""
            left = f", about {self._left(self.remaining_s)}{self._interval()}" if self.remaining_s else ""
            return f"waiting for {self.model}, {self.ahead} ahead{held}{left}"
        parts = [self.phase if self.model is None else f"{self.model} {self.phase}"]
        if self.again:
            parts.append("second answer")
        if self.steps is not None:
            at = min(self.step + 1, self.steps)
            parts.append("joining the answers" if self.joins else f"chunk {at} of {self.steps}")
        if self.tokens:
            parts.append(f"{self.tokens} tokens")
        if self.tokens_per_s is not None:
            parts.append(f"{self.tokens_per_s:.1f}/s")
        if self.phase != "checking" and self.overdue:
            most = self.remaining_s
            parts.append("longer than forecast" + (f", at most {self._left(most)}" if most else ""))
        elif self.remaining_s and self.phase != "checking":
            parts.append(f"about {self._left(self.remaining_s)}{self._interval()}")
        return ", ".join(parts)


@dataclass(slots=True)
class Job(Generic[T]):
    """One piece of work. `result` or `failure` is set when it has ended, neither when it was cancelled."""

    id: str
    what: str
    progress: Progress = field(default_factory=Progress)
    began: float = field(default_factory=time.time)  # seconds since 1970
    started: float = field(default_factory=time.monotonic)
    ended_at: float | None = None
    done: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    result: T | None = None
    failure: str | None = None
    cancelled: bool = False

    @property
    def took_s(self) -> float:
        """Since it was asked for, to its end or to now."""
        return (self.ended_at or time.monotonic()) - self.started

    @property
    def state(self) -> str:
        if not self.done.is_set():
            return "running"
        return "cancelled" if self.cancelled else "failed" if self.failure else "done"

    async def ended(self, within_s: float, tell: Callable[[Progress], Awaitable[None]]) -> bool:
        """Wait for the end; what happens meanwhile is told twice a second."""
        deadline = time.monotonic() + within_s
        while not self.done.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with anyio.move_on_after(min(left, 0.5)):
                await self.done.wait()
            if not self.done.is_set():
                await tell(self.progress)
        return True


class Jobs(Generic[T]):
    """The jobs of one server. Inside `running()` they may be started; leaving it cancels them."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self._jobs: dict[str, Job[T]] = {}
        self._group: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                self._group = None

    async def start(self, what: str, work: Callable[[Progress], Awaitable[T]], kind: str) -> Job[T]:
        """Begin work in the background, known to the disk before it begins. ToolError when too much is under way."""
        if self._group is None:
            raise ToolError("the server is ending")
        if sum(job.state == "running" for job in self._jobs.values()) >= MAX_RUNNING:
            raise ToolError(f"{MAX_RUNNING} delegations are under way; wait for one, or cancel one")
        job = Job[T](id=secrets.token_hex(4), what=what)
        job.progress.delegation = job.id
        await anyio.to_thread.run_sync(self.store.begin, job.id, what, kind)
        self._jobs[job.id] = job
        self._forget_old()
        self._group.start_soon(self._run, job, work)
        self._group.start_soon(self._tell, job)
        return job

    async def get(self, id: str) -> Job[T] | KeptJob:
        """A job of this server by its id, or what the disk knows of another's; ToolError names those there are."""
        if (job := self._jobs.get(id)) is not None:
            return job
        if (kept := await anyio.to_thread.run_sync(self.store.find, id)) is not None:
            return kept
        there = [*(kept.id for kept in await self.others()), *self._jobs]
        known = ", ".join(there[-8:]) or "none yet; delegate starts one"
        raise ToolError(f"no delegation {id[:40]!r}; there are {known}")

    def all(self) -> list[Job[T]]:
        """Oldest first."""
        return list(self._jobs.values())

    async def others(self) -> list[KeptJob]:
        """The newest of other servers on the same folders, those that have ended included; oldest first."""
        return await anyio.to_thread.run_sync(self.store.recent, _LISTED, _LISTED_S)

    async def cancel(self, job: Job[T]) -> None:
        """Stop a job and wait until it has let go of its slot."""
        job.scope.cancel()
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            await job.done.wait()

    async def _run(self, job: Job[T], work: Callable[[Progress], Awaitable[T]]) -> None:
        try:
            with job.scope:
                try:
                    job.result = await work(job.progress)
                except ToolError as exc:
                    job.failure = str(exc)
                except Exception:  # a fault of one job must not end the server and every other job
                    log.exception("delegation %s crashed", job.id)
                    job.failure = "it failed through a fault of its own; the server's log has the details"
            job.cancelled = job.result is None and job.failure is None
        finally:
            job.progress.phase, job.ended_at = "done", time.monotonic()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._keep, job)
            job.done.set()

    async def _tell(self, job: Job[T]) -> None:
        """The disk hears from time to time how far it is."""
        known = ""
        while not job.done.is_set():
            with anyio.move_on_after(TOLD_S):
                await job.done.wait()
            if not job.done.is_set() and (doing := str(job.progress)) != known:
                known = doing
                await anyio.to_thread.run_sync(self.store.tells, job.id, doing)

    def _keep(self, job: Job[T]) -> None:
        if job.result is not None:
            self.store.end(job.id, "done", job.result.model_dump_json())
        elif job.failure is not None:
            self.store.end(job.id, "failed", job.failure)
        else:  # by the caller, or because the server ends
            state = "cancelled" if job.scope.cancel_called else "interrupted"
            self.store.end(job.id, state, None)

    def _forget_old(self) -> None:
        ended = [id for id, job in self._jobs.items() if job.state != "running"]
        for id in ended[: max(len(self._jobs) - MAX_KEPT, 0)]:
            del self._jobs[id]
