"""One run of one model for a prepared order: sized, queued, forecast, run, checked against silent cuts, recorded."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import anyio

from .jobs import Progress
from .ledger import Ledger, LedgerError
from .orders import Prepared
from .profile import Profile
from .records import Advised, Forecasted, Gated
from .runs import Key, Run, processor_of, settings_of
from .runtime import Answer, Model, Query, Runtime
from .sizing import Size, Sizing, TooLong, fewest_tokens
from .slots import Slots

DEFAULT_TIMEOUT_S = 900.0

log = logging.getLogger(__name__)


class Unfit(Exception):
    """The run would not make sense and was not started. The sentence holds the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run and everything known about it."""

    model: Model
    prepared: Prepared
    size: Size
    answer: Answer
    key: Key
    chars: int
    waited_s: float
    overlapped: bool
    id: int | None = None

    def forecasted(self) -> Forecasted | None:
        return None

    def advised(self) -> list[Advised]:
        return []


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs queries on one runtime, one at a time per model, and keeps the ledger."""

    runtime: Runtime
    slots: Slots = field(default_factory=Slots)
    sizing: Sizing = field(default_factory=Sizing)
    _ledger: Ledger | None = None

    async def ledger(self) -> Ledger:
        """The ledger, opened on first use. Raises LedgerError."""
        if self._ledger is None:
            self._ledger = await anyio.to_thread.run_sync(Ledger.open)
        return self._ledger

    async def run(self, prepared: Prepared, model: Model, failure: str | None, progress: Progress) -> Ran:
        """Run the order on a model. Raises Unfit before the engine is asked for anything that cannot work."""
        query = self._query(prepared, model, failure)
        ran = await self._once(prepared, model, query, progress)
        if ran.answer.profile.outcome == "overflow" and not ran.answer.text:
            await self.record(ran, None)
            ran = await self._once(prepared, model, query, progress)  # the exact count is known now
        return ran

    async def _once(self, prepared: Prepared, model: Model, query: Query, progress: Progress) -> Ran:
        size = await self._sized(prepared, model, query)
        query = replace(query, num_ctx=size.num_ctx, num_predict=size.num_predict)
        progress.model = model.name
        async with self.slots.taken(model.name, lambda ahead: _wait(progress, ahead)) as turn:
            progress.run(model.name, query.num_predict, None)
            answer = await self.runtime.chat(query, lambda _, thinking: progress.piece(thinking))
        self.sizing.learn(model, query.chars, answer.profile.tokens_in)
        return Ran(
            model=model,
            prepared=prepared,
            size=size,
            answer=_checked(answer, query),
            key=await self._key(model, query, answer.profile),
            chars=query.chars,
            waited_s=turn.waited_s,
            overlapped=turn.overlapped,
        )

    async def record(self, ran: Ran, gated: Gated | None) -> Ran:
        """Write the run into the ledger; a ledger that cannot be written is logged, the work stands."""
        order = ran.prepared.order
        run = Run(
            key=ran.key,
            profile=ran.answer.profile,
            kind=order.kind,
            think=order.think,
            format=order.format,
            cap=ran.size.num_predict,
            chars_in=ran.chars,
            overlapped=ran.overlapped,
            asked_by=order.asked_by,
            gate=",".join(check.gate for check in gated.checks) or None if gated else None,
            gate_passed=gated.passed if gated else None,
            raw=ran.answer.raw,
        )
        id: int | None = None
        try:
            ledger = await self.ledger()
            with anyio.CancelScope(shield=True):
                id = await anyio.to_thread.run_sync(ledger.record, run)
        except LedgerError as exc:
            log.error("a run was not recorded: %s", exc)
        return replace(ran, id=id)

    def _query(self, prepared: Prepared, model: Model, failure: str | None) -> Query:
        order = prepared.order
        can_think = model.capabilities is None or "thinking" in model.capabilities
        return Query(
            model=model.name,
            messages=prepared.messages(failure),
            num_ctx=1,
            num_predict=1,
            timeout_s=order.deadline_s or DEFAULT_TIMEOUT_S,
            think=order.think and can_think,
            schema=order.gates.schema if order.format else None,
        )

    async def _sized(self, prepared: Prepared, model: Model, query: Query) -> Size:
        chars = prepared.output_chars()
        least = None if chars is None else self.sizing.prompt(model, chars).tokens
        exact = await self.runtime.count(query)
        try:
            return self.sizing.size(model, query, exact=exact, asked=prepared.order.max_output, least=least)
        except TooLong as exc:
            raise Unfit(str(exc)) from exc

    async def _key(self, model: Model, query: Query, profile: Profile) -> Key:
        return Key(
            host=self.runtime.host,
            processor=processor_of(profile.gpu_share),
            digest=model.digest or model.name,
            settings=settings_of({"num_ctx": query.num_ctx, "shift": False}),
            server=await self.runtime.engine(),
        )


def _wait(progress: Progress, ahead: int) -> None:
    progress.phase, progress.ahead = "waiting", ahead


def _checked(answer: Answer, query: Query) -> Answer:
    """The answer, or an overflow when the server must have cut the prompt: it read fewer tokens than there are words."""
    counted = answer.profile.tokens_in
    if answer.error is not None or counted is None or answer.profile.recorded:
        return answer
    floor = sum(fewest_tokens(message["content"]) for message in query.messages)
    if counted >= floor:
        return answer
    error = f"the server cut the prompt: it read {counted:,} tokens of at least {floor:,}; the answer is void"
    return replace(answer, error=error, profile=replace(answer.profile, outcome="overflow"))
