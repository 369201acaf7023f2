"""The call that would have met a deadline: by any model here, on the files or on the parts the task names, nothing left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import anyio

from ...output import ToolError
from ..forecast.advice import LEAST_ODDS
from ..forecast.model_choice import Option
from ..forecast.plans import HOPELESS, SURE, Plan, plan_for
from ..ledger.receipt import Advised
from .estimate import Estimator
from .next_call import arguments_of
from .parts import named_parts
from .request import Order, Prepared, prepare

_ROOM = 1.6


async def calls_in_time(estimator: Estimator, prepared: Prepared) -> list[Advised]:
    """The likeliest call to end in time, as one piece of advice; none where none has a chance."""
    asked = [prepared, *await _in_parts(estimator, prepared)]
    found: list[tuple[Order, Plan, Option]] = []
    for one in asked:
        for option in await _options(estimator, one):
            plan = await anyio.to_thread.run_sync(_plan, one.order, option)
            if plan is not None and plan.odds > HOPELESS:
                found.append((one.order, plan, option))
    if not found:
        return []
    sure = [one for one in found if one[1].odds >= SURE]
    order, plan, option = max(sure or found, key=lambda one: (one[2].odds if sure else 0.0) + one[1].odds)
    return [_advised(prepared, order, plan, option)]


async def _in_parts(estimator: Estimator, prepared: Prepared) -> list[Prepared]:
    files = await anyio.to_thread.run_sync(named_parts, prepared)
    if files is None or prepared.order.write not in (None, "edits"):
        return []
    try:
        order = replace(prepared.order, files=files)
        return [await anyio.to_thread.run_sync(prepare, estimator.workspace, order)]
    except ToolError:
        return []


async def _options(estimator: Estimator, prepared: Prepared) -> Sequence[Option]:
    try:
        options = await estimator.options(prepared, "auto")
    except ToolError:
        return []
    return [o for o in options if o.unfit is None and not o.model.remote and o.odds >= LEAST_ODDS]


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
    changed = [f"model={plan.model}"] if prepared.order.model not in (plan.model, "auto") else []
    changed += [f"files={', '.join(order.files)}"] if order.files != prepared.order.files else []
    say = f"{', '.join([*changed, *plan.changes]) or 'as asked'} ({plan.odds:.0%} in time)"
    return Advised(action="meet_deadline", say=say, call=call, then_s=plan.forecast.total_s, odds=option.odds)
