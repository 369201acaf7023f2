"""The models that may do an order, each with its forecast and its record; and which of them `auto` means."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio

from ...durations import duration
from ...output import ToolError
from ...workspace import Workspace
from ..engines.protocol import EngineError, Model
from ..forecast.model_choice import Chooser, Option, best_form, with_guesses
from ..hosts.hosts import Hosts
from ..ledger.ledger import LedgerError
from ..ledger.receipt import Advised
from ..ledger.runs import Totals, filed
from .next_call import arguments_of
from .parts import named_parts
from .ran import RunRejected
from .request import Order, Prepared, prepare
from .runners import Runners

SHOWN = 6
"""Judged runs from which low odds are believed."""
_HOPELESS_ODDS = 0.12


@dataclass(slots=True, kw_only=True)
class Estimator:
    """Forecasts orders and picks models for them."""

    hosts: Hosts
    workspace: Workspace
    runners: Runners
    chooser: Chooser = field(default_factory=Chooser)

    async def on_parts(self, prepared: Prepared) -> Prepared | None:
        """The same task on the parts of files it names; None where it names none."""
        files = await anyio.to_thread.run_sync(named_parts, prepared)
        if files is None or prepared.order.write not in (None, "edits"):
            return None
        try:
            order = replace(prepared.order, files=files)
            return await anyio.to_thread.run_sync(prepare, self.workspace, order)
        except ToolError:
            return None

    async def in_parts(self, prepared: Prepared) -> list[Advised]:
        """The call that sends those parts alone."""
        if (part := await self.on_parts(prepared)) is None:
            return []
        files = json.dumps(list(part.order.files), ensure_ascii=False)
        found = await self.advised(part.order, "send_part", f"the task names a part: files={files}")
        return [] if found is None else [found]

    async def advised(self, order: Order, action: str, say: str) -> Advised | None:
        """The call that makes this order, with what it takes and its odds; None where nothing here can do it."""
        try:
            prepared = await anyio.to_thread.run_sync(prepare, self.workspace, order)
            option, *_ = self.chooser.ranked(await self.options(prepared, order.model))
        except (ToolError, ValueError):
            return None
        if option.why_not is not None:
            return None
        then_s = option.forecast.total_s if option.forecast else None
        took = f", about {duration(then_s)}" if then_s is not None else ""
        call = arguments_of(order)
        return Advised(action=action, say=f"{say}{took}", call=call, then_s=then_s, odds=option.odds)

    async def lower_cap(self, order: Order, most: int) -> list[Advised]:
        """The same with the largest answer that the context holds behind its prompt."""
        found = await self.advised(replace(order, max_output=most), "lower_cap", f"max_output={most}")
        return [] if found is None else [found]

    async def formed(self, prepared: Prepared, model: Model) -> Prepared:
        """The task in the form in which this model's answers can best be used."""
        if len(prepared.forms) < 2:
            return prepared
        try:
            ledger = await self.hosts.ledger()
            name, kind = filed(model.name, self.hosts.of(model).forecaster.provenance), prepared.order.kind
            seen = await anyio.to_thread.run_sync(
                lambda: {form: ledger.formed(name, kind, form) for form in prepared.forms}
            )
        except LedgerError:
            return prepared
        return replace(prepared, form_taken=best_form(prepared.forms, seen))

    def measured_by(self, model: Model) -> str:
        """How its speed becomes known, as a caller or a person would do it."""
        url = self.hosts.of(model).runtime.url
        ollama = self.hosts.of(model).runtime.name.startswith("Ollama")
        return f"run it, or `understudy calibrate {model.name} --host {url}`" if ollama else "run it"

    async def hopeless(self, prepared: Prepared, model: Model) -> bool:
        """Whether a model has shown that it does not do such tasks, so that a second turn is wasted."""
        option = await self.record(prepared, model)
        return option.judged >= SHOWN and option.odds < _HOPELESS_ODDS

    async def record(self, prepared: Prepared, model: Model) -> Option:
        """What a model has shown at such tasks, without a forecast."""
        totals = await self._totals(prepared, model)
        return Option(model=model, plan=None, forecast=None, totals=totals)

    async def _totals(self, prepared: Prepared, model: Model) -> Totals | None:
        """What the ledger holds of this model and kind of task, its gates' verdicts in this form alone."""
        kind, form = prepared.order.kind, prepared.format
        try:
            ledger = await self.hosts.ledger()
            name = filed(model.name, self.hosts.of(model).forecaster.provenance)
            seen = await anyio.to_thread.run_sync(lambda: ledger.summary(model=name, kind=kind))
            if not seen:
                return None
            passed, failed, open_ = await anyio.to_thread.run_sync(ledger.passed, name, kind, form)
            if form is None:
                return replace(seen[0], unchecked=open_)
            return replace(seen[0], gate_passed=passed, gate_failed=failed, unchecked=open_)
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
        if not able and name == "auto" and found:
            why = "; ".join(f"{model.label}: {model.no_text}" for model in found[:3])
            raise ToolError(f"no model here writes text ({why}); list_models names one to get")
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
        plan, unfit, most_output = None, model.no_text, None
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
            most_output = exc.most_output if isinstance(exc, RunRejected) else None
        forecast = await anyio.to_thread.run_sync(plan.forecast) if plan else None
        return Option(
            model=model,
            plan=plan,
            forecast=forecast,
            totals=totals,
            deadline_s=order.deadline_s,
            unfit=unfit,
            most_output=most_output,
            usd_per_hour=self.hosts.of(model).usd_per_hour,
        )


def _odds(totals: Totals | None) -> float | None:
    """The share of gates passed; None when none judged this kind of task."""
    judged = totals.gate_passed + totals.gate_failed if totals else 0
    return totals.gate_passed / judged if totals and judged else None
