"""What a task would take on each model here, without running anything."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from pydantic import BaseModel

from ...durations import duration
from ..forecast.advice import LEAST_ODDS, WORTH_SHARE
from ..forecast.forecast import Forecast
from ..forecast.model_choice import Option
from ..forecast.plans import SURE, largest_output
from ..ledger.number import Number
from ..ledger.receipt import Advised, Forecasted
from .in_time import calls_in_time
from .next_call import arguments_of, likelier, next_calls
from .options import SHOWN, Estimator
from .ran import forecasted
from .request import Order, Prepared, prepare


class Expected(BaseModel):
    """One model's row. `why_not`: it would not be taken for this task."""

    model: str
    forecast: Forecasted | None
    reads_s: Number = None
    writes_s: Number = None
    """Of a typical run: its prompt and its answer."""
    answer_cap: int | None = None
    """Tokens after which the answer of this call is cut."""
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
_WORSE = 0.15
"""Odds that a quicker model may be behind."""
_CACHED_SHARE = 0.2
"""Of a prompt: a smaller share in the cache is its template, and not worth a word."""
_MOST_ADVICE = 3


async def estimate(estimator: Estimator, order: Order) -> Estimate:
    """Forecasts for one model, or the ranked table of all. ToolError as delegate."""
    prepared = await anyio.to_thread.run_sync(prepare, estimator.workspace, order)
    ranked = estimator.chooser.ranked(await estimator.options(prepared, order.model))
    advice = await _advice(estimator, prepared, ranked) if ranked else []
    models = await anyio.to_thread.run_sync(lambda: [expected(option) for option in ranked])
    best = models[0] if ranked and ranked[0].why_not is None else None
    if best is not None and best.forecast is None:
        verdict = f"not yet measured: {estimator.measured_by(ranked[0].model)}"
    else:
        verdict = _verdict(ranked, best, advice)
    hosts = estimator.hosts
    return Estimate(
        verdict=verdict,
        kind=order.kind,
        best=best.model if best else None,
        models=models,
        advice=advice[:_MOST_ADVICE],
        note="; ".join(filter(None, (hosts.note, hosts.silent))) or None,
    )


async def _advice(estimator: Estimator, prepared: Prepared, ranked: Sequence[Option]) -> list[Advised]:
    """For the first model, knowing the others. Each call can be sent as it stands."""
    order, first = prepared.order, ranked[0]
    if first.most_output is not None:
        return await estimator.lower_cap(order, first.most_output)
    now = first.in_time
    found = await calls_in_time(estimator, prepared, now) if now is not None and now < SURE else []
    recommendation = await anyio.to_thread.run_sync(first.plan.recommend) if first.plan else None
    said = next_calls(order, recommendation, odds=first.odds)
    fails = first.judged >= SHOWN and first.odds < LEAST_ODDS
    if fails or first.why_not is not None:
        found += await _likelier(estimator, prepared, first) if fails else []
        return [*found, *(one for one in said if one.action == "do_it_yourself")]
    part = await estimator.in_parts(prepared)
    return [*found, *await _likelier(estimator, prepared, first), *part, *_quicker(order, ranked), *said]


async def _likelier(estimator: Estimator, prepared: Prepared, first: Option) -> list[Advised]:
    """The model that has shown it does better, where one was named that has shown it does not."""
    if prepared.order.model == "auto" or not first.judged or first.odds >= _GOOD_ODDS:
        return []
    found = likelier(prepared.order, first, await estimator.options(prepared, "auto"))
    return [] if found is None else [found]


def _quicker(order: Order, ranked: Sequence[Option]) -> list[Advised]:
    """The model that ran here before and is about as likely to pass in clearly less time."""
    first, *others = ranked
    if first.forecast is None:
        return []
    now_s, odds = first.forecast.total_s, max(LEAST_ODDS, first.odds - _WORSE)
    able = [o for o in others if o.why_not is None and o.forecast and o.forecast.runs and o.odds >= odds]
    best = min(able, key=lambda o: o.took_s, default=None)
    if best is None or best.took_s >= (1 - WORTH_SHARE) * now_s:
        return []
    record = f"odds {best.odds:.0%}" + ("" if best.judged else ", none judged yet")
    say = f"use {best.model.name} ({record}): {duration(now_s)} -> {duration(best.took_s)}"
    call = arguments_of(order, model=best.model.name)
    return [Advised(action="other_model", say=say, call=call, then_s=best.took_s, odds=best.odds)]


def _verdict(ranked: Sequence[Option], best: Expected | None, advice: Sequence[Advised]) -> str:
    """What the caller should do, in one line."""
    if best is None or best.forecast is None:
        if not ranked:
            return "does not fit: there is no model here that writes text"
        first, *others = [option.model.label for option in ranked]
        also = f"; nor on {', '.join(others[:3])}" if others else ""
        told = next((f"; {a.say}" for a in advice if a.action == "meet_deadline"), "")
        return f"does not fit: {first}: {ranked[0].why_not}{also}{told}"
    yourself = next((a for a in advice if a.action == "do_it_yourself"), None)
    if yourself is not None:
        return yourself.say
    f = best.forecast
    if best.judged >= SHOWN and (best.odds_passing or 0) < LEAST_ODDS:
        record = f"{best.model} passes {best.odds_passing:.0%} of such tasks ({best.judged} judged)"
        other = next((a.say for a in advice if a.action == "other_model"), None)
        return f"do it yourself: {record}" if other is None else f"{record}; {other}"
    seen = best.tokens_cached or 0
    cached = seen >= _CACHED_SHARE * (best.tokens_in or 1)
    parts = [
        f"{fits(best)}: {best.model}, about {duration(f.total_s or 0)} ({duration(f.low_s or 0)} to {duration(f.high_s or 0)})"
        + ("" if f.runs else ", though it never ran here"),
        f"reads {duration(best.reads_s or 0)}"
        + (f" ({seen:,} tokens are in its cache)" if cached else "")
        + f", writes {duration(best.writes_s or 0)}",
        f"the next question on these files {duration(best.again_s)}" if best.again_s is not None else "",
        f"odds {best.odds_passing:.0%}" + ("" if best.judged else " (none judged yet)"),
        _caps(best),
        next((a.say for a in advice if a.action == "meet_deadline"), ""),
    ]
    return "; ".join(part for part in parts if part)


def _caps(best: Expected) -> str:
    """Where the answer is cut, and how far a caller may move that."""
    cap, most = best.answer_cap or 0, best.max_output or 0
    if cap > most > 0:  # as the deadline wants it
        return f"max_output at most {most:,}"
    return (
        f"cut at {cap:,} tokens" + (f" (max_output: at most {most:,})" if most > cap else "") if cap else ""
    )


def fits(best: Expected) -> str:
    """How sure it is that a deadline is met, where there is one."""
    if best.in_time is None or best.in_time >= SURE:
        return "fits"
    return f"{'may fit' if best.in_time >= 0.5 else 'hardly fits'} ({best.in_time:.0%} in time)"


def _again_s(option: Option) -> float | None:
    """Where the cache makes a difference worth telling."""
    now, then = option.forecast, option.plan.again() if option.plan else None
    return then.total_s if now and then and then.total_s < 0.8 * now.total_s else None


def _share(forecast: Forecast) -> float:
    """What its parts are told by: those of a typical run may come to more than the median of all."""
    parts = forecast.wait_s + forecast.load_s + forecast.prefill_s + forecast.decode_s
    return min(forecast.total_s / parts, 1.0) if parts else 1.0


def expected(option: Option) -> Expected:
    """One option as a row."""
    forecast = option.forecast
    share = _share(forecast) if forecast else 1.0
    return Expected(
        model=option.model.label,
        usd=option.usd,
        forecast=forecasted(forecast) if forecast else None,
        reads_s=share * forecast.prefill_s if forecast else None,
        writes_s=share * forecast.decode_s if forecast else None,
        answer_cap=option.plan.task.cap if option.plan else None,
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
