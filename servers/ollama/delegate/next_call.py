"""Advice as the next call: which arguments to send instead, what that is forecast to take, and its odds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ..forecast.advice import LEAST_ODDS, Advice, Recommendation
from ..forecast.model_choice import Option
from ..forecast.plans import largest_output
from ..ledger.receipt import Advised
from .request import Order, Prepared

CIRCLES = "it went round in circles"
"""Said of an answer that was cut and would never have ended."""
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


def next_calls(
    order: Order, recommendation: Recommendation | None, *, odds: float, wrote: int | None = None
) -> list[Advised]:
    """The advice that can be followed by a call, and that of doing it oneself; nothing else is said.

    A model that never ran here has none but that to tell. `odds`: of the model as it is.
    `wrote`: the tokens of the answer that came; a cap it kept to is not worth a word.
    """
    said = list[Advised]()
    if recommendation is None or recommendation.forecast is None:
        return said
    for one in recommendation.advice:
        if not recommendation.forecast.runs and one.action != "do_it_yourself":
            continue
        cap = one.change.get("cap")
        if wrote is not None and one.action == "cap_output" and isinstance(cap, int) and wrote <= cap:
            continue
        if (call := _as_call(order, one, odds)) is not None:
            said.append(call)
    return said[:MOST]


def as_written_out(prepared: Prepared, why: str) -> Order | None:
    """The same edit as a whole file, where this answer's blocks did not apply or never ended; None where there is no such form."""
    order = prepared.order
    blocks = "SEARCH" in why or (CIRCLES in why and prepared.form == "edits")
    applies = order.write == "edits" and blocks and len(prepared.inputs) == 1
    return replace(order, write=prepared.main) if applies else None


def instead_of(order: Order, failed: str, options: Sequence[Option]) -> Advised:
    """Another model where this one failed, or the caller itself."""
    mine = next((option for option in options if option.model.name == failed), None)
    found = likelier(order, mine, [o for o in options if o.model.name != failed])
    yourself = Advised(action="do_it_yourself", say="do it yourself: no other model here is likelier to pass")
    return yourself if found is None else found


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
    unknown = f"is {'larger' if larger else 'here too'}, none of such tasks judged yet"
    record = best.record if best.judged else unknown
    return Advised(
        action="other_model",
        say=f"{best.model.name} {record}",
        call=arguments_of(order, model=best.model.name),
        then_s=best.forecast.total_s if best.forecast else None,
        odds=best.odds,
    )


def _as_call(order: Order, advice: Advice, odds: float) -> Advised | None:
    if advice.action in _NO_CALL:
        return Advised(action=advice.action, say=advice.say, then_s=advice.then_s)
    if not advice.change or not advice.change.keys() <= _ARGUMENTS.keys():
        return None
    changed = {_ARGUMENTS[name]: value for name, value in _sent(advice.change)}
    call = arguments_of(order, **changed)
    return Advised(action=advice.action, say=advice.say, then_s=advice.then_s, call=call, odds=odds)


def _sent(change: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    return ((name, value or None) for name, value in change.items())


def more_room(option: Option, cut_at: int) -> int | None:
    """Where an answer was cut: twice the cap or what such answers take, where context and deadline allow it."""
    if (plan := option.plan) is None:
        return 2 * cut_at
    usual = plan.worker.lengths(replace(plan.task, cap=None)).p90
    most, more = largest_output(plan.task, plan.worker), max(2 * cut_at, usual)
    more = more if most is None else min(more, most)
    return more if more > cut_at else None


def whole_seconds(seconds: float) -> int:
    """Rounded up to what a person would write."""
    return int(seconds) + 1
