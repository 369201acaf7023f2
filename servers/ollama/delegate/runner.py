"""One run of one model for a prepared order: sized, queued, forecast, run, checked against silent cuts, recorded."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import anyio

from ...durations import duration
from ..engines.protocol import Answer, Model, Query, Runtime
from ..forecast.context_size import Size, Sizing, TooLong, fewest_tokens
from ..forecast.forecast import Forecast
from ..forecast.forecaster import Forecaster, Planned, RunPlan
from ..forecast.plans import HOPELESS, Task
from ..forecast.quantiles import NO_WAIT
from ..ledger.ledger import LedgerError
from ..ledger.profile import Profile
from ..ledger.receipt import Gated
from ..ledger.runs import Run, filed
from ..reports.advice_outcomes import recorded
from .contention import Contention
from .cpu_load import Load
from .jobs import Progress
from .queue import Slots, Turn
from .ran import Ran, RunRejected, TooLate
from .request import Prepared

DEFAULT_TIMEOUT_S = 900.0
AGAIN_TEMPERATURE = 0.4
"""Of a second answer of the same model: at 0 small models give the first once more, at 1 they ramble."""
LATE_S = 0.05
"""A wait for the slot this long makes the forecast anew."""

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs queries on one runtime, one at a time per model, and keeps the ledger."""

    runtime: Runtime
    forecaster: Forecaster
    slots: Slots = field(default_factory=Slots)
    sizing: Sizing = field(default_factory=Sizing)
    load: Load = field(init=False)
    contention: Contention = field(init=False)

    def __post_init__(self) -> None:
        self.load, self.contention = Load(self.runtime), Contention(self.runtime)

    async def run(
        self,
        prepared: Prepared,
        model: Model,
        progress: Progress,
        *,
        failure: str | None = None,
        again: bool = False,
        left_s: float | None = None,
    ) -> Ran:
        """Run the order on a model. Raises RunRejected before the engine is asked for anything that cannot work.

        `failure`: why the last answer was rejected; `again`: that answer was this model's own.
        `left_s`: what is left of the deadline.
        """
        query = self._query(prepared, model, failure, again=again)
        ran = await self._once(prepared, model, query, progress, left_s)
        if ran.answer.profile.outcome == "overflow" and not ran.answer.text:
            await self.record(ran, None)
            ran = await self._once(prepared, model, query, progress, left_s)  # the exact count is known now
        return ran

    async def plan(self, prepared: Prepared, model: Model, *, odds: float | None = None) -> RunPlan | None:
        """What this order would be on this model now; None while nothing is known. Raises RunRejected."""
        query = self._query(prepared, model)
        size = await self.size(prepared, model, query)
        task = _task(prepared, size, prepared.order.deadline_s)
        wait = self.forecaster.wait(model.name)
        return await self.forecaster.plan(
            task, model, size.num_ctx, query, wait=wait, busy_cores=await self.load.now(), odds=odds
        )

    async def _once(
        self, prepared: Prepared, model: Model, query: Query, progress: Progress, left_s: float | None
    ) -> Ran:
        forecaster = self.forecaster
        size = await self.size(prepared, model, query)
        keep_s = await forecaster.keep_alive_s(model)
        query = replace(query, num_ctx=size.num_ctx, num_predict=size.num_predict, keep_alive_s=keep_s)
        task = _task(prepared, size, left_s)
        busy_cores = await self.load.now()
        plan = await forecaster.plan(task, model, size.num_ctx, query, busy_cores=busy_cores)
        forecast = await anyio.to_thread.run_sync(plan.forecast) if plan else None
        progress.model = model.name
        with forecaster.planned(model.name, forecast) as queued:
            if plan and (wait := forecaster.wait(model.name, queued)) != NO_WAIT:
                plan = plan.waiting(wait)
                forecast = await anyio.to_thread.run_sync(plan.forecast)
            await _refuse_hopeless(plan, forecast, left_s)
            query = replace(
                query,
                expected_prefill_s=plan.whole_prompt_s() if plan else None,
                timeout_s=_time_given(left_s, forecast),
            )
            if forecast:
                progress.foreseen(forecast.total_s, (forecast.low_s, forecast.high_s))
            async with self._turn(model.name, progress, queued, left_s) as turn:
                if turn.waited_s > LATE_S:  # what ran meanwhile may have loaded the model
                    model = replace(await self.runtime.model(model.name), host=model.host)
                    busy_cores = await self.load.now()
                    plan = await forecaster.plan(task, model, size.num_ctx, query, busy_cores=busy_cores)
                    forecast = await anyio.to_thread.run_sync(plan.forecast) if plan else None
                    if left_s is not None:
                        left_s = max(left_s - turn.waited_s, 0.0)
                        await _refuse_hopeless(plan, forecast, left_s)
                        query = replace(query, timeout_s=_time_given(left_s, forecast))
                queued.started()
                within_s = (forecast.low_s, forecast.high_s) if forecast else None
                progress.run(model.name, query.num_predict, queued.seconds or None, within_s)
                before = await self.load.seen()
                answer = await self._asked(prepared, model, size, query, progress)
                after = await self.load.seen()
        answer = _checked(answer, query, size)
        given_s = await anyio.to_thread.run_sync(plan.given, answer.profile) if plan and forecast else None
        if answer.error is None or not answer.text:  # a count of what was cut would teach a wrong ratio
            self.sizing.learn(model, query.chars, answer.profile.tokens_in)
        await forecaster.sent(model, query, answer.profile)
        ran_through = answer.profile.outcome in ("done", "length")
        return Ran(
            model=replace(model, loaded=True, loaded_ctx=query.num_ctx) if ran_through else model,
            prepared=prepared,
            size=size,
            answer=answer,
            key=await forecaster.key(model, query.num_ctx, answer.profile),
            chars=query.chars,
            waited_s=turn.waited_s,
            overlapped=turn.overlapped,
            busy_cores=after.others_since(before) if after and before else None,
            plan=plan,
            forecast=forecast,
            given_s=given_s,
        )

    @asynccontextmanager
    async def _turn(
        self, model: str, progress: Progress, queued: Planned, left_s: float | None
    ) -> AsyncGenerator[Turn]:
        """The model's slot. Raises RunRejected when the deadline passes first."""
        async with AsyncExitStack() as stack:
            slot = self.slots.taken(model, partial(_wait, progress), queued.ticket, within_s=left_s)
            try:
                turn = await stack.enter_async_context(slot)
            except TimeoutError as exc:
                held = f"; {progress.holder} has it" if progress.holder else ""
                raise TooLate(
                    f"the {duration(left_s or 0)} that were left went by waiting for {model}{held}"
                ) from exc
            yield turn

    async def _asked(
        self, prepared: Prepared, model: Model, size: Size, query: Query, progress: Progress
    ) -> Answer:
        """The answer. A run that is cancelled is recorded too: it took its time."""
        began = time.perf_counter()
        try:
            return await self.runtime.chat(query, lambda _, thinking: progress.piece(thinking))
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                wall_s = time.perf_counter() - began
                profile = Profile(
                    model=model.name,
                    outcome="cancelled",
                    wall_s=wall_s,
                    num_ctx=query.num_ctx,
                    simulated=self.runtime.simulated,
                    recorded=not self.runtime.timed,
                )
                cancelled = Ran(
                    model=model,
                    prepared=prepared,
                    size=size,
                    answer=Answer(text="", profile=profile, error="cancelled"),
                    key=await self.forecaster.key(model, query.num_ctx),
                    chars=query.chars,
                    waited_s=0.0,
                    overlapped=True,
                )
                await self.record(cancelled, None)
            raise

    async def advise(self, ran: Ran) -> Ran:
        """The run with advice for the next like it, from the speed model that now knows this one."""
        if ran.plan is None:
            return ran
        return replace(
            ran,
            recommendation=await self.forecaster.advice(
                ran.plan, ran.key, ran.answer.profile, ran.size.num_ctx, ran.busy_cores
            ),
        )

    async def complete(self, ran: Ran, *, tokens_without: int, tokens_spent: int) -> None:
        """Add to a recorded run the advice its receipt gave, and what the caller spent and saved."""
        if (run := ran.id) is None:
            return
        advice = recorded(ran.recommendation.advice) if ran.recommendation else None
        try:
            ledger = await self.forecaster.ledger()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(
                    lambda: ledger.complete(
                        run, advice=advice, tokens_without=tokens_without, tokens_spent=tokens_spent
                    )
                )
        except LedgerError as exc:
            log.error("what run %d saved was not recorded: %s", run, exc)

    async def record(self, ran: Ran, gated: Gated | None) -> Ran:
        """Write the run into the ledger; a ledger that cannot be written is logged, the work stands."""
        order = ran.prepared.order
        run = Run(
            key=ran.key,
            profile=ran.answer.profile,
            kind=order.kind,
            think=order.think,
            format=ran.prepared.format,
            cap=ran.size.num_predict,
            chars_in=None
            if ran.answer.profile.outcome == "overflow" and ran.answer.text
            else ran.chars,  # it was cut
            expected_cached=ran.forecast.tokens_cached if ran.forecast else None,
            overlapped=ran.overlapped,
            busy_cores=ran.busy_cores,
            asked_by=order.asked_by,
            gate=",".join(check.gate for check in gated.checks) or None if gated else None,
            gate_passed=gated.passed
            if gated and (gated.passed is False or gated.unchecked is None)
            else None,
            forecast_s=ran.forecast.total_s if ran.forecast else None,
            forecast_low_s=ran.forecast.low_s if ran.forecast else None,
            forecast_high_s=ran.forecast.high_s if ran.forecast else None,
            forecast_given_s=ran.given_s,
            raw=ran.answer.raw,
        )
        id: int | None = None
        try:
            ledger = await self.forecaster.ledger()
            with anyio.CancelScope(shield=True):
                id = await anyio.to_thread.run_sync(ledger.record, run)
        except LedgerError as exc:
            log.error("a run was not recorded: %s", exc)
        return replace(ran, id=id)

    async def _counted(self, model: Model) -> list[tuple[int, int]]:
        """(characters, tokens) of this model's earlier prompts; none when the ledger cannot be read."""
        try:
            ledger = await self.forecaster.ledger()
            return await anyio.to_thread.run_sync(
                ledger.counted, filed(model.name, self.forecaster.provenance)
            )
        except LedgerError:
            return []

    def _query(
        self, prepared: Prepared, model: Model, failure: str | None = None, *, again: bool = False
    ) -> Query:
        order = prepared.order
        return Query(
            model=model.name,
            messages=prepared.messages(failure),
            num_ctx=1,
            num_predict=1,
            timeout_s=DEFAULT_TIMEOUT_S,
            think=order.think and model.can_think,
            schema=order.gates.schema if order.format else None,
            temperature=AGAIN_TEMPERATURE if again else 0.0,
        )

    async def size(self, prepared: Prepared, model: Model, query: Query) -> Size:
        if not self.sizing.knows(model):
            self.sizing.remember(model, await self._counted(model))
        least, likely = (
            self.sizing.prompt(model, chars).tokens if chars else 0 for chars in prepared.output_chars()
        )
        exact = await self.runtime.count(query)
        try:
            return self.sizing.size(
                model, query, exact=exact, asked=prepared.order.max_output, least=least, likely=likely
            )
        except TooLong as exc:
            raise RunRejected(str(exc), most_output=exc.most_output) from exc


def _task(prepared: Prepared, size: Size, left_s: float | None) -> Task:
    """The order as forecasts take it; `left_s` is what is left of its deadline."""
    order = prepared.order
    return Task(
        tokens_in=size.tokens_in,
        least_in=size.tokens_in,  # only the caller knows what can be left out
        tokens_shared=int(size.tokens_in * prepared.shared),
        tokens_spread=size.spread,
        cap=size.num_predict,
        least_out=size.least_out,
        kind=order.kind,
        think=order.think,
        format=prepared.format,
        deadline_s=left_s,
    )


async def _refuse_hopeless(plan: RunPlan | None, forecast: Forecast | None, left_s: float | None) -> None:
    """Raise TooLate when the time that is left will not do, with the numbers and the nearest plan that would."""
    if plan is None or forecast is None or left_s is None or forecast.odds(left_s) >= HOPELESS:
        return
    recommendation = await anyio.to_thread.run_sync(plan.recommend)
    if recommendation.refusal is not None:
        raise TooLate(recommendation.refusal.say, recommendation)
    if recommendation.plan is not None:
        raise TooLate(
            f"{duration(left_s)} are left and it takes {forecast}; this would do: {recommendation.plan}",
            recommendation,
        )
    raise TooLate(f"{duration(left_s)} are left and it takes {forecast}", recommendation)


def _time_given(deadline_s: float | None, forecast: Forecast | None) -> float:
    """How long a run may take: its deadline, else far longer than anything its cap allows."""
    if deadline_s is not None:
        return max(deadline_s, 0.1)
    return max(DEFAULT_TIMEOUT_S, 4 * (forecast.cap_s or forecast.high_s)) if forecast else DEFAULT_TIMEOUT_S


def _wait(progress: Progress, ahead: int, holder: str | None) -> None:
    progress.phase, progress.ahead, progress.holder = "waiting", ahead, holder


def _checked(answer: Answer, query: Query, size: Size) -> Answer:
    """The answer, or an overflow when the server must have cut the prompt in silence.

    It must: when it read fewer tokens than there are words, or far fewer than prompts of this length have here.
    """
    counted = answer.profile.tokens_in
    if answer.error is not None or counted is None or answer.profile.recorded:
        return answer
    floor = sum(fewest_tokens(message["content"]) for message in query.messages)
    usual = size.tokens_in * math.exp(-max(4 * size.spread, 0.35))
    if counted >= max(floor, usual):
        return answer
    error = f"the server cut the prompt: it read {counted:,} tokens of about {max(floor, size.tokens_in):,}; the answer is void"
    return replace(answer, error=error, profile=replace(answer.profile, outcome="overflow"))
