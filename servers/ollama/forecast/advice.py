"""Ways to make the next query run well here, each with its predicted effect, the most seconds saved first.

Every piece of advice is the forecast of a varied task against the forecast of the task as it is; what cannot
be forecast is not advised. Whether it came true when it was followed is followed.py's matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal

from ...durations import duration
from .forecast import Forecast
from .plans import Plan, Refusal, Task, Worker, plan_for
from .quantiles import NO_WAIT

Action = Literal[
    "meet_deadline",
    "shorten_prompt",
    "cap_output",
    "raise_cap",
    "no_thinking",
    "ask_schema",
    "split",
    "keep_loaded",
    "other_model",
    "wait",
    "ask_again",
    "do_it_yourself",
]

WORTH_S, WORTH_SHARE = 0.2, 0.08
"""Advice saving less than either is noise."""
MOST = 5
"""Pieces of advice at once."""
OWN_TOKENS_PER_S = 60.0
"""A cloud model's writing speed."""
HANDING_OVER_TOKENS = 350
"""What a delegation costs the caller in tokens, call and receipt."""
LEAST_ODDS = 0.3
"""Of passing the gate, below which no model is advised."""
_SHORT_KINDS = ("extract", "classify", "review", "answer")
_PARTS = (2, 3, 4, 6, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing to do, what it is predicted to change, and a sentence for the caller."""

    action: Action
    say: str
    saves_s: float
    """By the median; by the upper bound for a cap; for a cap too low, the runs it is expected to waste."""
    then_s: float | None
    """Forecast seconds of the query with this advice followed."""
    change: Mapping[str, object] = field(default_factory=dict[str, object])
    """What to do, for programs: {"tokens_in": 900}, {"cap": 180}, {"think": False}, {"model": ...}, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Everything said before a run."""

    forecast: Forecast | None
    """None while nothing is known of this machine."""
    advice: tuple[Advice, ...]
    plan: Plan | None
    """Meets the deadline; None without a deadline or when refused."""
    refusal: Refusal | None


def recommend(
    task: Task,
    worker: Worker,
    *,
    others: Sequence[Worker] = (),
) -> Recommendation:
    """Forecast, advice and, with a deadline, the plan that meets it or the refusal with the nearest one."""
    forecast = worker.forecast(task)
    plan = refusal = None
    if task.deadline_s is not None:
        found = plan_for(task, [worker, *others])
        plan, refusal = (found, None) if isinstance(found, Plan) else (None, found)
    if forecast is None:
        return Recommendation(forecast=None, advice=(), plan=plan, refusal=refusal)
    least_s = max(WORTH_S, WORTH_SHARE * forecast.total_s)
    found = [advice for advice in _all(task, worker, others, forecast) if advice.saves_s > least_s]
    ranked = sorted(found, key=lambda advice: -advice.saves_s)[:MOST]
    if plan is not None and plan.changes and forecast.odds(task.deadline_s or 0) < plan.odds:
        ranked = [_planned(plan, forecast), *ranked][:MOST]
    return Recommendation(forecast=forecast, advice=tuple(ranked), plan=plan, refusal=refusal)


def _all(task: Task, worker: Worker, others: Sequence[Worker], now: Forecast) -> Iterable[Advice]:
    yield from _shorten(task, worker, now)
    yield from _cap(task, worker, now)
    yield from _plain(task, worker, now)
    yield from _split(task, worker, now)
    yield from _loaded(task, worker, now)
    yield from _elsewhere(task, worker, others, now)
    yield from _again(task, worker, now)
    if now.wait_s > 0.1 * now.total_s:
        yield Advice(
            action="wait",
            say=f"{duration(now.wait_s)} of it is waiting for other work; send one query at a time, or later",
            saves_s=now.wait_s,
            then_s=max(now.total_s - now.wait_s, 0.0),
        )
    yield from _yourself(task, now)


def _shorten(task: Task, worker: Worker, now: Forecast) -> Iterable[Advice]:
    target = max(task.floor, task.tokens_in // 2)
    if now.prefill_s < 0.3 * now.total_s or task.tokens_in - target < 100:
        return
    if then := worker.forecast(replace(task, tokens_in=target)):
        yield Advice(
            action="shorten_prompt",
            say=f"drop {task.tokens_in - target:,} prompt tokens: {_from_to(now, then)}; send the part "
            f"that matters",
            saves_s=now.total_s - then.total_s,
            then_s=then.total_s,
            change={"tokens_in": target},
        )


def _cap(task: Task, worker: Worker, now: Forecast) -> Iterable[Advice]:
    free = worker.lengths(replace(task, cap=None))
    usual = max(free.p90, task.least_out, 1)
    cut = free.beyond(task.cap) if task.cap is not None and free.runs >= 3 else 0.0
    raised = replace(task, cap=usual)
    if task.cap is not None and task.cap < usual and cut > 0.1 and worker.holds(raised):
        then = worker.forecast(raised)
        yield Advice(
            action="raise_cap",
            say=f"raise the cap from {task.cap:,} to {usual:,} tokens: {cut:.0%} of such answers are "
            f"cut, and a cut answer is lost",
            saves_s=cut * now.total_s,
            then_s=then.total_s if then else None,
            change={"cap": usual},
        )
    if task.cap is not None and task.cap < 1.3 * usual:
        return
    then = worker.forecast(replace(task, cap=usual))
    bound = now.cap_s or now.high_s
    if then is not None and then.cap_s is not None:
        yield Advice(
            action="cap_output",
            say=f"cap the answer at {usual:,} tokens, which nine in ten keep to: at most {duration(bound)} "
            f"-> {duration(then.cap_s)}",
            saves_s=bound - then.cap_s,
            then_s=then.total_s,
            change={"cap": usual},
        )


def _plain(task: Task, worker: Worker, now: Forecast) -> Iterable[Advice]:
    if task.think and worker.can_think and (then := worker.forecast(replace(task, think=False))):
        yield Advice(
            action="no_thinking",
            say=f"turn thinking off: {_from_to(now, then)}",
            saves_s=now.total_s - then.total_s,
            then_s=then.total_s,
            change={"think": False},
        )
    if task.format is None and task.kind in _SHORT_KINDS and now.decode_s > 0.4 * now.total_s:
        shaped = replace(task, format="schema")
        shorter, usual = worker.lengths(shaped), worker.lengths(task)
        if shorter.p50 < usual.p50 and (then := worker.forecast(shaped)):
            yield Advice(
                action="ask_schema",
                say=f"ask for a JSON schema with short fields, about {shorter.p50:,} tokens: "
                f"{_from_to(now, then)}",
                saves_s=now.total_s - then.total_s,
                then_s=then.total_s,
                change={"format": "schema"},
            )


def _split(task: Task, worker: Worker, now: Forecast) -> Iterable[Advice]:
    """Parts pay where depth is dear: the instructions are read k times, the text only at little depth."""
    body = task.tokens_in - task.floor
    if body < 500:
        return
    best: tuple[float, int] | None = None
    lengths = worker.lengths(task)
    for parts in _PARTS:
        each = worker.speed.forecast(
            task.floor + body // parts, max(lengths.p50 // parts, 1), tokens_cached=0, cold=False
        )
        if each is None:
            return
        total = now.load_s + now.wait_s + parts * (each.total_s - each.wait_s)
        if best is None or total < best[0]:
            best = (total, parts)
    if best is not None:
        yield Advice(
            action="split",
            say=f"split it into {best[1]} parts of about {body // best[1]:,} tokens: "
            f"{duration(now.total_s)} -> {duration(best[0])} in all",
            saves_s=now.total_s - best[0],
            then_s=best[0],
            change={"parts": best[1]},
        )


def _loaded(task: Task, worker: Worker, now: Forecast) -> Iterable[Advice]:
    if worker.cold and (then := replace(worker, cold=False).forecast(task)):
        yield Advice(
            action="keep_loaded",
            say=f"keep {worker.model} loaded (same options, longer keep_alive, work in a row): "
            f"{_from_to(now, then)} from the next call on",
            saves_s=now.total_s - then.total_s,
            then_s=then.total_s,
            change={"keep_alive": -1},
        )
    elif worker.speed.reload_share >= 0.5:
        load_s = median(worker.speed.loads)
        yield Advice(
            action="keep_loaded",
            say=f"{worker.speed.reload_share:.0%} of the last runs loaded {worker.model} again, "
            f"{duration(load_s)} each: keep num_ctx, num_thread and the model the same",
            saves_s=load_s * worker.speed.reload_share,
            then_s=now.total_s,
            change={"keep_alive": -1},
        )


def _elsewhere(task: Task, worker: Worker, others: Sequence[Worker], now: Forecast) -> Iterable[Advice]:
    best: tuple[Worker, Forecast] | None = None
    for other in others:
        worse = (worker.odds or 0.5) - (0.5 if other.odds is None else other.odds)
        then = (
            other.forecast(task)
            if other.model != worker.model
            and worse < 0.15
            and (other.odds is None or other.odds >= LEAST_ODDS)
            and other.speed.runs
            and other.holds(task)
            else None
        )
        if then is not None and (best is None or then.total_s < best[1].total_s):
            best = (other, then)
    if best is not None:
        other, then = best
        passes = "never tried at this" if other.odds is None else f"passes {other.odds:.0%} of such gates"
        yield Advice(
            action="other_model",
            say=f"use {other.model} ({passes}): {_from_to(now, then)}",
            saves_s=now.total_s - then.total_s,
            then_s=then.total_s,
            change={"model": other.model},
        )


def another(task: Task, worker: Worker) -> Forecast | None:
    """Another question on the same material right after this one, which the engine's cache then holds."""
    if not task.tokens_shared:
        return None
    return replace(worker, cold=False, wait=NO_WAIT).forecast(replace(task, tokens_cached=task.tokens_shared))


def _again(task: Task, worker: Worker, now: Forecast) -> Iterable[Advice]:
    if now.prefill_s < 0.3 * now.total_s or task.tokens_shared - now.tokens_cached < 200:
        return
    if then := another(task, worker):
        yield Advice(
            action="ask_again",
            say=f"ask several things of the same files in a row, all of {worker.model}: each after the first takes "
            f"about {duration(then.total_s)} instead of {duration(now.total_s)}",
            saves_s=now.total_s - then.total_s,
            then_s=then.total_s,
            change={"tokens_cached": task.tokens_shared},
        )


def _yourself(task: Task, now: Forecast) -> Iterable[Advice]:
    own_s = 1.5 + now.tokens_out_p50 / OWN_TOKENS_PER_S
    content = task.tokens_in + now.tokens_out_p50
    if content < HANDING_OVER_TOKENS and own_s < now.total_s:
        yield Advice(
            action="do_it_yourself",
            say=f"do it yourself: about {duration(own_s)} instead of {duration(now.total_s)}; not worth handing over: "
            f"about {HANDING_OVER_TOKENS} tokens of call and receipt for {content:,} of content",
            saves_s=now.total_s - own_s,
            then_s=None,
        )


def _planned(plan: Plan, now: Forecast) -> Advice:
    task = plan.task
    change: dict[str, object] = {
        "model": plan.model,
        "tokens_in": task.tokens_in,
        "cap": task.cap,
        "think": task.think,
        "format": task.format,
    }
    return Advice(
        action="meet_deadline",
        say=f"to end within {duration(task.deadline_s or 0)}: {plan}",
        saves_s=now.total_s - plan.forecast.total_s,
        then_s=plan.forecast.total_s,
        change=change,
    )


def _from_to(now: Forecast, then: Forecast) -> str:
    return f"{duration(now.total_s)} -> {duration(then.total_s)}"
