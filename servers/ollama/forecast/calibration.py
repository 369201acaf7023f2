"""A few short probes that tell a model's speed at once, instead of waiting for real work to teach it.

The probes are recorded as runs of the kind "calibration"; their words are fresh, so no cache serves them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio

from ..engines.open import open_runtime
from ..engines.protocol import Answer, EngineError, Model, Query, Runtime
from ..engines.threads import keep_threads
from ..ledger.ledger import LedgerError
from ..ledger.profile import Profile
from ..ledger.runs import CALIBRATION, Key, Run
from .context_size import Sizing, TooLong, largest_ctx
from .forecast import Forecast
from .forecaster import Forecaster
from .speed_model import SpeedModel
from .thread_choice import Pace, better, cores, measure

PROBES = (64, 512, 2048, 256)
"""Prompt tokens, about, in this order: three spread sizes to learn from, one more to check the speed model with."""
OUTPUT_TOKENS = 32
BUDGET_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe: what the speed model said before it, and what was measured."""

    forecast: Forecast | None
    """None before anything was known."""
    profile: Profile

    @property
    def error(self) -> float | None:
        """(forecast - measured) / measured."""
        total_s = self.profile.total_s
        return (self.forecast.total_s - total_s) / total_s if self.forecast and total_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What the probes came to."""

    model: str
    engine: str
    """Kind and place."""
    note: str | None
    """What every reader must know of this engine; None for real inference."""
    probes: tuple[Probe, ...]
    skipped: tuple[int, ...]
    """Probes, by prompt tokens, that did not fit the context or the time."""
    speeds: tuple[float, float] | None
    """Prompt and answer tokens a second at no depth; None when no probe ended well."""
    failed: str | None
    """Why it ended early: the engine's sentence."""


class CalibrationFailed(Exception):
    """The engine or the ledger cannot be used. One sentence."""


@asynccontextmanager
async def _opened(engine: str | None, *, allow_remote: bool = False) -> AsyncGenerator[Runtime]:
    """The engine a `--host` word means, let go of afterwards; what goes wrong with it is a CalibrationFailed."""
    try:
        runtime = await anyio.to_thread.run_sync(lambda: open_runtime(engine, allow_remote=allow_remote))
        try:
            yield runtime
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2):
                await runtime.aclose()
    except (EngineError, LedgerError, OSError) as exc:
        raise CalibrationFailed(str(exc)) from exc


async def calibrated(engine: str | None, model: str) -> Calibration:
    """`calibrate` on the engine a `--host` word means. Raises CalibrationFailed."""
    async with _opened(engine) as runtime:
        return await calibrate(runtime, Forecaster(runtime=runtime), await runtime.model(model))


async def threads_calibrated(
    engine: str | None, name: str, *, allow_remote: bool = False
) -> tuple[list[Pace], int, int | None]:
    """(paces, cores, threads that are sent from now on) of a model on Ollama. Raises CalibrationFailed."""
    async with _opened(engine, allow_remote=allow_remote) as runtime:
        model = await runtime.model(name)
        if model.no_text is not None:
            raise EngineError(f"{model.name} cannot be calibrated: {model.no_text}")
        paces = await measure(runtime, model, _context(model, Sizing())[0])
        found, url = better(paces, cores()), runtime.url
        if url is not None:
            await anyio.to_thread.run_sync(keep_threads, url, model.name, found)
        return paces, cores(), found


async def calibrate(
    runtime: Runtime,
    forecaster: Forecaster,
    model: Model,
    *,
    budget_s: float = BUDGET_S,
    told: Callable[[Probe], None] = lambda _: None,
) -> Calibration:
    """Probe `model` in about `budget_s`; `told` hears of each probe. Raises EngineError, LedgerError."""
    if not runtime.timed:
        raise EngineError(f"{runtime.name} has no durations of its own: there is nothing to calibrate")
    if model.no_text is not None:
        raise EngineError(f"{model.name} cannot be calibrated: {model.no_text}")
    ends = time.monotonic() + budget_s
    sizing = Sizing()
    await _measure_tokens(runtime, sizing, model)
    num_ctx, fitting = _context(model, sizing)
    probes: list[Probe] = []
    failed: str | None = None
    skipped = [tokens for tokens in PROBES if tokens not in fitting]
    for tokens in fitting:
        query = _query(model, sizing, tokens, num_ctx)
        speed = await _speed_model(forecaster, model, num_ctx)
        size = sizing.prompt(model, query.chars)
        exact = await runtime.count(query)
        cold = not model.loaded or model.loaded_ctx not in (None, num_ctx)
        forecast = speed.forecast(
            size.tokens if exact is None else exact,
            OUTPUT_TOKENS,
            tokens_cached=0,
            cold=cold,
            tokens_spread=size.spread if exact is None else 0.0,
        )
        left_s = ends - time.monotonic()
        if left_s <= 0 or (probes and forecast is not None and forecast.total_s > left_s):
            skipped.append(tokens)
            continue
        answer = await runtime.chat(replace(query, timeout_s=max(left_s, 5.0)), lambda _text, _thinking: None)
        sizing.learn(model, query.chars, answer.profile.tokens_in)
        probes.append(Probe(forecast=forecast, profile=answer.profile))
        await _record(
            forecaster, await forecaster.key(model, num_ctx, answer.profile), query, answer, forecast
        )
        told(probes[-1])
        if answer.error is not None and answer.profile.outcome != "overflow":
            failed = answer.error
            break  # a probe that did not fit has told its tokens: the next have the right size
        model = await runtime.model(model.name)
    speeds = (await _speed_model(forecaster, model, num_ctx)).speeds()
    return Calibration(
        model=model.name,
        engine=runtime.name,
        note=runtime.note,
        probes=tuple(probes),
        skipped=tuple(skipped),
        speeds=speeds,
        failed=failed,
    )


async def _measure_tokens(runtime: Runtime, sizing: Sizing, model: Model) -> None:
    """Learn from an engine that counts how many tokens our words are; tokenizers differ by a factor of four."""
    query = _query(model, sizing, PROBES[0], 1)
    if (exact := await runtime.count(query)) is not None:
        sizing.learn(model, query.chars, exact)


def _context(model: Model, sizing: Sizing) -> tuple[int, list[int]]:
    """One context for all probes, as delegations would choose it, and the probes that fit it."""
    for largest in sorted(PROBES, reverse=True):
        try:
            size = sizing.size(model, _query(model, sizing, largest, 1), exact=None, asked=OUTPUT_TOKENS)
        except TooLong:
            continue
        return size.num_ctx, [tokens for tokens in PROBES if tokens <= largest]
    return largest_ctx(model) or 512, []


async def _speed_model(forecaster: Forecaster, model: Model, num_ctx: int) -> SpeedModel:
    await forecaster.ledger()
    speed_models = await forecaster.speed_models()
    assert speed_models is not None, "an open ledger has speed models"
    key = await forecaster.key(model, num_ctx)
    return await anyio.to_thread.run_sync(speed_models.of, key)


async def _record(
    forecaster: Forecaster, key: Key, query: Query, answer: Answer, forecast: Forecast | None
) -> None:
    run = Run(
        key=key,
        profile=answer.profile,
        kind=CALIBRATION,
        cap=OUTPUT_TOKENS,
        chars_in=query.chars,
        forecast_s=forecast.total_s if forecast else None,
        forecast_low_s=forecast.low_s if forecast else None,
        forecast_high_s=forecast.high_s if forecast else None,
        raw=answer.raw,
    )
    ledger = await forecaster.ledger()
    await anyio.to_thread.run_sync(ledger.record, run)


def _query(model: Model, sizing: Sizing, tokens: int, num_ctx: int) -> Query:
    """Fresh words from the first on: a cached prefix would hide the speed of reading."""
    ask = "\nWrite forty more such words."
    words, chars = [secrets.token_hex(4)], len(ask) + 8
    while sizing.prompt(model, chars).tokens < tokens:
        words.append(secrets.choice(_WORDS))
        chars += len(words[-1]) + 1
    return Query(
        model=model.name,
        messages=({"role": "user", "content": f"{' '.join(words)}{ask}"},),
        num_ctx=num_ctx,
        num_predict=OUTPUT_TOKENS,
        timeout_s=BUDGET_S,
    )


_WORDS = (
    "river",
    "stone",
    "paper",
    "window",
    "garden",
    "silver",
    "morning",
    "letter",
    "bridge",
    "coffee",
    "summer",
)
