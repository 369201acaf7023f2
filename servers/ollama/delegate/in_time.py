"""The call that would have met a deadline: by any model here, on the files or on the parts the task names, nothing left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio

from ...output import ToolError
from ..forecast.advice import LEAST_ODDS
from ..forecast.model_choice import Option
from ..forecast.plans import SURE, Plan, plan_for
from ..ledger.receipt import Advised
from .next_call import arguments_of, whole_seconds
from .options import Estimator
from .request import Order, Prepared

_ROOM = 1.6
_BETTER = 0.05


async def calls_in_time(estimator: Estimator, prepared: Prepared, now: float = 0.0) -> list[Advised]:
    """The likeliest call to end in time, or the one that needs the shortest deadline where none has a chance.

    `now`: the odds of the call as it is, which it has to better.
    One piece of advice at most: none where no model was measured here that is likely to pass, or was asked for.
    """
    part = await estimator.on_parts(prepared)
    found: list[tuple[Order, Plan, Option]] = []
    for one in [prepared, *([part] if part else [])]:
        for option in await _options(estimator, one):
            plan = await anyio.to_thread.run_sync(_plan, one.order, option)
            if plan is not None:
                found.append((one.order, plan, option))
    if not found:
        return []
    able = [one for one in found if one[1].odds >= max(LEAST_ODDS, now + _BETTER)]
    if not able:
        order, plan, option = min(found, key=lambda one: one[1].sure_s)
        return [_advised(prepared, replace(order, deadline_s=whole_seconds(plan.sure_s)), plan, option)]
    sure = [one for one in able if one[1].odds >= SURE]
    order, plan, option = max(sure or able, key=lambda one: (one[2].odds if sure else 0.0) + one[1].odds)
    return [_advised(prepared, order, plan, option)]


async def _options(estimator: Estimator, prepared: Prepared) -> Sequence[Option]:
    """Models that may well pass, and the one that was asked for."""
    try:
        options = await estimator.options(prepared, "auto")
        asked = await estimator.options(prepared, prepared.order.model)
    except ToolError:
        return []
    named = {one.model.label for one in asked} if prepared.order.model != "auto" else set[str]()
    return [
        o
        for o in options
        if o.unfit is None and not o.model.remote and (o.odds >= LEAST_ODDS or o.model.label in named)
    ]


def _plan(order: Order, option: Option) -> Plan | None:
    """The mildest change to caps and thinking that is in time; the prompt stays whole."""
    plan = option.plan
    if plan is None or order.deadline_s is None or not plan.worker.speed.runs:
        return None
    least_out = int(_ROOM * plan.task.least_out)  # a change mostly makes a file longer
    task = replace(plan.task, least_in=plan.task.tokens_in, least_out=least_out, deadline_s=order.deadline_s)
    found = plan_for(task, [plan.worker])
    return found if isinstance(found, Plan) else found.nearest


def _advised(prepared: Prepared, order: Order, plan: Plan, option: Option) -> Advised:
    capped = any("answer tokens" in change for change in plan.changes)
    call = arguments_of(
        order,
        model=option.model.name,
        think=plan.task.think or None,
        max_output=plan.task.cap if capped else order.max_output,
    )
    later = order.deadline_s != prepared.order.deadline_s and order.deadline_s is not None
    changed = [f"deadline_s={order.deadline_s:g}"] if later else []
    names = ("auto", option.model.name, option.model.label, option.model.name.removesuffix(":latest"))
    changed += [f"model={plan.model}"] if prepared.order.model not in names else []
    changed += [f"files={', '.join(order.files)}"] if order.files != prepared.order.files else []
    say = f"{', '.join([*changed, *plan.changes]) or 'as asked'} ({plan.forecast.odds(order.deadline_s or 0):.0%} in time)"
    return Advised(action="meet_deadline", say=say, call=call, then_s=plan.forecast.total_s, odds=option.odds)
