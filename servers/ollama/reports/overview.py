"""What is known of the models here: the list, their speeds and odds, the last runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import anyio
from pydantic import BaseModel

from ...output import ToolError
from ..engines.protocol import EngineError, Model
from ..forecast.context_size import largest_ctx
from ..forecast.recommended import recommended
from ..forecast.speed_models import SpeedModels
from ..hosts.host import Host
from ..hosts.hosts import Hosts
from ..ledger.ledger import MAX_RUNS, Ledger, LedgerError
from ..ledger.number import Number
from ..ledger.profile import Profile
from ..ledger.runs import CALIBRATION, Accuracy, Provenance, Run, Totals, filed, plain
from .advice_outcomes import AdviceOutcome, outcomes_of

LEAST_CTX = 1024
"""Tokens of context below which a model can hold no task worth handing over."""
MAX_SPEEDS = 3
"""Shown by profile for each host; each costs up to 50 ms the first time."""


ADVISED_RUNS = 200
"""Looked through for advice that was followed."""
PROBE_S = 2.0
"""How long a silent engine may hold up a look at the ledger."""


class Odds(BaseModel):
    """How runs of one kind of task did: `passed` of those a gate judged, `good` of those a caller rated."""

    kind: str
    runs: int
    judged: int
    passed: Number
    rated: int
    good: Number

    @classmethod
    def of(cls, totals: Totals) -> Odds:
        judged = totals.gate_passed + totals.gate_failed
        rated = totals.good + totals.revised + totals.rejected
        return cls(
            kind=totals.kind,
            runs=totals.runs,
            judged=judged,
            passed=totals.gate_passed / judged if judged else None,
            rated=rated,
            good=totals.good / rated if rated else None,
        )


class ModelSeen(BaseModel):
    name: str
    host: str | None = None
    """Of several; `model="NAME@HOST"` asks for it there."""
    size_gb: Number
    parameters: str | None
    quantization: str | None
    context_length: int | None
    capabilities: list[str] | None
    unfit: str | None
    """Why no text task can be its."""
    loaded: bool | None
    gpu_share: Number
    speed: str
    reads: Number
    writes: Number
    """Tokens a second, the median of the last runs."""
    odds: list[Odds]
    leaves_machine: bool


class Models(BaseModel):
    engine: str
    models: list[ModelSeen]
    recommended: str | None
    """A larger model that this machine holds."""
    note: str | None


class RunSeen(BaseModel):
    run: int
    host: str | None = None
    """Of several: the machine."""
    kind: str
    gate_passed: bool | None
    verdict: str | None
    forecast_s: Number
    forecast_error: Number
    """(forecast - measured) / measured; null for a run that came to no end of its own."""
    forecast_error_given_length: Number
    """The same for the tokens that came."""
    busy_cores: Number
    """Kept busy meanwhile by everything but the engine."""
    tokens_saved: int | None
    profile: Profile

    @classmethod
    def of(cls, run: Run, *, with_host: bool = False) -> RunSeen:
        return cls(
            run=run.id,
            host=run.key.host if with_host else None,
            kind=run.kind,
            gate_passed=run.gate_passed,
            verdict=run.verdict,
            forecast_s=run.forecast_s,
            forecast_error=_error(run, run.forecast_s),
            forecast_error_given_length=_error(run, run.forecast_given_s),
            busy_cores=run.busy_cores,
            tokens_saved=None
            if run.tokens_without is None or run.tokens_spent is None
            else run.tokens_without - run.tokens_spent,
            profile=run.profile,
        )


class SpeedSeen(BaseModel):
    """The fitted speed of a model here, in tokens a second: at no depth, and behind 4,096 tokens."""

    model: str
    host: str
    """The machine; with its port where several engines share one."""
    processor: str
    settings: str
    runs: int
    reads: Number
    writes: Number
    reads_at_4096: Number
    writes_at_4096: Number


class ProfileSeen(BaseModel):
    engine: str
    laws: list[SpeedSeen]
    odds: dict[str, list[Odds]]
    forecasts: Accuracy
    advice_held: list[AdviceOutcome]
    runs: list[RunSeen]
    tokens_saved: int | None
    note: str | None


@dataclass(slots=True, kw_only=True)
class Overview:
    """Answers list_models and profile."""

    hosts: Hosts

    async def models(self) -> Models:
        """ToolError when the engine does not answer."""
        try:
            found = await self.hosts.models()
        except EngineError as exc:
            raise ToolError(str(exc)) from exc
        failed = None
        try:
            ledger = await self.hosts.ledger()
            seen = await anyio.to_thread.run_sync(
                lambda: [_model_seen(model, self.hosts.of(model), ledger) for model in found]
            )
        except LedgerError as exc:  # the models are there all the same
            seen, failed = [_model_seen(model, self.hosts.of(model)) for model in found], str(exc)
        note = "; ".join(filter(None, (self.hosts.note, self.hosts.silent, failed))) or None
        return Models(engine=self.hosts.name, models=seen, recommended=self._recommended(seen), note=note)

    def _recommended(self, seen: Sequence[ModelSeen]) -> str | None:
        """By this machine's memory, and by how fast models here write."""
        runtime = self.hosts.first.runtime
        if self.hosts.are_several or not runtime.name.startswith("Ollama") or runtime.simulated:
            return None
        sizes = [one.size_gb * 1e9 for one in seen if one.size_gb and one.unfit is None]
        paces = [one.size_gb * 1e9 * one.writes for one in seen if one.size_gb and one.writes]
        offer = recommended(bytes_per_s=max(paces, default=None), here=sizes)
        return str(offer) if offer else None

    async def profile(self, model: str | None, kind: str | None, last: int) -> ProfileSeen:
        """ToolError when the ledger cannot be read."""
        if not 1 <= last <= MAX_RUNS:
            raise ToolError(f"last must be between 1 and {MAX_RUNS}, found {last}")
        ledger = await self._ledger()
        speed_models = await self.hosts.first.forecaster.speed_models()
        async with anyio.create_task_group() as group:
            for host in self.hosts.all:
                group.start_soon(_probed, host)
        answering = [host for host in self.hosts.all if host.availability.why is None]
        provenance = (answering or self.hosts.all)[0].forecaster.provenance

        def read() -> ProfileSeen:
            name = None if model is None else _filed(ledger, model, provenance)
            totals = [
                t
                for t in ledger.summary(model=name, kind=kind)
                if filed(plain(t.model), provenance) == t.model
            ]
            odds: dict[str, list[Odds]] = {}
            for total in totals:
                if total.kind != CALIBRATION:
                    odds.setdefault(plain(total.model), []).append(Odds.of(total))
            none = None if totals or (model or kind) is None else _none_of(ledger, model, kind, provenance)
            counted = any(total.tokens_counted for total in totals)
            runs = ledger.runs(model=name, kind=kind, provenance=provenance, last=last)
            seen = ledger.runs(model=name, kind=kind, provenance=provenance, last=ADVISED_RUNS)
            return ProfileSeen(
                engine=self.hosts.name,
                laws=_speeds_seen(speed_models, runs, MAX_SPEEDS * len(self.hosts.all))
                if speed_models
                else [],
                odds=odds,
                forecasts=ledger.accuracy(model=name, provenance=provenance),
                advice_held=list(outcomes_of(seen).values()),
                runs=[RunSeen.of(run, with_host=self.hosts.are_several) for run in runs],
                tokens_saved=sum(total.tokens_saved for total in totals) if counted else None,
                note="; ".join(filter(None, (none, self.hosts.note, self.hosts.silent))) or None,
            )

        try:
            return await anyio.to_thread.run_sync(read)
        except LedgerError as exc:
            raise ToolError(str(exc)) from exc

    async def rate(self, run: int, verdict: str, note: str | None) -> None:
        """Record a judgement. ToolError when there is no such run."""
        ledger = await self._ledger()
        try:
            rated = await anyio.to_thread.run_sync(ledger.run, run)
            if verdict == "good" and (rated.gate_passed is False or rated.profile.outcome != "done"):
                what = (
                    "its gate failed"
                    if rated.gate_passed is False
                    else f"it ended as {rated.profile.outcome!r}"
                )
                raise ToolError(f"run {run} cannot be rated good: {what}; revised and rejected are left")
            await anyio.to_thread.run_sync(ledger.rate, run, verdict, note)
        except LedgerError as exc:
            raise ToolError(str(exc)) from exc

    async def _ledger(self) -> Ledger:
        try:
            return await self.hosts.ledger()
        except LedgerError as exc:
            raise ToolError(str(exc)) from exc


def _none_of(ledger: Ledger, model: str | None, kind: str | None, provenance: Provenance) -> str:
    """What there is instead of runs that were asked for."""
    there = [t for t in ledger.summary() if filed(plain(t.model), provenance) == t.model]
    models = ", ".join(sorted({plain(t.model) for t in there})) or "none"
    kinds = ", ".join(sorted({t.kind for t in there})) or "none"
    of = " and ".join(filter(None, (model and f"of {model}", kind and f"of kind {kind}")))
    return f"no run {of} is on record; there are models {models}; kinds {kinds}"


async def _probed(host: Host) -> None:
    """Ask a host who it is: it may be a simulated one, whose runs are kept apart."""
    with suppress(EngineError), anyio.move_on_after(PROBE_S):
        await host.runtime.engine()


def _speeds_seen(speed_models: SpeedModels, runs: Sequence[Run], most: int) -> list[SpeedSeen]:
    """The speed models behind these runs, the latest used first."""
    seen: dict[str, SpeedSeen] = {}
    for run in runs:
        if run.profile.recorded or str(run.key) in seen or len(seen) == most:
            continue
        speed = speed_models.of(run.key)
        flat, deep = speed.speeds(0), speed.speeds(4096)
        seen[str(run.key)] = SpeedSeen(
            model=run.profile.model,
            host=run.key.host,
            processor=run.key.processor,
            settings=run.key.settings,
            runs=speed.runs,
            reads=flat[0] if flat else None,
            writes=flat[1] if flat else None,
            reads_at_4096=deep[0] if deep else None,
            writes_at_4096=deep[1] if deep else None,
        )
    return list(seen.values())


def _filed(ledger: Ledger, model: str, provenance: Provenance) -> str:
    """The name this model's runs lie under; Ollama adds a tag where a caller leaves it out."""
    name, tagged = filed(model, provenance), filed(f"{model}:latest", provenance)
    return (
        name
        if ":" in model or ledger.runs(model=name, last=1) or not ledger.runs(model=tagged, last=1)
        else tagged
    )


def _error(run: Run, forecast_s: float | None) -> float | None:
    measured = run.profile.total_s if run.profile.outcome in ("done", "length") else None
    return (forecast_s - measured) / measured if forecast_s is not None and measured else None


def _model_seen(model: Model, host: Host, ledger: Ledger | None = None) -> ModelSeen:
    forecaster = host.forecaster
    filed_as = filed(model.name, forecaster.provenance)
    runs = ledger.runs(model=filed_as, host=forecaster.filed_under, last=20) if ledger else []
    reads = [r for run in runs if (r := run.profile.prefill_tokens_per_s) is not None]
    writes = [r for run in runs if (r := run.profile.decode_tokens_per_s) is not None]
    return ModelSeen(
        name=model.name,
        host=model.host or None,
        size_gb=model.size_bytes / 1e9 if model.size_bytes else None,
        parameters=model.parameters,
        quantization=model.quantization,
        context_length=model.context_length,
        capabilities=sorted(model.capabilities) if model.capabilities is not None else None,
        unfit=model.no_text or _too_small(model),
        loaded=model.loaded,
        gpu_share=model.gpu_share,
        speed=_speed(reads, writes),
        reads=median(reads) if reads else None,
        writes=median(writes) if writes else None,
        odds=[Odds.of(t) for t in ledger.summary(model=filed_as) if t.kind != CALIBRATION] if ledger else [],
        leaves_machine=model.remote,
    )


def _too_small(model: Model) -> str | None:
    """Where even a short file with its answer has no room."""
    most = largest_ctx(model)
    return f"it holds only {most:,} tokens here" if most is not None and most < LEAST_CTX else None


def _speed(reads: Sequence[float], writes: Sequence[float]) -> str:
    """Both speeds in words; runs that wrote one token, or read from the cache, tell only one."""
    parts = [
        f"{verb} {float(f'{median(rates):.3g}'):,g}"
        for verb, rates in (("reads", reads), ("writes", writes))
        if rates
    ]
    if not parts:
        return "not yet measured"
    runs = max(len(reads), len(writes))
    behind = f"median of {runs} runs" if runs > 1 else "one run"
    return f"{' and '.join(parts)} tokens/s ({behind})"
