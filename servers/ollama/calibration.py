"""A few short probes that give a model its law at once, instead of waiting for real work to teach it.

The probes are recorded as runs of the kind "calibration"; their words are fresh, so no cache serves them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from .forecast import Forecast
from .foresight import Foresight
from .law import Law
from .profile import Profile
from .runs import Key, Run
from .runtime import Answer, EngineError, Model, Query, Runtime
from .sizes import CHARS_PER_TOKEN, TEMPLATE_TOKENS
from .sizing import Sizing, TooLong, largest_ctx

KIND = "calibration"
PROBES = (64, 512, 2048, 256)
"""Prompt tokens, about, in this order: three spread sizes to learn from, one more to check the law with."""
OUTPUT_TOKENS = 32
BUDGET_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe: what the law said before it, and what was measured."""

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
    probes: tuple[Probe, ...]
    skipped: tuple[int, ...]
    """Probes, by prompt tokens, that did not fit the context or the time."""
    speeds: tuple[float, float] | None
    """Prompt and answer tokens a second at no depth; None when no probe ended well."""
    failed: str | None
    """Why it ended early: the engine's sentence."""


async def calibrate(
    runtime: Runtime,
    foresight: Foresight,
    model: Model,
    *,
    budget_s: float = BUDGET_S,
    told: Callable[[Probe], None] = lambda _: None,
) -> Calibration:
    """Probe `model` in about `budget_s`; `told` hears of each probe. Raises EngineError, LedgerError."""
    if not runtime.timed:
        raise EngineError(f"{runtime.name} has no durations of its own: there is nothing to calibrate")
    ends = time.monotonic() + budget_s
    sizing = Sizing()
    num_ctx, fitting = _context(model, sizing)
    probes: list[Probe] = []
    skipped = [tokens for tokens in PROBES if tokens not in fitting]
    for tokens in fitting:
        query = _query(model, tokens, num_ctx)
        law = await _law(foresight, model, num_ctx)
        size = sizing.prompt(model, query.chars)
        cold = not model.loaded or model.loaded_ctx not in (None, num_ctx)
        forecast = law.forecast(
            size.tokens, OUTPUT_TOKENS, tokens_cached=0, cold=cold, tokens_spread=size.spread
        )
        left_s = ends - time.monotonic()
        if left_s <= 0 or (probes and forecast is not None and forecast.total_s > left_s):
            skipped.append(tokens)
            continue
        answer = await runtime.chat(replace(query, timeout_s=max(left_s, 5.0)), lambda _text, _thinking: None)
        sizing.learn(model, query.chars, answer.profile.tokens_in)
        probes.append(Probe(forecast=forecast, profile=answer.profile))
        await _record(foresight, await foresight.key(model, num_ctx, answer.profile), query, answer, forecast)
        told(probes[-1])
        if answer.error is not None:
            return _result(model, probes, skipped, None, answer.error)
        model = await runtime.model(model.name)
    return _result(model, probes, skipped, (await _law(foresight, model, num_ctx)).speeds(), None)


def _context(model: Model, sizing: Sizing) -> tuple[int, list[int]]:
    """One context for all probes, as delegations would choose it, and the probes that fit it."""
    for largest in sorted(PROBES, reverse=True):
        try:
            size = sizing.size(model, _query(model, largest, 1), exact=None, asked=OUTPUT_TOKENS)
        except TooLong:
            continue
        return size.num_ctx, [tokens for tokens in PROBES if tokens <= largest]
    return largest_ctx(model) or 512, []


async def _law(foresight: Foresight, model: Model, num_ctx: int) -> Law:
    await foresight.ledger()
    laws = await foresight.laws()
    assert laws is not None, "an open ledger has laws"
    key = await foresight.key(model, num_ctx)
    return await anyio.to_thread.run_sync(laws.law, key)


async def _record(
    foresight: Foresight, key: Key, query: Query, answer: Answer, forecast: Forecast | None
) -> None:
    run = Run(
        key=key,
        profile=answer.profile,
        kind=KIND,
        cap=OUTPUT_TOKENS,
        chars_in=query.chars,
        forecast_s=forecast.total_s if forecast else None,
        forecast_low_s=forecast.low_s if forecast else None,
        forecast_high_s=forecast.high_s if forecast else None,
        raw=answer.raw,
    )
    ledger = await foresight.ledger()
    await anyio.to_thread.run_sync(ledger.record, run)


def _result(
    model: Model,
    probes: list[Probe],
    skipped: list[int],
    speeds: tuple[float, float] | None,
    failed: str | None,
) -> Calibration:
    return Calibration(
        model=model.name, probes=tuple(probes), skipped=tuple(skipped), speeds=speeds, failed=failed
    )


def _query(model: Model, tokens: int, num_ctx: int) -> Query:
    """Fresh words from the first on: a cached prefix would hide the speed of reading."""
    words: list[str] = [secrets.token_hex(4)]
    while sum(len(word) + 1 for word in words) < (tokens - TEMPLATE_TOKENS) * CHARS_PER_TOKEN - 30:
        words.append(secrets.choice(_WORDS))
    return Query(
        model=model.name,
        messages=({"role": "user", "content": f"{' '.join(words)}\nWrite forty more such words."},),
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
