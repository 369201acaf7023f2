"""What a planned run will take, from the speed models in the ledger, the wait for our own work and the prompt cache."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import pairwise

import anyio

from ...state.home import home
from ..engines.protocol import Model, Query, Runtime
from ..engines.shared_queue import Entry, SharedQueue, Ticket
from ..engines.threads import threads_for
from ..ledger.keys import key_of, machine_of
from ..ledger.ledger import Ledger, LedgerError
from ..ledger.profile import FRESH_LOAD_S, Profile
from ..ledger.runs import Key, Output, Provenance, filed, provenance_of
from .advice import Recommendation, another, recommend
from .context_size import largest_ctx
from .model_shape import shape_of
from .plans import Task, Worker
from .prompt_cache import Prompts
from .quantiles import NO_WAIT, Wait, left_of
from .speed_model import Forecast
from .speed_models import SpeedModels
from .token_estimates import Lengths, lengths_of

PAUSES = 20
USUAL_S, LONGEST_S = 270.0, 3600.0
"""Ollama unloads after five minutes; longer than an hour nothing is kept for work that may come."""

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Planned:
    """A run that waits or runs: what it was forecast to take."""

    seconds: float
    spread: float = 0.0
    """The standard deviation of their logarithm."""
    ticket: Ticket | None = None
    """Its place among the runs of other processes; None on an engine of our own."""
    began: float | None = None

    def started(self) -> None:
        """It has its turn."""
        self.began = time.monotonic()
        if self.ticket is not None:
            self.ticket.started(self.seconds, self.spread)

    @property
    def left(self) -> Wait:
        gone_s = 0.0 if self.began is None else time.monotonic() - self.began
        return left_of(self.seconds, self.spread, gone_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """A planned run: who, and what."""

    worker: Worker
    task: Task

    def forecast(self) -> Forecast | None:
        """Blocking; None while nothing is known of this machine."""
        return self.worker.forecast(self.task)

    def waiting(self, wait: Wait) -> RunPlan:
        """The same behind earlier work that will take so long."""
        return replace(self, worker=replace(self.worker, wait=wait))

    def recommend(self, others: Sequence[Worker] = ()) -> Recommendation:
        """Blocking: forecast, advice, and the plan that meets the deadline or the refusal."""
        return recommend(self.task, self.worker, others=others)

    def given(self, profile: Profile) -> float | None:
        """Seconds it would have said for the tokens that came; None for a run that came to no end of its own."""
        if profile.outcome not in ("done", "length") or not profile.tokens_in or not profile.tokens_out:
            return None
        cached = self.task.tokens_cached if profile.tokens_cached is None else profile.tokens_cached
        worker = self.worker
        found = worker.speed.forecast(
            profile.tokens_in,
            profile.tokens_out,
            tokens_cached=cached,
            cold=worker.cold,
            busy_cores=worker.busy_cores,
        )
        return found.total_s if found else None

    def again(self) -> Forecast | None:
        """Another question on the same material right after this run. Blocking; None where it has none."""
        return another(self.task, self.worker)

    def whole_prompt_s(self) -> float | None:
        """Seconds to read the prompt without its cache."""
        return self.worker.speed.expected_prefill_s(self.task.tokens_in)


@dataclass(slots=True, kw_only=True)
class Forecaster:
    """Forecasts for one runtime. A ledger that cannot be used means no forecasts, said once in the log."""

    runtime: Runtime
    machine: str = ""
    """Whose speeds these are, where the engine's own word for it names several."""
    slots: int = 1
    """Runs of one model the engine takes at once."""
    _ledger: Ledger | None = None
    _speed_models: SpeedModels | None = None
    _planned: dict[str, list[Planned]] = field(default_factory=dict[str, list[Planned]])
    _prompts: Prompts = field(init=False)
    _queue: SharedQueue | None = None

    def __post_init__(self) -> None:
        url = self.runtime.url
        self._prompts = Prompts(
            home() / "prompts" / blake2b(url.encode(), digest_size=8).hexdigest() if url else None
        )

    async def ledger(self) -> Ledger:
        """The ledger, opened on first use. Raises LedgerError."""
        if self._ledger is None:
            self._ledger = await anyio.to_thread.run_sync(Ledger.open)
            self._speed_models = SpeedModels(self._ledger)
        return self._ledger

    @property
    def provenance(self) -> Provenance:
        """Whose runs count here. A simulated server is known as one after the first word with it."""
        return provenance_of(simulated=self.runtime.simulated, recorded=not self.runtime.timed)

    @property
    def filed_under(self) -> str:
        """The machine in the keys of its runs."""
        return machine_of(self.machine or self.runtime.host, simulated=self.runtime.simulated)

    async def speed_models(self) -> SpeedModels | None:
        """The speed models; None when the ledger cannot be used."""
        try:
            await self.ledger()
        except LedgerError as exc:
            log.error("no forecasts: %s", exc)
        return self._speed_models

    async def key(self, model: Model, num_ctx: int, profile: Profile | None = None) -> Key:
        """What a run of this model belongs to; its profile knows the processor better than the plan."""
        share = profile.gpu_share if profile else model.gpu_share if model.loaded else None
        engine = await self.runtime.engine()
        return key_of(
            host=self.machine or self.runtime.host,
            engine=engine,
            model=model.name,
            digest=model.digest,
            gpu_share=share,
            options={"num_ctx": num_ctx, "shift": False, **await self._threads(model.name)},
            simulated=self.runtime.simulated,
        )

    async def _threads(self, model: str) -> dict[str, int]:
        """num_thread as it is sent for this model; empty where it is left to the engine."""
        url = self.runtime.url
        found = await anyio.to_thread.run_sync(threads_for, url, model) if url else None
        return {} if found is None else {"num_thread": found}

    async def keep_alive_s(self, model: Model) -> float | None:
        """How long a model should stay loaded, by the pauses between its last runs; None leaves it to the engine."""
        try:
            ledger = await self.ledger()
            name = filed(model.name, self.provenance)
            runs = await anyio.to_thread.run_sync(lambda: ledger.runs(model=name, last=PAUSES))
        except LedgerError:
            return None
        return kept_loaded_s([run.at for run in runs])

    async def plan(
        self,
        task: Task,
        model: Model,
        num_ctx: int,
        query: Query | None = None,
        *,
        wait: Wait = NO_WAIT,
        busy_cores: float | None = None,
        odds: float | None = None,
    ) -> RunPlan | None:
        """The task as this model would run it now; None when no ledger can be used, or the durations are replayed.

        `query`: what would be sent, of which the engine's cache may hold a part. `busy_cores`: what other programs
        use of the machine now. `odds`: of passing the gate.
        """
        speed_models = await self.speed_models() if self.runtime.timed else None
        if speed_models is None:
            return None
        details = {"quantization_level": model.quantization}
        if shape := shape_of({"model_info": model.info, "details": details}, model.size_bytes):
            speed_models.know(model.stamp, shape)
        cold = _cold(model, num_ctx)
        hit = 0 if cold else await self._hit(model, query, task.tokens_in) if query is not None else None
        task = replace(task, tokens_cached=hit)

        key = await self.key(model, num_ctx)
        try:
            speed = await anyio.to_thread.run_sync(speed_models.of, key)
        except LedgerError as exc:
            log.error("no forecast: %s", exc)
            return None
        worker = Worker(
            model=model.name,
            speed=speed,
            lengths=self._lengths(model.name),
            odds=odds,
            cold=cold,
            wait=wait,
            busy_cores=busy_cores,
            room=largest_ctx(model),
            can_think=model.can_think,
        )
        return RunPlan(worker=worker, task=task)

    async def advice(
        self, plan: RunPlan, key: Key, profile: Profile, num_ctx: int, busy_cores: float | None
    ) -> Recommendation | None:
        """For the next run like the one that was planned and is recorded under `key`; None when the ledger fails."""
        tokens_in = profile.tokens_in or plan.task.tokens_in
        shared = plan.task.tokens_shared * tokens_in // max(plan.task.tokens_in, 1)
        task = replace(
            plan.task,
            tokens_in=tokens_in,
            least_in=tokens_in,
            tokens_shared=0 if 2 * (profile.tokens_cached or 0) > shared else shared,  # who asked knows
            tokens_cached=None,
            tokens_spread=0.0,
            deadline_s=None,
        )
        room = plan.worker.room
        worker = replace(
            plan.worker,
            lengths=self._lengths(plan.worker.model),
            cold=False,
            wait=NO_WAIT,
            busy_cores=busy_cores,
            room=None if room is None else max(room, num_ctx),
        )

        def advise() -> Recommendation:
            assert self._speed_models is not None, "a plan comes from speed models"
            return recommend(task, replace(worker, speed=self._speed_models.of(key)))

        try:
            return await anyio.to_thread.run_sync(advise)
        except LedgerError as exc:
            log.error("no forecast: %s", exc)
            return None

    def _lengths(self, model: str) -> Callable[[Task], Lengths]:
        """What its answers so far say of the next; of each kind they are read once."""
        name, seen = filed(model, self.provenance), dict[tuple[str, bool, str | None], list[Output]]()

        def lengths(asked: Task) -> Lengths:
            which = asked.kind, asked.think, asked.format
            if which not in seen:
                assert self._ledger is not None, "a plan comes from a ledger"
                seen[which] = self._ledger.lengths(name, asked.kind, think=asked.think, format=asked.format)
            return lengths_of(
                seen[which],
                kind=asked.kind,
                tokens_in=asked.tokens_in,
                cap=asked.cap,
                think=asked.think,
                format=asked.format,
                whole=asked.least_out if asked.format == "whole" else 0,
            )

        return lengths

    @property
    def queue(self) -> SharedQueue | None:
        """Where this engine's runs queue with those of other processes; None on an engine of our own."""
        if self._queue is None and self.runtime.url is not None:
            self._queue = SharedQueue(self.runtime.url)
        return self._queue

    def wait(self, model: str, before: Planned | None = None) -> Wait:
        """How long earlier work on this model will still take: ours, and that of other processes on its engine.

        `before`: a run that waits itself; what came after it does not count.
        """
        if before is not None and before.ticket is not None:
            return self._until_free(before.ticket.ahead())
        ours = self._planned.get(model, [])
        if before is not None:
            ours = ours[: ours.index(before)]
        announced = {plan.ticket.entry.name for plan in ours if plan.ticket}
        others = self.queue.entries(model) if self.queue and before is None else []
        return self._until_free([*ours, *(one for one in others if one.name not in announced)])

    def _until_free(self, ahead: Sequence[Planned | Entry]) -> Wait:
        """Until a slot is free, when these runs are ahead, the earliest first."""
        free = [NO_WAIT] * self.slots
        for one in ahead:
            left = one.left if isinstance(one, Planned) else left_of(one.seconds, one.spread, one.gone_s)
            soonest = min(range(self.slots), key=lambda slot: free[slot].mean_s)
            free[soonest] += left
        return min(free, key=lambda slot: slot.mean_s)

    @contextmanager
    def planned(self, model: str, forecast: Forecast | None) -> Generator[Planned]:
        """A run others will have to wait for, from its queueing to its end."""
        seconds, spread = (forecast.total_s, forecast.spread) if forecast else (0.0, 0.0)
        with ExitStack() as stack:
            ticket = stack.enter_context(self.queue.ticket(model, seconds, spread)) if self.queue else None
            plan = Planned(seconds=seconds, spread=spread, ticket=ticket)
            plans = self._planned.setdefault(model, [])
            plans.append(plan)
            stack.callback(plans.remove, plan)
            yield plan

    async def sent(self, model: Model, query: Query, profile: Profile) -> None:
        """The engine has read this prompt: its cache may serve the next one."""
        fresh = profile.load_s is not None and profile.load_s >= FRESH_LOAD_S
        await anyio.to_thread.run_sync(lambda: self._prompts.sent(model.stamp, query.text, fresh=fresh))

    async def _hit(self, model: Model, query: Query, tokens_in: int) -> int | None:
        """Prompt tokens the cache should serve; None when no prompt of ours is known to lie in it."""
        share = await anyio.to_thread.run_sync(self._prompts.share, model.stamp, query.text)
        return None if share is None else int(tokens_in * share)


def kept_loaded_s(at: Sequence[float]) -> float | None:
    """From the times of runs, newest first: long enough for nine of ten pauses, where the engine's own is too short."""
    pauses = sorted(later - earlier for later, earlier in pairwise(at) if later - earlier <= LONGEST_S)
    if len(pauses) < 3:
        return None
    usual = pauses[int(0.9 * (len(pauses) - 1))]
    return None if usual <= USUAL_S else min(300 * math.ceil(1.2 * usual / 300), LONGEST_S)


def _cold(model: Model, num_ctx: int) -> bool | None:
    """Whether the model must be loaded first: it is not there, or there with another context."""
    if model.loaded is None:
        return None
    return not model.loaded or (model.loaded_ctx is not None and model.loaded_ctx != num_ctx)
