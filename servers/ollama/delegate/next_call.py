"""Advice as the next call: which arguments to send instead, what that is forecast to take, and its odds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..forecast.advice import LEAST_ODDS, Advice, Recommendation
from ..forecast.model_choice import Option
from ..forecast.plans import largest_output
from ..ledger.receipt import Advised
from .request import Order, Prepared

MOST = 2
"""Pieces of advice in a receipt: a caller acts on the first, if on any."""
_NO_CALL = ("do_it_yourself", "ask_again")
"""Advice whose next call only the caller can make."""
_ARGUMENTS = {"cap": "max_output", "think": "think", "model": "model"}


def arguments_of(order: Order, **changed: object) -> dict[str, object]:
    """The arguments of `delegate` that make this order, with some changed."""
    gates = order.gates
    asked = {name: value for name, value in gates.asked.items() if name != "schema"}
    every: dict[str, object] = {
        "task": order.task,
        "model": order.model if order.model != "auto" else None,
        "files": list(order.files),
        "write": order.write,
        "gate": "none" if gates.off else asked,
        "ladder": list(order.ladder),
        "deadline_s": order.deadline_s,
        "max_output": order.max_output,
        "schema": gates.schema,
        "think": order.think or None,
        "context": order.context,
        **changed,
    }
    return {name: value for name, value in every.items() if value is not None and value not in ("", [], {})}


def next_calls(order: Order, recommendation: Recommendation | None) -> list[Advised]:
    """The advice that can be followed by a call, and that of doing it oneself; nothing else is said."""
    advice = recommendation.advice if recommendation else ()
    return [said for one in advice if (said := _as_call(order, one)) is not None][:MOST]


def after_refusal(order: Order, recommendation: Recommendation | None) -> list[Advised]:
    """What would be run: with the deadline the nearest plan needs, or as the plan that meets it says."""
    if recommendation is None:
        return []
    refusal, plan = recommendation.refusal, recommendation.plan
    if refusal is not None and refusal.needs_s and refusal.nearest is not None:
        near = refusal.nearest
        if near.task.tokens_in < near.forecast.tokens_in or "prompt tokens" in " ".join(near.changes):
            return next_calls(order, recommendation)
        changed: dict[str, object] = {"deadline_s": _up(refusal.needs_s), "model": near.model}
        call = arguments_of(order, **changed, max_output=near.task.cap)
        say = f"deadline_s={_up(refusal.needs_s):g}"
        return [Advised(action="meet_deadline", say=say, call=call, then_s=near.forecast.total_s)]
    if plan is not None and "prompt tokens" not in " ".join(plan.changes):
        call = arguments_of(order, model=plan.model, max_output=plan.task.cap, think=plan.task.think or None)
        say = f"{', '.join(plan.changes) or 'as asked'} ({plan.odds:.0%} in time)"
        return [Advised(action="meet_deadline", say=say, call=call, then_s=plan.forecast.total_s)]
    return next_calls(order, recommendation)


def after_failure(
    prepared: Prepared, failed: str, *, cut_at: int | None, why: str, options: Sequence[Option]
) -> list[Advised]:
    """What would succeed where this model failed; `cut_at`: its answer was cut at so many tokens."""
    order = prepared.order
    mine = next((option for option in options if option.model.name == failed), None)
    if cut_at is not None and mine is not None and (more := _more_room(mine, cut_at)):
        call = arguments_of(order, model=failed, max_output=more)
        return [Advised(action="raise_cap", say=f"max_output={more}", call=call, odds=mine.odds)]
    if order.write == "edits" and "SEARCH" in why and len(prepared.inputs) == 1:
        path = prepared.main
        call = arguments_of(order, model=failed, write=path)
        return [
            Advised(action="whole_file", say=f"write={path}: the whole file instead of blocks", call=call)
        ]
    found = likelier(order, mine, [o for o in options if o.model.name != failed])
    yourself = Advised(action="do_it_yourself", say="do it yourself: no other model here is likelier to pass")
    return [yourself if found is None else found]


def likelier(order: Order, mine: Option | None, options: Sequence[Option]) -> Advised | None:
    """The call to the model likeliest to pass where this one is not; None when there is none worth a try."""
    least = max(LEAST_ODDS, mine.odds if mine else 0.0)
    able = [
        o
        for o in options
        if (mine is None or o.model.name != mine.model.name) and o.why_not is None and o.odds > least
    ]
    if not able:
        return None
    best = max(able, key=lambda option: option.utility(option.odds))
    larger = mine is not None and (best.model.size_bytes or 0) > (mine.model.size_bytes or 0)
    untried = "is larger, though not yet tried at this" if larger else "has not been tried at this yet"
    record = f"passes {best.odds:.0%} of such tasks" if best.judged else untried
    return Advised(
        action="other_model",
        say=f"{best.model.name} {record}",
        call=arguments_of(order, model=best.model.name),
        then_s=best.forecast.total_s if best.forecast else None,
        odds=best.odds,
    )


def _as_call(order: Order, advice: Advice) -> Advised | None:
    if advice.action in _NO_CALL:
        return Advised(action=advice.action, say=advice.say, then_s=advice.then_s)
    if not advice.change or not advice.change.keys() <= _ARGUMENTS.keys():
        return None
    changed = {_ARGUMENTS[name]: value for name, value in _sent(advice.change)}
    return Advised(
        action=advice.action, say=advice.say, then_s=advice.then_s, call=arguments_of(order, **changed)
    )


def _sent(change: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    return ((name, value or None) for name, value in change.items())


def _more_room(option: Option, cut_at: int) -> int | None:
    """Twice the cap, where context and deadline allow it."""
    most = largest_output(option.plan.task, option.plan.worker) if option.plan else None
    more = 2 * cut_at if most is None else min(2 * cut_at, most)
    return more if more > cut_at else None


def _up(seconds: float) -> float:
    """Rounded up to what a person would write."""
    return float(int(seconds) + 1) if seconds >= 1 else 1.0
