"""Whether advice was followed, and whether what it predicted came true: read off the ledger afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import fmean, median

from ..forecast.advice import Advice
from ..ledger.number import Number
from ..ledger.profile import FRESH_LOAD_S
from ..ledger.runs import Run


def recorded(advice: Iterable[Advice]) -> list[dict[str, object]]:
    """Advice as the ledger keeps it with the run it was given after; see Ledger.complete."""
    return [
        {"action": a.action, "saves_s": a.saves_s, "then_s": a.then_s, "change": dict(a.change)}
        for a in advice
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceOutcome:
    """How followed advice came out."""

    action: str
    runs: int
    median_error: Number
    """|predicted - measured| / measured."""
    saved_s: Number
    """Median of what a run that followed took less than the one before; negative when it took longer."""
    helped: Number
    """Share of them that took less."""


def outcomes_of(runs: Iterable[Run]) -> dict[str, AdviceOutcome]:
    """By action: how often the next run of its kind followed it, and whether the seconds came true.

    `runs` newest first, as the ledger gives them. Followed means: the next run of that kind on that machine
    differs as advised, and by the same model unless another was advised.
    """
    seen: dict[str, _Seen] = {}
    latest: dict[tuple[str, str], Run] = {}
    for run in runs:
        place = (run.key.host, run.kind)
        after = latest.get(place)
        latest[place] = run
        if after is None or after.profile.outcome not in ("done", "length") or not after.profile.total_s:
            continue
        for advice in run.advice:
            then_s, change = advice.get("then_s"), advice.get("change")
            if (
                isinstance(then_s, int | float)
                and isinstance(change, Mapping)
                and _followed(change, run, after)
            ):
                noted = seen.setdefault(str(advice.get("action")), _Seen())
                noted.add(then_s, run.profile.total_s, after.profile.total_s)
    return {action: noted.outcome(action) for action, noted in seen.items()}


@dataclass(slots=True)
class _Seen:
    errors: list[float] = field(default_factory=list[float])
    saved: list[float] = field(default_factory=list[float])

    def add(self, predicted_s: float, before_s: float | None, after_s: float) -> None:
        self.errors.append(abs(predicted_s - after_s) / after_s)
        if before_s is not None:
            self.saved.append(before_s - after_s)

    def outcome(self, action: str) -> AdviceOutcome:
        return AdviceOutcome(
            action=action,
            runs=len(self.errors),
            median_error=median(self.errors),
            saved_s=median(self.saved) if self.saved else None,
            helped=fmean(seconds > 0 for seconds in self.saved) if self.saved else None,
        )


def _followed(change: Mapping[str, object], before: Run, after: Run) -> bool:
    """Whether every part of the change was made, and at least one of them was one."""
    if "model" not in change and after.profile.model != before.profile.model:
        return False
    moved = False
    for what, wanted in change.items():
        was, now = _setting(what, before), _setting(what, after)
        if what != "keep_alive" and isinstance(wanted, int) and not isinstance(wanted, bool):
            if not isinstance(now, int) or not 0.5 * wanted <= now <= 1.1 * wanted:
                return False
        elif now != wanted:
            return False
        moved = moved or was != now
    return moved


def _setting(what: str, run: Run) -> object:
    match what:
        case "tokens_in":
            return run.profile.tokens_in
        case "tokens_cached":
            return run.profile.tokens_cached
        case "cap":
            return run.cap
        case "think":
            return run.think
        case "format":
            return run.format
        case "model":
            return run.profile.model
        case "keep_alive":  # -1: it was still loaded
            load_s = run.profile.load_s
            return None if load_s is None or load_s >= FRESH_LOAD_S else -1
        case _:
            return None
