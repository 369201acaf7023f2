"""A task that may be varied, the workers that could take it, and the plan that meets a deadline.

Nothing here runs a model: a plan is the least change to a task after which its forecast meets the deadline
with good odds. Where none does, the refusal names the nearest plan and the time it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ...durations import duration
from .forecast import Forecast
from .quantiles import NO_WAIT, Wait
from .speed_model import SpeedModel
from .token_estimates import Lengths

SURE = 0.9
"""Odds of meeting the deadline a plan must have."""
HOPELESS = 0.1
"""With lower odds of ending in time a run is not started, and the best plan refused; above, it is offered with its odds."""
_HALVINGS = 7
_MOST_OUTPUT = 131_072
"""Tokens: no model here writes more in one answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One query as planned, and how far it may be varied."""

    tokens_in: int
    least_in: int = 0
    """Prompt tokens it cannot do without; 0 is a tenth of the prompt."""
    cap: int | None = None
    least_out: int = 0
    """Tokens the answer needs; 0 is not known: then no cap is planned that would cut more than one in ten."""
    kind: str = "other"
    think: bool = False
    format: str | None = None
    tokens_cached: int | None = None
    tokens_shared: int = 0
    """Prompt tokens that another question on the same material would begin with."""
    tokens_spread: float = 0.0
    deadline_s: float | None = None

    @property
    def least_answer(self) -> int:
        """Answer tokens it cannot do without."""
        return max(self.least_out if self.cap is None else min(self.least_out, self.cap), 1)

    @property
    def floor(self) -> int:
        """Prompt tokens it cannot do without."""
        return min(self.least_in or max(self.tokens_in // 10, 1), self.tokens_in)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One model that could take the task."""

    model: str
    speed: SpeedModel
    lengths: Callable[[Task], Lengths]
    """Lengths to expect of its answer, never above the task's cap."""
    odds: float | None = None
    """Of passing the gate for this kind of task; None when never tried."""
    cold: bool | None = None
    wait: Wait = NO_WAIT
    busy_cores: float | None = None
    """What other programs use of the machine now; None is not known."""
    room: int | None = None
    """The largest context it can have here."""
    can_think: bool = True
    _made: dict[Task, Forecast | None] = field(
        init=False, default_factory=dict[Task, "Forecast | None"], compare=False, repr=False
    )

    def forecast(self, task: Task) -> Forecast | None:
        """None while nothing is known of this machine. Each is made once: a plan and its advice ask for the same."""
        if task not in self._made:
            self._made[task] = self.speed.forecast(
                task.tokens_in,
                self.lengths(task),
                tokens_cached=None if task.tokens_cached is None else min(task.tokens_cached, task.tokens_in),
                cap=task.cap,
                cold=self.cold,
                wait=self.wait,
                tokens_spread=task.tokens_spread,
                busy_cores=self.busy_cores,
            )
        return self._made[task]

    def holds(self, task: Task) -> bool:
        return self.room is None or task.tokens_in + (task.cap or task.least_answer) <= self.room


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A task as it should be run, by whom, and what that is forecast to take."""

    worker: Worker
    task: Task
    forecast: Forecast
    odds: float
    """Of meeting the deadline."""
    changes: tuple[str, ...]
    """What differs from the task as asked, in words."""

    @property
    def model(self) -> str:
        return self.worker.model

    @property
    def sure_s(self) -> float:
        """A deadline it would meet nine times in ten."""
        return self.forecast.ventiles[17]

    def nearer_than(self, other: Plan) -> bool:
        """Whether it comes nearer to the deadline; odds alone do not tell two hopeless plans apart."""
        return (self.odds, -self.forecast.high_s) > (other.odds, -other.forecast.high_s)

    def __str__(self) -> str:
        how = ", ".join(self.changes) or "as asked"
        took = f"{duration(self.forecast.total_s)}, at most {duration(self.forecast.high_s)}"
        return f"{self.model}, {how}: {took} ({self.odds:.0%} in time)"


def largest_output(task: Task, worker: Worker) -> int | None:
    """The largest cap that the context holds and, with a deadline, after which the run still ends in time.

    0 when none does; None where neither the context nor a deadline sets a bound.
    """
    most = None if worker.room is None else max(worker.room - task.tokens_in, 0)
    if task.deadline_s is None:
        return most
    if worker.forecast(replace(task, cap=1)) is None:
        return most

    def in_time(cap: int) -> bool:
        forecast = worker.forecast(replace(task, cap=cap))
        return forecast is not None and (forecast.cap_s or forecast.high_s) <= (task.deadline_s or 0.0)

    low, high = 0, _MOST_OUTPUT if most is None else min(most, _MOST_OUTPUT)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if in_time(middle) else (low, middle - 1)
    return low


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No plan meets the deadline."""

    say: str
    nearest: Plan | None
    """The plan that comes nearest; None when no worker was ever measured."""
    needs_s: float | None
    """A deadline the nearest plan would meet."""


def plan_for(task: Task, workers: Sequence[Worker]) -> Plan | Refusal:
    """The plan that changes least and meets `task.deadline_s`; workers are tried in turn.

    Raises ValueError for a task without a deadline.
    """
    if task.deadline_s is None:
        raise ValueError("a plan needs a deadline_s")
    task = replace(task, least_in=task.floor)
    best: Plan | None = None
    for worker in workers:
        for plan in _variants(task, worker):
            if plan.odds >= SURE:
                return plan
            if best is None or plan.nearer_than(best):
                best = plan
    if best is None:
        return Refusal(say=_hopeless(task, workers), nearest=None, needs_s=None)
    if best.odds > HOPELESS:
        return best
    needs_s = best.sure_s
    say = (
        f"{duration(task.deadline_s or 0)} cannot be met here: even {best.model} with {best.task.tokens_in:,} prompt "
        f"tokens and at most {best.forecast.tokens_out_p90:,} answer tokens takes about "
        f"{duration(best.forecast.total_s)}{best.forecast.of_it_waiting}; "
        f"allow {duration(needs_s, up=True)}"
    )
    return Refusal(say=say, nearest=best, needs_s=needs_s)


def _variants(task: Task, worker: Worker) -> Iterable[Plan]:
    """Plans from the mildest change on: as asked, without thinking, capped, less prompt, less answer."""
    if (fitted := _fitted(task, worker)) is None:
        return
    task = fitted
    changes: list[str] = []
    if (plan := _plan(task, worker, changes)) is None:
        return
    yield plan
    if task.think and worker.can_think:
        task = replace(task, think=False)
        changes.append("without thinking")
        if plan := _plan(task, worker, changes):
            yield plan
    usual = max(worker.lengths(replace(task, cap=None)).p90, task.least_out, 1)
    if task.cap is None or task.cap > usual:
        task = replace(task, cap=usual)
        changes.append(f"at most {usual:,} answer tokens")
        if plan := _plan(task, worker, changes):
            yield plan
    yield from _shortened(task, worker, changes)
    least = replace(task, tokens_in=task.floor)
    if task.least_out and task.cap and task.cap > task.least_out:
        tight = replace(least, cap=task.least_out)
        cuts = [c for c in changes if "answer tokens" not in c]
        cuts += [f"{task.floor:,} prompt tokens", f"at most {task.least_out:,} answer tokens"]
        if plan := _plan(tight, worker, cuts):
            yield plan


def _fitted(task: Task, worker: Worker) -> Task | None:
    """The task cut to the worker's context; None when not even what it needs fits."""
    if worker.room is None or worker.holds(task):
        return task
    most = worker.room - task.floor
    if most < task.least_answer:
        return None
    cap = min(task.cap or max(task.least_out, most // 2), most)
    return replace(task, cap=cap, tokens_in=min(task.tokens_in, worker.room - cap))


def _shortened(task: Task, worker: Worker, changes: list[str]) -> Iterable[Plan]:
    """The longest prompt that meets the deadline, by halving; the shortest when none does."""

    def at(tokens: int) -> Plan | None:
        return _plan(replace(task, tokens_in=tokens), worker, [*changes, f"{tokens:,} prompt tokens"])

    low, high = task.floor, task.tokens_in
    best = at(low) if low < high else None
    if best is None:
        return
    if best.odds >= SURE:
        for _ in range(_HALVINGS):
            middle = (low + high) // 2
            plan = at(middle)
            if plan is not None and plan.odds >= SURE:
                best, low = plan, middle
            else:
                high = middle
    yield best


def _plan(task: Task, worker: Worker, changes: Sequence[str]) -> Plan | None:
    forecast = worker.forecast(task)
    if forecast is None or task.deadline_s is None:
        return None
    return Plan(
        worker=worker,
        task=task,
        forecast=forecast,
        odds=forecast.odds(task.deadline_s),
        changes=tuple(changes),
    )


def _hopeless(task: Task, workers: Sequence[Worker]) -> str:
    if not workers:
        return "there is no local model to plan with"
    able = [worker for worker in workers if _fitted(task, worker) is not None]
    if not able:
        most = max(worker.room or 0 for worker in workers)
        needs = task.floor + task.least_answer
        return f"the task needs {needs:,} tokens of context, the models here hold {most:,}"
    names = ", ".join(worker.model for worker in able[:4])
    return f"no run of {names} was measured on this machine yet; run one, or `understudy calibrate`"
