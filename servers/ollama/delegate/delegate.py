"""Delegating one task: a model writes a candidate, the gate judges it, the disk sees it only when it passed.

Each rung of the ladder is tried in turn and told why the last one failed. Whatever happens, the tree is either as
it was or holds the accepted files; every run reaches the ledger with its verdict.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from ...output import ToolError, masked
from ...workspace import Operation, Workspace, rev_of
from ..engines.protocol import EngineError, Model
from ..forecast.advice import Recommendation
from ..forecast.token_estimates import CHARS_PER_TOKEN
from ..gates.answer import BadAnswer, Candidate
from ..gates.gates import verdict
from ..gates.json_schema import in_order
from ..gates.judged import RunGate
from ..gates.no_answer import runs_in_circles
from ..gates.staging import Staging
from ..gates.tests_beside import tests_of
from ..hosts.hosts import Hosts
from ..ledger.receipt import (
    NOISE_S,
    Advised,
    Ended,
    FileChanged,
    Forecasted,
    Gated,
    Receipt,
    Tried,
    told,
)
from ..ledger.runs import DELIVERED
from .contention import busy_cores
from .in_time import calls_in_time
from .jobs import Progress
from .next_call import CIRCLES, arguments_of, as_written_out, instead_of, likelier, more_room, next_calls
from .options import Estimator
from .ran import Ran, RunRejected, forecasted
from .request import Order, Prepared, prepare
from .runners import Runners
from .shown import began, first_line, short_diff, shown

log = logging.getLogger(__name__)

RAISE_CAP = "raise max_output"

BeforeWrite = Callable[[Receipt, Mapping[str, str]], None]
"""Hears of a change about to be made: its receipt, and the revision each file will have."""


@dataclass(slots=True, kw_only=True)
class Delegator:
    """Carries out orders on one workspace and the hosts there are."""

    hosts: Hosts
    workspace: Workspace
    runners: Runners
    staging: Staging
    estimator: Estimator

    async def delegate(
        self, order: Order, progress: Progress, before_write: BeforeWrite | None = None
    ) -> Receipt:
        """The receipt of an order. ToolError when it cannot work at all: a missing file, an unknown model.

        `before_write` gets the receipt of an accepted change and its files' revisions right before it is made, in a thread.
        """
        prepared = await anyio.to_thread.run_sync(prepare, self.workspace, order)
        climb = _Climb(prepared=prepared, before_write=before_write)
        rungs = deque(await self._rungs(climb))
        while rungs:
            name, model = rungs.popleft()
            climb.is_last = not rungs
            receipt = await self._try(climb, model, progress)
            if receipt is not None:
                receipt.chosen = climb.chosen
                return await self._settled(climb, receipt)
            if (other := await self._elsewhere(climb, name, model)) is not None:
                rungs.appendleft((name, other))
        receipt = climb.escalate(self.hosts.note)
        receipt.advice = await self._next(climb, receipt)
        return await self._settled(climb, receipt)

    def holds(self, revs: Mapping[str, str]) -> bool:
        """Whether the files are there and have these revisions."""
        try:
            return all(rev_of(self.workspace.read(path)) == rev for path, rev in revs.items())
        except ToolError:
            return False

    async def _next(self, climb: _Climb, receipt: Receipt) -> list[Advised]:
        """What to send instead of an order that came to nothing."""
        late = receipt.outcome == "refused" or (climb.last is not None and climb.left_s == 0)
        if climb.most_output is not None:
            return await self.estimator.lower_cap(climb.prepared.order, climb.most_output)
        if climb.prepared.order.deadline_s is not None and late:
            found = await calls_in_time(self.estimator, climb.prepared)
            if found or climb.last is None:
                return found
        if climb.last is not None:
            return [await self._after_failure(climb, climb.last)]
        return await self.estimator.in_parts(climb.prepared) if receipt.outcome == "refused" else []

    async def _after_failure(self, climb: _Climb, ran: Ran) -> Advised:
        """What would succeed where this model failed."""
        prepared, failed = climb.prepared, ran.model.label
        try:
            options = await self.estimator.options(prepared, "auto")
        except ToolError:
            options = []
        mine = next((option for option in options if option.model.label == failed), None)
        again = replace(prepared.order, model=failed)
        if ran.answer.profile.outcome in ("aborted", "error"):
            other = likelier(prepared.order, mine, options) if ran.answer.profile.outcome == "error" else None
            return other or await self._again(prepared.order)
        if RAISE_CAP in (climb.why or "") and mine is not None:
            more = await anyio.to_thread.run_sync(more_room, mine, ran.size.num_predict)
            order, action, say = replace(again, max_output=more), "raise_cap", f"max_output={more}"
            if more is not None and (found := await self.estimator.advised(order, action, say)):
                return found
        if (whole := as_written_out(ran.prepared, climb.why or "")) is not None:
            order, say = (
                replace(whole, model=failed),
                f"write={whole.write}: the whole file instead of blocks",
            )
            if found := await self.estimator.advised(order, "whole_file", say):
                return found
        tried = {one.model for one in climb.tried} - {failed}
        return instead_of(prepared.order, ran.model.name, [o for o in options if o.model.label not in tried])

    async def _again(self, order: Order) -> Advised:
        """The same once more, as it was the engine that failed."""
        again = "the engine failed, not the answer: send it again"
        found = await self.estimator.advised(order, "send_again", again)
        return found or Advised(action="send_again", say=f"{again} when it answers", call=arguments_of(order))

    async def _settled(self, climb: _Climb, receipt: Receipt) -> Receipt:
        """The receipt with what it saves its caller; that and the advice in it go to the ledger."""
        ran = climb.ran
        if ran is None:
            return receipt
        order, content = climb.prepared.order, 0
        receipt.busy_cores = busy_cores(ran)
        receipt.advice += await anyio.to_thread.run_sync(self.runners.of(ran.model).contention.advice, ran)
        if receipt.outcome in DELIVERED:
            content = sum(len(text.text) for text in climb.prepared.inputs.values())
            content += len(ran.answer.text)
        without, spent = int(content / CHARS_PER_TOKEN), spent_tokens(order, receipt)
        await self.runners.of(ran.model).complete(ran, tokens_without=without, tokens_spent=spent)
        receipt.tokens_saved = without - spent if content else 0
        return receipt

    async def _rungs(self, climb: _Climb) -> list[tuple[str, Model]]:
        """The models to try in turn, each known to be here, with the name it was asked for by."""
        order = climb.prepared.order
        rungs: list[tuple[str, Model]] = []
        for name in (order.model, *order.ladder):
            model, why = await self.estimator.pick(climb.prepared, name)
            climb.chosen = why or climb.chosen
            rungs.append((name, model))
        return rungs

    async def _elsewhere(self, climb: _Climb, name: str, model: Model) -> Model | None:
        """What to try instead where a rung failed as its host has died; None when that is not why, or nothing is left."""
        if not climb.engine_failed or climb.moves >= len(self.hosts.all):
            return None
        if (why := await self.hosts.has_died(model)) is None:
            return None
        climb.moves += 1
        try:
            other, chosen = await self.estimator.pick(climb.prepared, name)
        except ToolError:
            return None
        if other.host == model.host:
            return None
        climb.chosen = chosen or f"{other.label}: {model.host} does not answer ({why})"
        return other

    async def _try(self, climb: _Climb, model: Model, progress: Progress) -> Receipt | None:
        """One rung: a receipt when it ends the delegation, None when the next rung is due."""
        progress.again = progress.is_last = False
        prepared = await self.estimator.formed(climb.prepared, model)
        try:
            ran = await self.runners.of(model).run(
                prepared, model, progress, failure=climb.failure, left_s=climb.left_s
            )
        except (RunRejected, EngineError) as exc:
            outcome = "refused" if isinstance(exc, RunRejected) else "error"
            climb.engine_failed = isinstance(exc, EngineError)
            climb.failed(
                Tried(model=model.label, outcome=outcome, why=str(exc), run=None, total_s=None), None
            )
            rejected = exc if isinstance(exc, RunRejected) else None
            climb.recommendation = rejected.recommendation if rejected else None
            climb.most_output = rejected.most_output if rejected else None
            return None
        climb.engine_failed = ran.answer.error is not None
        gated, candidate, why = await self._judged(prepared, ran, progress)
        ran = await self.runners.of(ran.model).record(ran, gated)
        if why is not None and (again := await self._corrected(climb, ran, why, progress)) is not None:
            climb.failed(self.tried(ran, why), ran, gated)
            ran, gated, candidate, why = again
        ran = await self.runners.of(ran.model).advise(ran)
        if candidate is None or why is not None:
            climb.failed(self.tried(ran, why), ran, gated)
            climb.rejected = began(climb.prepared, candidate, ran)
            return None
        climb.ran = ran
        return await self._accept(climb, ran, candidate, gated, progress.delegation)

    async def _corrected(
        self, climb: _Climb, ran: Ran, why: str, progress: Progress
    ) -> tuple[Ran, Gated | None, Candidate | None, str | None] | None:
        """One more answer of the same model, made afresh, knowing the one fault of the first.

        None where the engine failed, no time is left, or nothing came of it; nor where the caller's own cap cut the first,
        or it went round in circles: that takes as long once more.
        """
        cut = ran.answer.profile.outcome == "length" and (
            climb.prepared.order.max_output is not None or CIRCLES in why
        )
        if ran.answer.error is not None or cut:
            return None
        if await self.estimator.hopeless(ran.prepared, ran.model):
            return None
        progress.again, progress.is_last = True, climb.is_last
        try:
            again = await self.runners.of(ran.model).run(
                ran.prepared,
                ran.model,
                progress,
                failure=why,
                again=True,
                left_s=climb.left_s,
            )
        except (RunRejected, EngineError):
            return None
        if again.answer.error is not None and again.answer.profile.tokens_out is None:
            return None
        progress.phase = "checking"
        gated, candidate, still = await self.judge(climb.prepared, again, why)
        return await self.runners.of(ran.model).record(again, gated), gated, candidate, still

    async def _judged(
        self, prepared: Prepared, ran: Ran, progress: Progress
    ) -> tuple[Gated | None, Candidate | None, str | None]:
        progress.phase = "checking"
        return await self.judge(prepared, ran)

    @property
    def _runs(self) -> dict[str, RunGate]:
        staging = self.staging
        return {"command": staging.command, "tests": staging.tests, "own tests": staging.own_tests}

    def _tests_of(self, prepared: Prepared, candidate: Candidate) -> str | None:
        """The test file that lies with what changes, where the caller did not choose another check of the code."""
        asked = prepared.order.gates.asked.keys() & {"command", "tests", "syntax"}
        return None if asked else tests_of(self.workspace, candidate.files)

    async def judge(
        self, prepared: Prepared, ran: Ran, failure: str | None = None
    ) -> tuple[Gated | None, Candidate | None, str | None]:
        """(verdict, candidate, why not); `failure` is what the model was told of its last answer."""
        if ran.answer.error is not None:
            return None, None, ran.answer.error
        if ran.answer.profile.outcome == "length":
            cut = f"the answer was cut at its cap of {ran.size.num_predict:,} tokens; "
            circles = runs_in_circles(ran.answer.text, prepared.material)
            return None, None, cut + (CIRCLES if circles else RAISE_CAP)
        try:
            candidate = prepared.candidate(ran.answer.text)
            tests = await anyio.to_thread.run_sync(self._tests_of, prepared, candidate)
            judged = prepared.judged(candidate, self._runs, failure, tests)
        except (BadAnswer, ToolError) as exc:
            return Gated(passed=False), None, str(exc)
        gated = await verdict(prepared.order.gates, judged)
        failed = next((check for check in gated.checks if check.passed is False), None)
        return gated, candidate, f"{failed.gate}: {failed.note}" if failed else None

    async def _accept(
        self, climb: _Climb, ran: Ran, candidate: Candidate, gated: Gated | None, delegation: str
    ) -> Receipt:
        prepared = climb.prepared
        odds = (await self.estimator.record(ran.prepared, ran.model)).odds
        open_ = (gated or Gated(passed=None)).unchecked
        receipt = Receipt(
            outcome="accepted" if open_ is None else "written" if candidate.files else "answered",
            reason=None if open_ is None else f"unchecked: {open_}",
            run=ran.id,
            model=ran.model.name,
            host=ran.model.host or None,
            gate=gated if gated and gated.checks else None,
            profile=ran.answer.profile,
            waited_s=waited(ran),
            forecast=ran.forecasted(),
            advice=next_calls(
                prepared.order, ran.recommendation, odds=odds, wrote=ran.answer.profile.tokens_out
            ),
            tried=climb.tried,
            note=self.hosts.note,
        )
        if not candidate.files:
            schema = prepared.order.gates.schema
            receipt.data = in_order(candidate.data, schema) if schema else candidate.data
            if candidate.data is None:  # a fence is for models; who reads a batch's receipts is a program
                in_batch = climb.before_write is not None
                answer = candidate.answer
                receipt.answer = masked(answer) if in_batch else shown(answer, ran.model.name)
        else:
            receipt.files = [
                FileChanged(path=path, added=(n := prepared.counted(path, text))[0], removed=n[1])
                for path, text in candidate.files.items()
            ]
            receipt.diff = short_diff(prepared, candidate)

            def write() -> Operation:
                contents = prepared.contents(candidate)
                if climb.before_write is not None:
                    climb.before_write(receipt, {path: rev_of(data) for path, data in contents.items()})
                return self.workspace.apply(
                    prepared.changes(contents), tool=written_by(ran.model.name, delegation)
                )

            try:
                receipt.op = (await anyio.to_thread.run_sync(write)).id
            except ToolError as exc:
                nothing = {"outcome": "failed", "reason": str(exc), "files": [], "diff": None}
                return receipt.model_copy(update=nothing)
        return receipt

    @staticmethod
    def tried(ran: Ran, why: str | None) -> Tried:
        """A rung as receipts show it."""
        profile = ran.answer.profile
        return Tried(
            model=ran.model.label,
            outcome="rejected" if ran.answer.error is None and profile.outcome == "done" else profile.outcome,
            why=why,
            run=ran.id,
            total_s=profile.total_s if profile.total_s is not None else profile.wall_s,
            tokens_in=profile.tokens_in,
            tokens_cached=profile.tokens_cached,
            tokens_out=profile.tokens_out,
        )


@dataclass(slots=True, kw_only=True)
class _Climb:
    """What the rungs so far came to."""

    prepared: Prepared
    before_write: BeforeWrite | None = None
    tried: list[Tried] = field(default_factory=list[Tried])
    last: Ran | None = None
    ran: Ran | None = None
    """The last that ran at all."""
    gated: Gated | None = None
    why: str | None = None
    chosen: str | None = None
    is_last: bool = False
    """No rung follows the one that is tried."""
    engine_failed: bool = False
    """The last rung failed through its engine, not through its answer."""
    moves: int = 0
    """How often another host was taken as one had died."""
    rejected: str | None = None
    recommendation: Recommendation | None = None
    """Of a refused rung."""
    most_output: int | None = None
    """The same."""
    began: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float | None:
        """What is left of the deadline, at least 0; None without one."""
        given = self.prepared.order.deadline_s
        return None if given is None else max(given - (time.monotonic() - self.began), 0.0)

    @property
    def failure(self) -> str | None:
        """What the next rung is told: only faults of an answer, not of an engine."""
        if self.last is None or self.last.answer.error is not None or not self.tried:
            return None
        return self.why

    def failed(self, tried: Tried, ran: Ran | None, gated: Gated | None = None) -> None:
        self.why = tried.why
        self.tried.append(tried.model_copy(update={"why": first_line(tried.why)}))
        self.last, self.gated, self.ran = ran, gated, ran or self.ran

    def escalate(self, note: str | None) -> Receipt:
        """The receipt when no rung is left. Nothing was written."""
        ran = self.last
        refused = all(tried.outcome == "refused" for tried in self.tried)
        outcome: Ended = "refused" if refused else "escalate"
        last = self.tried[-1]
        return Receipt(
            outcome=outcome,
            reason=last.why,
            run=last.run,
            model=ran.model.name if ran else last.model,
            host=ran.model.host or None if ran else None,
            chosen=self.chosen,
            gate=self.gated,
            profile=ran.answer.profile if ran else None,
            waited_s=waited(ran) if ran else None,
            forecast=ran.forecasted() if ran else _forecasted(self.recommendation),
            rejected=self.rejected,
            tried=self.tried,
            note=note,
        )


def _forecasted(recommendation: Recommendation | None) -> Forecasted | None:
    return forecasted(recommendation.forecast) if recommendation and recommendation.forecast else None


def written_by(model: str, delegation: str) -> str:
    """What the undo store calls the maker of a change: by it a change is found again whose receipt was lost."""
    return f"delegate {model} {delegation}".rstrip()


def spent_tokens(order: Order, receipt: Receipt) -> int:
    """What handing an order over and reading its receipt cost the caller, about."""
    call = {"task": order.task, "files": list(order.files), "context": order.context, "write": order.write}
    return int((len(json.dumps(call)) + len(told(receipt))) / CHARS_PER_TOKEN)


def waited(ran: Ran) -> float | None:
    """Seconds spent waiting for other work, where they are worth telling."""
    return ran.waited_s if ran.waited_s >= NOISE_S else None
