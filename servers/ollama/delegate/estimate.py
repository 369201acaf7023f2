"""What a task would take on each model here, without running anything; and which model `auto` means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio
from pydantic import BaseModel

from ...durations import duration
from ...output import ToolError
from ...workspace import Workspace
from ..engines.protocol import EngineError, Model
from ..forecast.advice import LEAST_ODDS
from ..forecast.model_choice import Chooser, Option, best_form, with_guesses
from ..forecast.plans import largest_output
from ..hosts.hosts import Hosts
from ..ledger.ledger import LedgerError
from ..ledger.number import Number
from ..ledger.receipt import Advised, Forecasted
from ..ledger.runs import Totals, filed
from .next_call import arguments_of, likelier, next_calls
from .parts import named_parts
from .ran import RunRejected, forecasted
from .request import Order, Prepared, prepare
from .runners import Runners


class Expected(BaseModel):
    """One model's row. `why_not`: it would not be taken for this task."""

    model: str
    forecast: Forecasted | None
    reads_s: Number = None
    writes_s: Number = None
    """Of a typical run: its prompt and its answer."""
    max_output: int | None = None
    """The largest that fits the context, and the deadline where there is one."""
    again_s: Number = None
    """Of another question on the same files right afterwards, which the engine need not read again."""
    tokens_in: int | None
    tokens_cached: int | None = None
    """Prompt tokens that the engine has read already."""
    tokens_out_p50: int | None
    tokens_out_p90: int | None
    odds_passing: Number
    judged: int
    in_time: Number
    usd: Number = None
    """What its host costs meanwhile, where it has a price."""
    why_not: str | None


class Estimate(BaseModel):
    verdict: str
    """In one line: fits, does not fit, do it yourself, or not yet measured."""
    kind: str
    best: str | None
    models: list[Expected]
    advice: list[Advised] = []
    note: str | None


_GOOD_ODDS = 0.5
"""From here on no other model is named."""
_SHOWN = 6
"""Judged runs from which low odds are believed."""
_HOPELESS_ODDS = 0.12


@dataclass(slots=True, kw_only=True)
class Estimator:
    """Answers estimate, and picks models for delegate."""

    hosts: Hosts
    workspace: Workspace
    runners: Runners
    chooser: Chooser = field(default_factory=Chooser)

    async def estimate(self, order: Order) -> Estimate:
        """Forecasts for one model, or the ranked table of all. ToolError as delegate."""
        prepared = await anyio.to_thread.run_sync(prepare, self.workspace, order)
        ranked = self.chooser.ranked(await self.options(prepared, order.model))
        others = await self._likelier(prepared, ranked)
        part = await self.in_parts(prepared, ranked[0].model) if ranked else []
        note = "; ".join(filter(None, (self.hosts.note, self.hosts.silent))) or None
        return await anyio.to_thread.run_sync(_estimate, order, ranked, [*others, *part], note)

    async def _likelier(self, prepared: Prepared, ranked: Sequence[Option]) -> list[Advised]:
        """The model that has shown it does better, where one was named that has shown it does not."""
        order = prepared.order
        if order.model == "auto" or not ranked or not ranked[0].judged or ranked[0].odds >= _GOOD_ODDS:
            return []
        options = await self.options(prepared, "auto")
        found = likelier(order, ranked[0], options)
        return [] if found is None else [found]

    async def in_parts(self, prepared: Prepared, model: Model) -> list[Advised]:
        """The same task on the parts of files it names, where that is quicker."""
        files = await anyio.to_thread.run_sync(named_parts, prepared)
        if files is None or prepared.order.write not in (None, "edits"):
            return []
        order = replace(prepared.order, files=files)
        try:
            part = await anyio.to_thread.run_sync(prepare, self.workspace, order)
            option = await self._option(part, model)
        except (ToolError, EngineError):
            return []
        if option.why_not is not None and option.forecast is None:
            return []
        then_s = option.forecast.total_s if option.forecast else None
        took = f", about {duration(then_s)}" if then_s is not None else ""
        say = f"the task names a part: files={json.dumps(list(files))}{took}"
        call = arguments_of(order)
        return [Advised(action="send_part", say=say, call=call, then_s=then_s, odds=option.odds)]

    async def formed(self, prepared: Prepared, model: Model) -> Prepared:
        """The task in the form this model has shown it does best at."""
        if len(prepared.forms) < 2:
            return prepared
        try:
            ledger = await self.hosts.ledger()
            name, kind = filed(model.name, self.hosts.of(model).forecaster.provenance), prepared.order.kind
            seen = await anyio.to_thread.run_sync(
                lambda: {form: ledger.passed(name, kind, form) for form in prepared.forms}
            )
        except LedgerError:
            return prepared
        return replace(prepared, form_taken=best_form(prepared.forms, seen))

    async def hopeless(self, prepared: Prepared, model: Model) -> bool:
        """Whether a model has shown that it does not do such tasks, so that a second turn is wasted."""
        totals = await self._totals(prepared, model)
        option = Option(model=model, plan=None, forecast=None, totals=totals)
        return option.judged >= _SHOWN and option.odds < _HOPELESS_ODDS

    async def _totals(self, prepared: Prepared, model: Model) -> Totals | None:
        """What the ledger holds of this model and kind of task, its gates' verdicts in this form alone."""
        kind, form = prepared.order.kind, prepared.format
        try:
            ledger = await self.hosts.ledger()
            name = filed(model.name, self.hosts.of(model).forecaster.provenance)
            seen = await anyio.to_thread.run_sync(lambda: ledger.summary(model=name, kind=kind))
            if not seen or form is None:
                return seen[0] if seen else None
            passed, failed = await anyio.to_thread.run_sync(ledger.passed, name, kind, form)
            return replace(seen[0], gate_passed=passed, gate_failed=failed)
        except LedgerError:
            return None  # it is logged where forecasts are made; a choice without a record still stands

    async def pick(self, prepared: Prepared, name: str = "auto") -> tuple[Model, str | None]:
        """The model that is meant, on one of the hosts that have it, and why in one line.

        None where there was nothing to choose. ToolError when none can do it.
        """
        found = await self._able(name)
        if name != "auto" and len(found) == 1:
            return found[0], None
        option, why = self.chooser.take(await self._options(prepared, found))
        silent = self.hosts.silent
        return option.model, f"{why}; {silent}" if silent else why

    async def options(self, prepared: Prepared, name: str) -> list[Option]:
        """The models that may be meant, each with its forecast and record."""
        found = await self._named(name)
        return await self._options(
            prepared, [model for model in found if name != "auto" or model.no_text is None]
        )

    async def _named(self, name: str) -> list[Model]:
        try:
            return await self.hosts.named(name)
        except EngineError as exc:
            raise ToolError(str(exc)) from exc

    async def _able(self, name: str) -> list[Model]:
        """As `_named`, those alone that write text. ToolError when the one that is meant does not."""
        found = await self._named(name)
        able = [model for model in found if model.no_text is None]
        if able or name == "auto":
            return able
        try:
            others = [other.label for other in await self.hosts.models() if other.no_text is None]
        except EngineError as exc:
            raise ToolError(str(exc)) from exc
        raise ToolError(
            f"{name} cannot do this: {found[0].no_text}; "
            + (f"there are {', '.join(others)}" if others else "no model here does")
        )

    async def _options(self, prepared: Prepared, found: Sequence[Model]) -> list[Option]:
        return with_guesses([await self._option(prepared, model) for model in found])

    async def _option(self, prepared: Prepared, model: Model) -> Option:
        order = prepared.order
        plan, unfit = None, model.no_text
        prepared = await self.formed(prepared, model)
        totals = await self._totals(prepared, model)
        try:
            plan = (
                await self.runners.of(model).plan(prepared, model, odds=_odds(totals))
                if unfit is None
                else None
            )
        except (RunRejected, EngineError) as exc:
            unfit = str(exc)
        forecast = await anyio.to_thread.run_sync(plan.forecast) if plan else None
        return Option(
            model=model,
            plan=plan,
            forecast=forecast,
            totals=totals,
            deadline_s=order.deadline_s,
            unfit=unfit,
            usd_per_hour=self.hosts.of(model).usd_per_hour,
        )


def _estimate(order: Order, ranked: Sequence[Option], found: Sequence[Advised], note: str | None) -> Estimate:
    able = [option for option in ranked if option.why_not is None]
    models = [expected(option) for option in ranked]
    advice = [*found, *_advice(order, ranked)]
    best = models[ranked.index(able[0])] if able else None
    return Estimate(
        verdict=_verdict(ranked, best, advice),
        kind=order.kind,
        best=best.model if best else None,
        models=models,
        advice=advice,
        note=note,
    )


def _verdict(ranked: Sequence[Option], best: Expected | None, advice: Sequence[Advised]) -> str:
    """What the caller should do, in one line."""
    if best is None:
        told = next((a.say for a in advice if a.action == "meet_deadline"), None)
        reasons = told or "; ".join(f"{o.model.label}: {o.why_not}" for o in ranked[:3])
        return f"does not fit: {reasons or 'there is no model here that writes text'}"
    if best.forecast is None:
        return f"not yet measured: run it, or `understudy calibrate {best.model}`"
    yourself = next((a for a in advice if a.action == "do_it_yourself"), None)
    if yourself is not None:
        return yourself.say
    f = best.forecast
    if best.judged >= _SHOWN and (best.odds_passing or 0) < LEAST_ODDS:
        record = f"{best.model} passes {best.odds_passing:.0%} of such tasks ({best.judged} judged)"
        other = next((a.say for a in advice if a.action == "other_model"), None)
        return f"do it yourself: {record}" if other is None else f"{record}; {other}"
    parts = [
        f"fits: {best.model}, about {duration(f.total_s or 0)} ({duration(f.low_s or 0)} to {duration(f.high_s or 0)})"
        + ("" if f.runs else ", though it never ran here"),
        f"reads {duration(best.reads_s or 0)}"
        + (f" ({best.tokens_cached:,} tokens are in its cache)" if best.tokens_cached else "")
        + f", writes {duration(best.writes_s or 0)}",
        f"the next question on these files {duration(best.again_s)}" if best.again_s is not None else "",
        f"odds {best.odds_passing:.0%}" + ("" if best.judged else " (none judged yet)"),
        f"max_output at most {best.max_output:,}" if best.max_output is not None else "",
    ]
    return "; ".join(part for part in parts if part)


def _odds(totals: Totals | None) -> float | None:
    """The share of gates passed; None when none judged this kind of task."""
    judged = totals.gate_passed + totals.gate_failed if totals else 0
    return totals.gate_passed / judged if totals and judged else None


def _advice(order: Order, ranked: Sequence[Option]) -> list[Advised]:
    """For the first model, knowing the others; with a deadline nobody meets, the nearest plan."""
    plans = [option.plan for option in ranked if option.plan]
    if not plans:
        return []
    found = plans[0].recommend([other.worker for other in plans[1:]])
    said = next_calls(order, found)
    if found.refusal is not None:
        needs_s = found.refusal.needs_s
        call = arguments_of(order, deadline_s=needs_s) if needs_s else {}
        said.insert(0, Advised(action="meet_deadline", say=found.refusal.say, call=call))
    return said


def _again_s(option: Option) -> float | None:
    """Where the cache makes a difference worth telling."""
    now, then = option.forecast, option.plan.again() if option.plan else None
    return then.total_s if now and then and then.total_s < 0.8 * now.total_s else None


def expected(option: Option) -> Expected:
    """One option as a row."""
    forecast = option.forecast
    return Expected(
        model=option.model.label,
        usd=option.usd,
        forecast=forecasted(forecast) if forecast else None,
        reads_s=forecast.prefill_s if forecast else None,
        writes_s=forecast.decode_s if forecast else None,
        max_output=largest_output(option.plan.task, option.plan.worker) if option.plan else None,
        again_s=_again_s(option),
        tokens_in=forecast.tokens_in if forecast else None,
        tokens_cached=(forecast.tokens_cached or None) if forecast else None,
        tokens_out_p50=forecast.tokens_out_p50 if forecast else None,
        tokens_out_p90=forecast.tokens_out_p90 if forecast else None,
        odds_passing=option.odds,
        judged=option.judged,
        in_time=option.in_time,
        why_not=option.why_not,
    )
