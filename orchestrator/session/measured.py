"""What earlier runs here tell of models at tasks like one at hand: odds, and what a call takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from ..memory.episodes import odds
from ..patterns import Specialist
from ..store.database import Database, StoreError
from .members import Members
from .preview import figures

FAR = 0.3  # a lead in odds from which a weaker panel pulls the strongest down


def odds_of(models: Iterable[str], task: str) -> Mapping[str, float | None]:
    """By model its share of successes at tasks like this one; None where too few are known. Reads files."""
    models = list(models)
    with suppress(StoreError):
        database = Database()
        try:
            return odds(database, task, models)
        finally:
            database.close()
    return dict.fromkeys(models)


def with_odds(members: Members, specialists: Sequence[Specialist], task: str) -> list[Specialist]:
    """The specialists with what was measured of them, where nobody has said otherwise. Reads files: for a thread."""
    models = sorted({one.agent.model for one in specialists})
    known, taken = odds_of(models, task), figures(members, models)
    return [
        replace(
            one,
            odds=one.odds if one.odds is not None else known[one.agent.model],
            cost_usd=one.cost_usd if one.cost_usd is not None else taken[one.agent.model].cost_usd,
            seconds=one.seconds if one.seconds is not None else taken[one.agent.model].seconds,
        )
        for one in specialists
    ]


def far_stronger(models: Iterable[str], task: str) -> str | None:
    """A warning where one model of a panel is far better at such tasks than all others are; None otherwise."""
    ranked = sorted(
        ((share, model) for model, share in odds_of(set(models), task).items() if share is not None),
        reverse=True,
    )
    if len(ranked) < 2 or ranked[0][0] - ranked[1][0] < FAR:
        return None
    (best, name), (next_best, other) = ranked[:2]
    return (
        f"{name} did {best:.0%} of such tasks here and {other}, the next, {next_best:.0%}: weaker voices pull the best"
        " one down more often than they help it; ask it alone"
    )
