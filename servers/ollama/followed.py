"""Whether advice was followed, and whether what it predicted came true: read off the ledger afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from .advice import Advice
from .runs import Run


def kept(advice: Iterable[Advice]) -> list[dict[str, object]]:
    """Advice as the ledger keeps it with the run it was given after; see Ledger.complete."""
    return [
        {"action": a.action, "saves_s": a.saves_s, "then_s": a.then_s, "change": dict(a.change)}
        for a in advice
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How followed advice came out."""

    runs: int
    median_error: float
    """|predicted - measured| / measured."""


def held(runs: Iterable[Run]) -> dict[str, Held]:
    """By action: how often the next run of its kind followed it, and whether the seconds came true.

    `runs` newest first, as the ledger gives them. Followed means: the next run differs as advised.
    """
    errors: dict[str, list[float]] = {}
    latest: dict[str, Run] = {}
    for run in runs:
        after = latest.get(run.kind)
        latest[run.kind] = run
        if after is None or after.profile.outcome not in ("done", "length"):
            continue
        total_s = after.profile.total_s
        for advice in run.advice:
            then_s, change = advice.get("then_s"), advice.get("change")
            if (
                total_s
                and isinstance(then_s, int | float)
                and isinstance(change, Mapping)
                and _followed(change, run, after)
            ):
                errors.setdefault(str(advice.get("action")), []).append(abs(then_s - total_s) / total_s)
    return {action: Held(runs=len(seen), median_error=median(seen)) for action, seen in errors.items()}


def _followed(change: Mapping[str, object], before: Run, after: Run) -> bool:
    """Whether every part of the change was made, and at least one of them was one."""
    moved = False
    for what, wanted in change.items():
        was, now = _setting(what, before), _setting(what, after)
        if isinstance(wanted, int) and not isinstance(wanted, bool):
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
        case "cap":
            return run.cap
        case "think":
            return run.think
        case "format":
            return run.format
        case "model":
            return run.profile.model
        case "stable_first":
            return run.profile.tokens_cached
        case _:
            return None
