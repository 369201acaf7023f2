"""What a task would take on each model here, without running anything; and which model `auto` means."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
from pydantic import BaseModel

from ..outcome import ToolError
from ..workspace import Workspace
from .choosing import Chooser, Option
from .foresight import Foresight
from .ledger import LedgerError
from .orders import Order, Prepared, prepare
from .records import Advised, Forecasted, Number
from .running import Runner, Unfit, forecasted
from .runtime import EngineError, Model, Runtime


class Expected(BaseModel):
    """One model's row. `why_not`: it would not be taken for this task."""

    model: str
    forecast: Forecasted | None
    tokens_in: int | None
    tokens_out_p50: int | None
    tokens_out_p90: int | None
    odds_passing: Number
    judged: int
    in_time: Number
    why_not: str | None


class Estimate(BaseModel):
    kind: str
    best: str | None
    models: list[Expected]
    advice: list[Advised] = []
    note: str | None


@dataclass(slots=True, kw_only=True)
class Estimator:
    """Answers estimate, and picks models for delegate."""

    runtime: Runtime
    workspace: Workspace
    runner: Runner
    foresight: Foresight
    chooser: Chooser = field(default_factory=Chooser)

    async def estimate(self, order: Order) -> Estimate:
        """Forecasts for one model, or the ranked table of all. ToolError as delegate."""
        prepared = await anyio.to_thread.run_sync(prepare, self.workspace, order)
        ranked = self.chooser.ranked(await self.options(prepared, order.model))
        able = [option for option in ranked if option.why_not is None]
        return Estimate(
            kind=order.kind,
            best=able[0].model.name if able else None,
            models=[_expected(option) for option in ranked],
            note=self.runtime.note,
        )

    async def pick(self, prepared: Prepared) -> tuple[Model, str]:
        """The model `auto` means for a task, and why in one line. ToolError when none can do it."""
        option, why = self.chooser.take(await self.options(prepared, "auto"))
        return option.model, why

    async def options(self, prepared: Prepared, name: str) -> list[Option]:
        """The models that may be meant, each with its forecast and record."""
        try:
            if name != "auto":
                found = [await self.runtime.model(name)]
            else:
                found = [
                    m if m.remote else await self.runtime.model(m.name) for m in await self.runtime.models()
                ]
        except EngineError as exc:
            raise ToolError(str(exc)) from exc
        return [await self._option(prepared, model) for model in found if _writes(model)]

    async def _option(self, prepared: Prepared, model: Model) -> Option:
        order = prepared.order
        totals, forecast, unfit = None, None, None
        try:
            ledger = await self.foresight.ledger()
            seen = await anyio.to_thread.run_sync(lambda: ledger.summary(model=model.name, kind=order.kind))
            totals = seen[0] if seen else None
        except LedgerError:
            pass  # it is logged where forecasts are made; a choice without a record still stands
        try:
            forecast = await self.runner.forecast(prepared, model)
        except Unfit as exc:
            unfit = str(exc)
        return Option(model=model, forecast=forecast, totals=totals, deadline_s=order.deadline_s, unfit=unfit)


def _writes(model: Model) -> bool:
    """Whether it answers in text; embedding models do not."""
    return model.capabilities is None or "completion" in model.capabilities


def _expected(option: Option) -> Expected:
    forecast = option.forecast
    return Expected(
        model=option.model.name,
        forecast=forecasted(forecast) if forecast else None,
        tokens_in=forecast.tokens_in if forecast else None,
        tokens_out_p50=forecast.tokens_out_p50 if forecast else None,
        tokens_out_p90=forecast.tokens_out_p90 if forecast else None,
        odds_passing=option.odds,
        judged=option.judged,
        in_time=option.in_time,
        why_not=option.why_not,
    )
