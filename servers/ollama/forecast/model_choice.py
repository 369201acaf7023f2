"""Choosing a model for a task: odds of passing times what a success is worth, less the seconds it takes.

Odds are Beta posteriors from gates and ratings of the same kind of task, on a prior that trusts larger models more.
`auto` draws from them (Thompson), so that a model with little on record is tried now and then; it never takes one
that cannot hold the task or meet its deadline.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from ...durations import duration
from ...output import ToolError
from ..engines.protocol import Model
from ..ledger.runs import Totals
from .forecaster import RunPlan
from .model_shape import shape_of
from .plans import HOPELESS
from .speed_model import Forecast

USD_S = 180.0
"""Seconds a dollar counts as: twenty of them buy an hour."""
SUCCESS_S = 300.0
"""Seconds a checked success is worth waiting for."""
UNKNOWN_S = 60.0
"""What a run is taken to last while nothing is known of its speed."""
_SPREAD = 0.7
"""Of the logarithm of one host's speed compared with another's."""
_PRIOR_RUNS = 2.0
_ENOUGH = 5
"""Judged runs from which on a share says something."""
_UNCHECKED = 0.5
"""Weight of a run that no gate could judge."""
_FORM_RUNS = 3.0
_USUAL = 0.75
"""Expected share of well formed answers in the form that is usual for a file's size, as good as _FORM_RUNS runs; of the other the rest."""
_DECENT = 2.0
"""Billions of parameters at which half of all tasks are expected to pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One model and what is expected of it for this task."""

    model: Model
    plan: RunPlan | None
    forecast: Forecast | None
    totals: Totals | None
    """Of this model and kind of task."""
    deadline_s: float | None = None
    unfit: str | None = None
    """Why it cannot do this task at all."""
    most_output: int | None = None
    """A max_output with which it could, where that is why."""
    unknown_s: float = UNKNOWN_S
    """What a run is taken to last while there is no forecast."""
    usd_per_hour: float | None = None
    """Of its host; None: not counted."""

    @property
    def passing(self) -> tuple[float, float]:
        """Beta parameters of the odds of passing.

        What was delivered unchecked counts as half a success, with half the weight: with failures alone, work that is hardly
        ever checked would seem hopeless.
        """
        prior = _prior(self.model)
        t = self.totals
        half = _UNCHECKED * t.unchecked / 2 if t else 0.0
        good = t.gate_passed + t.good + t.revised / 2 + half if t else 0.0
        bad = t.gate_failed + t.rejected + t.revised / 2 + half if t else 0.0
        return _PRIOR_RUNS * prior + good, _PRIOR_RUNS * (1 - prior) + bad

    @property
    def judged(self) -> int:
        t = self.totals
        return t.gate_passed + t.gate_failed + t.good + t.revised + t.rejected if t else 0

    @property
    def record(self) -> str:
        """What it has shown at such tasks, in words that weigh as much as the evidence."""
        if self.judged >= _ENOUGH or self.totals is None:
            return f"passes {self.odds:.0%} of such tasks"
        return f"passed {self.totals.gate_passed + self.totals.good} of {self.judged} such tasks so far"

    @property
    def odds(self) -> float:
        good, bad = self.passing
        return good / (good + bad)

    @property
    def in_time(self) -> float | None:
        """Probability of ending before the deadline; None without one, or without a forecast."""
        return (
            None if self.deadline_s is None or self.forecast is None else self.forecast.odds(self.deadline_s)
        )

    @property
    def why_not(self) -> str | None:
        """Why this model must not be taken; None when it may."""
        if self.unfit is not None:
            return self.unfit
        if self.model.remote:
            return "it runs on another machine"
        if (
            self.in_time is not None
            and self.in_time < HOPELESS
            and self.forecast
            and self.deadline_s is not None
        ):
            waiting = self.forecast.of_it_waiting
            return f"{duration(self.forecast.total_s)} expected{waiting}, {duration(self.deadline_s)} given"
        return None

    @property
    def took_s(self) -> float:
        return self.forecast.total_s if self.forecast else self.unknown_s

    def utility(self, odds: float) -> float:
        """Worth of taking this model, in seconds."""
        worth = odds * (1.0 if self.in_time is None else self.in_time) * SUCCESS_S
        return worth - self.took_s - USD_S * (self.usd or 0.0)

    @property
    def usd(self) -> float | None:
        """What its host costs meanwhile."""
        return None if self.usd_per_hour is None else self.usd_per_hour * self.took_s / 3600

    @property
    def _is_ready(self) -> bool:
        """Whether it is loaded with the context that this takes."""
        return bool(self.model.loaded) and not (self.plan and self.plan.worker.cold)

    def __str__(self) -> str:
        took = f"{duration(self.forecast.total_s)}" if self.forecast else "speed not yet measured"
        record = f"{self.judged} judged" if self.judged else "none judged yet"
        cost = f", {self.usd:.2g} USD" if self.usd else ""
        there = ", loaded there" if self.model.host and self._is_ready else ""
        return f"{self.model.label}: {took}{there}{cost}, odds {self.odds:.2f} ({record})"


@dataclass(slots=True)
class Chooser:
    """Ranks options, and takes one."""

    random: random.Random = field(default_factory=random.Random)

    def ranked(self, options: Sequence[Option]) -> list[Option]:
        """Best first by expected utility; those that must not be taken last."""
        return sorted(
            options,
            key=lambda o: (o.why_not is not None, -o.utility(o.odds), not o.model.loaded, o.model.label),
        )

    def take(self, options: Sequence[Option]) -> tuple[Option, str]:
        """(the option drawn, why, in one line). ToolError when none may be taken."""
        able = [option for option in options if option.why_not is None]
        if not able:
            near = [
                option
                for option in self.ranked(options)
                if (option.unfit is None or option.most_output) and not option.model.remote
            ]
            if near:  # its own refusal tells what would meet the deadline, or fit
                return near[0], str(near[0])
            reasons = "; ".join(f"{o.model.label}: {o.why_not}" for o in options)
            raise ToolError(
                f"no model here can do this: {reasons}" if reasons else "there is no model here yet"
            )
        odds = {o.model.name: self.random.betavariate(*o.passing) for o in able}  # the same on every host
        drawn = max(
            able,
            key=lambda o: (self._tried(o).utility(odds[o.model.name]), bool(o.model.loaded)),
        )
        reason = (
            "best expected worth" if drawn is self.ranked(able)[0] else "tried, as little is known of it yet"
        )
        line = f"{drawn} ({reason if len(options) > 1 else 'the only one here'})"
        return drawn, line

    def _tried(self, option: Option) -> Option:
        """A host that was never measured may be faster or slower than the others: it is tried soon."""
        if option.forecast is not None or not option.model.host:
            return option
        return replace(option, unknown_s=option.unknown_s * self.random.lognormvariate(0, _SPREAD))


def with_guesses(options: Sequence[Option]) -> list[Option]:
    """Where nothing is known of a host's speed, what the same model takes on the others stands in for it."""
    known: dict[str, list[float]] = {}
    for option in options:
        if option.forecast is not None:
            known.setdefault(option.model.name, []).append(option.forecast.total_s)
    return [
        replace(option, unknown_s=median(known[option.model.name]))
        if option.forecast is None and option.model.name in known
        else option
        for option in options
    ]


def best_form(forms: Sequence[str], seen: Mapping[str, tuple[int, int]]) -> str:
    """The form a model does best at, by (well formed, not) in each; while little is known the first."""

    def odds(form: str) -> float:
        passed, failed = seen.get(form, (0, 0))
        prior = _USUAL if form == forms[0] else 1 - _USUAL
        return (_FORM_RUNS * prior + passed) / (_FORM_RUNS + passed + failed)

    return max(forms, key=odds)


def _prior(model: Model) -> float:
    """Expected share of passes before anything was judged."""
    shape = shape_of({"model_info": model.info})
    billions = shape.params / 1e9 if shape else (model.size_bytes or 5e9) / 0.6e9 if model.size_bytes else 8.0
    return min(max(billions / (billions + _DECENT), 0.05), 0.95)
