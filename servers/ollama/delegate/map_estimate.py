"""What a map would take on each model here, without running anything: one chunk's forecast, times the chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio

from ...durations import duration
from ...output import ToolError
from ..engines.protocol import Model
from ..forecast.advice import LEAST_ODDS
from ..forecast.model_choice import Option
from ..ledger.receipt import Advised
from .chunks import chunk_forecast, mean_tokens
from .estimate import Estimate, Expected, expected, fits
from .map import Mapper, first_chunk
from .map_order import MapOrder


async def estimate_map(mapper: Mapper, asked: MapOrder) -> Estimate:
    """Forecasts for one model, or the ranked table of all. ToolError as delegate_map."""
    if asked.order.write is not None:
        raise ToolError("delegate_map takes no write: leave it out, or leave out map")
    if asked.glob is not None and asked.order.files:
        raise ToolError('map="files" forecasts a map of `files`; a glob in map goes without them')
    if asked.glob is None and not asked.order.files:
        raise ToolError('map="files" wants files; without them map is a glob, such as "docs/**/*.md"')
    estimator = mapper.delegator.estimator
    texts, left_out = await anyio.to_thread.run_sync(mapper.texts, asked)
    counted: dict[str, int] = {}
    options: list[Option] = []
    for option in await estimator.options(first_chunk(asked.order, texts), asked.order.model):
        chunks = mapper.chunks(texts, await mapper.chunk_chars(option.plan, texts))
        counted[option.model.label] = number = len(chunks)
        plan = option.plan
        each = await anyio.to_thread.run_sync(chunk_forecast, plan, mean_tokens(chunks)) if plan else None
        left_s = asked.order.deadline_s and asked.order.deadline_s / number
        options.append(replace(option, forecast=each, deadline_s=left_s))
    ranked = estimator.chooser.ranked(options)
    models = [_of_all(expected(option), counted[option.model.label]) for option in ranked]
    best = next((m for o, m in zip(ranked, models, strict=True) if o.why_not is None), None)
    hosts = mapper.delegator.hosts
    notes = (hosts.note, hosts.silent, f"left out: {'; '.join(left_out[:3])}" if left_out else None)
    return Estimate(
        verdict=_verdict(asked, ranked, models, best, counted, estimator.measured_by),
        kind=asked.order.kind,
        best=best.model if best else None,
        models=models,
        advice=_advice(asked, ranked, counted) if best is None else [],
        note="; ".join(filter(None, notes)) or None,
    )


def _advice(asked: MapOrder, ranked: Sequence[Option], counted: dict[str, int]) -> list[Advised]:
    """The call that needs the shortest deadline, where none here meets the one that is given."""
    able = [
        (counted[o.model.label], o.forecast, o.model.name)
        for o in ranked
        if o.unfit is None and not o.model.remote and o.forecast and o.forecast.runs and o.odds >= LEAST_ODDS
    ]
    if not able:
        return []
    chunks, each, model = min(able, key=lambda one: one[0] * one[1].high_s)
    return [asked.in_time(chunks, each, model)]


def _of_all(one: Expected, chunks: int) -> Expected:
    """A chunk's row as the whole map's."""

    def times(value: float | None) -> float | None:
        return None if value is None else value * chunks

    f = one.forecast
    told = {name: times(getattr(f, name)) for name in ("total_s", "low_s", "high_s", "cap_s")} if f else {}
    seconds = {name: times(getattr(one, name)) for name in ("reads_s", "writes_s", "usd")}
    tokens = {
        name: value * chunks
        for name in ("tokens_in", "tokens_out_p50", "tokens_out_p90")
        if (value := getattr(one, name)) is not None
    }
    whole = {"forecast": f.model_copy(update=told) if f else None, "again_s": None, "tokens_cached": None}
    return one.model_copy(update={**seconds, **tokens, **whole})


def _verdict(
    asked: MapOrder,
    ranked: Sequence[Option],
    models: Sequence[Expected],
    best: Expected | None,
    counted: dict[str, int],
    measured_by: Callable[[Model], str],
) -> str:
    given = asked.order.deadline_s
    if best is None:
        reasons = [
            f"{m.model}: {counted[m.model]} chunks take about {duration(m.forecast.total_s or 0)}, {duration(given)} given"
            if o.unfit is None and m.forecast is not None and given is not None
            else f"{m.model}: {o.why_not}"
            for o, m in zip(ranked, models, strict=True)
        ]
        return f"does not fit: {'; '.join(reasons[:3]) or 'there is no model here that writes text'}"
    f, number = best.forecast, counted[best.model]
    if f is None:
        return f"not yet measured: {number} chunk{'s' if number != 1 else ''}; {measured_by(ranked[0].model)}"
    return (
        f"{fits(best)}: {best.model}, {number} chunk{'s' if number != 1 else ''}, about {duration(f.total_s or 0)} "
        f"({duration(f.low_s or 0)} to {duration(f.high_s or 0)}); odds {best.odds_passing:.0%} a chunk"
        + ("" if best.judged else " (none judged yet)")
    )
