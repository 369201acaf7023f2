"""What a panel would take before anybody is asked: calls, seconds, money, and where it will not help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import anyio

from servers.durations import duration
from servers.ollama.forecast.speed_models import SpeedModels
from servers.ollama.ledger.ledger import Ledger, LedgerError

from ..config.patterns import (
    AskSettings,
    ConsultSettings,
    DebateSettings,
    EscalateSettings,
    HandoffSettings,
    ParallelSettings,
    PatternSettings,
    PipelineSettings,
    PlanSettings,
    RefineSettings,
    RouteSettings,
    VoteSettings,
)
from ..providers import split
from ..providers.catalog import is_local
from ..providers.estimate import BYTES_PER_TOKEN
from ..store.database import Database, StoreError
from .members import Members

ANSWER_TOKENS = 400  # of a model that was never asked here
LAST_CALLS = 30
FEW = 3  # measured calls below which nothing is said of seconds

DEBATES_ALONE = (
    "all debaters are one model: runs of one model that argue cost 2-3 times the tokens of a vote and were measured to"
    " gain nothing over it (benchmarks/panels.py); use vote --samples, or another model"
)
REVIEWS_ITSELF = (
    "author and critic are one model: it finds few of its own errors, and its approval counts for nothing; name another"
    " critic"
)
AGREES_WITH_ITSELF = "the first two are one model: they share its errors, so that they agree says little"
TWO_VOTERS = "two ballots can only agree or tie; a third voter decides"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Calls that are made side by side."""

    models: tuple[str, ...]
    answers_read: int = 0  # of earlier answers that stand in the prompt
    certain: bool = True  # False: only where it turns out to be needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is known of one model's calls. None: nothing."""

    answer_tokens: int
    seconds: float | None  # of one call here
    high_s: float | None  # the upper end of the interval that holds 90 % of them
    cost_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Least: where it ends as early as it can. Most: where everything that may be needed is."""

    least_calls: int
    most_calls: int
    least_s: float | None
    most_s: float | None
    least_usd: float | None
    most_usd: float | None
    unknown: tuple[str, ...]  # models without known seconds or price
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        seconds = _range(self.least_s, self.most_s, lambda seconds: duration(round(seconds)))
        money = _range(self.least_usd, self.most_usd, _money)
        calls = _range(self.least_calls, self.most_calls, "{:.0f}".format)
        said = [
            f"{calls} call{'' if calls == '1' else 's'}",
            seconds or "time unknown",
            money or "price unknown",
        ]
        if self.unknown:
            lacks = [name for name, known in (("measured here", seconds), ("priced", money)) if not known]
            said.append(f"never {' nor '.join(lacks) or 'measured or priced'}: {', '.join(self.unknown)}")
        return "preview: " + ", ".join(said)


def _money(usd: float) -> str:
    return "$0" if usd == 0 else f"${usd:.4f}"


async def preview(members: Members, settings: PatternSettings, prompt: str) -> Preview:
    """What this pattern would take for this prompt. Raises ConfigError as running it would."""
    steps = steps_of(members, settings)
    models = sorted({model for step in steps for model in step.models})
    tokens = int(len(prompt.encode("utf-8", "replace")) / BYTES_PER_TOKEN) + 50
    known = await anyio.to_thread.run_sync(lambda: figures(members, models))

    def total(chosen: Sequence[Step], *, high: bool) -> tuple[float | None, float | None]:
        cost, seconds = 0.0, 0.0
        unpriced = untimed = False
        for step in chosen:
            by_place: dict[str, float] = {}
            for place, model in enumerate(step.models):
                read = tokens + step.answers_read * known[model].answer_tokens
                figures = _of_call(members, known[model], model, read)
                unpriced |= figures.cost_usd is None
                took = figures.high_s if high else figures.seconds
                untimed |= took is None
                cost += figures.cost_usd or 0.0
                # One engine of this machine answers one after the other, vendors side by side.
                where = split(model)[0] if is_local(model) else str(place)
                by_place[where] = by_place.get(where, 0.0) + (took or 0.0)
            seconds += max(by_place.values(), default=0.0)
        return None if unpriced else cost, None if untimed else seconds

    sure = [step for step in steps if step.certain]
    least_usd, least_s = total(sure, high=False)
    most_usd, most_s = total(steps, high=True)
    warnings = [
        *_warnings(members, settings),
        *await anyio.to_thread.run_sync(_uneven, members, settings, prompt),
    ]
    unknown = [m for m in models if known[m].seconds is None or known[m].cost_usd is None]
    return Preview(
        least_calls=sum(len(step.models) for step in sure),
        most_calls=sum(len(step.models) for step in steps),
        least_s=least_s,
        most_s=most_s,
        least_usd=least_usd,
        most_usd=most_usd,
        unknown=tuple(unknown),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def steps_of(members: Members, settings: PatternSettings) -> list[Step]:
    """The calls of a pattern in their order. Of a plan: one task for each role, which the manager may change."""
    match settings:
        case AskSettings():
            return [Step(models=(members.one(settings.model, settings.role).model,))]
        case ConsultSettings():
            panel = _panel(members, settings.models)
            return [Step(models=panel), *_judge(members, settings.judge, len(panel))]
        case VoteSettings():
            panel = _panel(members, settings.models) * settings.samples
            return [Step(models=panel), *_judge(members, settings.judge, len(panel))]
        case DebateSettings():
            panel = _panel(members, settings.models)
            again = Step(models=panel, answers_read=len(panel), certain=False)
            return [
                Step(models=panel),
                *[again] * settings.rounds,
                *_judge(members, settings.judge, len(panel), certain=False),
            ]
        case EscalateSettings():
            panel = _panel(members, settings.models)
            more = [Step(models=(model,), certain=False) for model in panel[2:]]
            return [Step(models=panel[:2]), *_judge(members, settings.judge, 2), *more]
        case RefineSettings():
            author, critic = members.pair(settings)
            review = Step(models=(critic.model,), answers_read=1)
            revision = Step(models=(author.model,), answers_read=2, certain=False)
            rest = [revision, replace(review, certain=False)] * settings.iterations
            return [Step(models=(author.model,)), review, *rest[:-1]]
        case HandoffSettings():
            first, second = (
                members.one(settings.first, "first").model,
                members.one(settings.second, "second").model,
            )
            reviewer = members.one(settings.reviewer or settings.first, "reviewer").model
            return [
                Step(models=(model,), answers_read=n)
                for n, model in enumerate((first, second, reviewer, first))
            ]
        case RouteSettings():
            chosen = members.specialists(settings)[0].agent.model
            return [*_judge(members, settings.router, 0), Step(models=(chosen,))]
        case PlanSettings():
            manager, workers = members.one(settings.manager, "manager").model, members.workers(settings)
            tasks = [Step(models=(agent.model,), answers_read=1) for agent in workers.values()]
            end = [Step(models=(manager,), answers_read=len(tasks))] if settings.synthesis else []
            return [Step(models=(manager,)), *tasks, *end]
        case ParallelSettings():
            return [
                Step(models=tuple(members.member(job.model, "job").model for job in settings.jobs.values()))
            ]
        case PipelineSettings():
            return [
                replace(step, certain=step.certain and not (each.when or each.unless))
                for each in settings.stages.values()
                for step in steps_of(members, each)
            ]


def _panel(members: Members, models: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(agent.model for agent in members.panel(models, "adviser"))


def _judge(members: Members, judge: str | None, read: int, *, certain: bool = True) -> list[Step]:
    if judge is None:
        return []
    return [Step(models=(members.one(judge, "judge").model,), answers_read=read, certain=certain)]


def _warnings(members: Members, settings: PatternSettings) -> list[str]:
    match settings:
        case DebateSettings() if len(panel := _panel(members, settings.models)) > 1 and len(set(panel)) == 1:
            return [DEBATES_ALONE]
        case VoteSettings() if len(_panel(members, settings.models)) * settings.samples == 2:
            return [TWO_VOTERS]
        case EscalateSettings() if (
            len(panel := _panel(members, settings.models)[:2]) == 2 and len(set(panel)) == 1
        ):
            return [AGREES_WITH_ITSELF]
        case RefineSettings():
            author, critic = members.pair(settings)
            return [REVIEWS_ITSELF] if author.model == critic.model else []
        case PipelineSettings():
            return [warning for each in settings.stages.values() for warning in _warnings(members, each)]
        case _:
            return []


def _uneven(members: Members, settings: PatternSettings, prompt: str) -> list[str]:
    """Where all of a panel count the same though one of them is far better. Reads files: for a thread."""
    from .measured import far_stronger  # which stands on this module

    if not isinstance(settings, VoteSettings | DebateSettings | EscalateSettings):
        return []
    warning = far_stronger(_panel(members, settings.models), prompt)
    return [warning] if warning else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known(Figures):
    calls: tuple[tuple[float, int], ...] = ()  # seconds and tokens out of the last ones


def figures(members: Members, models: Sequence[str]) -> dict[str, _Known]:
    """By model, from the calls that were made here and the price list. Reads files: for a thread."""
    calls: Mapping[str, list[tuple[float, int]]] = {}
    with suppress(StoreError):
        database = Database()
        try:
            calls = {model: _calls(database, model) for model in models}
        finally:
            database.close()
    found: dict[str, _Known] = {}
    for model in models:
        done = calls.get(model, [])
        tokens = int(median(out for _, out in done)) if done else ANSWER_TOKENS
        bare = _Known(answer_tokens=tokens, seconds=None, high_s=None, cost_usd=None, calls=tuple(done))
        timed = _of_call(members, bare, model, 500)
        found[model] = replace(bare, seconds=timed.seconds, high_s=timed.high_s, cost_usd=timed.cost_usd)
    return found


def _calls(database: Database, model: str) -> list[tuple[float, int]]:
    return database.read(
        "SELECT seconds, output_tokens FROM calls WHERE model = ? AND error IS NULL AND seconds IS NOT NULL"
        " AND output_tokens IS NOT NULL ORDER BY id DESC LIMIT ?",
        model,
        LAST_CALLS,
    )


def _of_call(members: Members, known: _Known, model: str, read: int) -> Figures:
    """One call with so many tokens in: by the speed model where this machine's engines have run it, else as before."""
    price = members.session.wired.price(model)
    cost = None if price is None else (read * price.input_usd + known.answer_tokens * price.output_usd) / 1e6
    seconds, high = _forecast(model, read, known.answer_tokens)
    if seconds is None and len(known.calls) >= FEW:
        took = sorted(done for done, _ in known.calls)
        seconds, high = median(took), took[-1]
    return Figures(answer_tokens=known.answer_tokens, seconds=seconds, high_s=high, cost_usd=cost)


def _forecast(model: str, read: int, written: int) -> tuple[float | None, float | None]:
    if split(model)[0] != "ollama":
        return None, None
    try:
        with Ledger.open() as ledger:
            runs = ledger.runs(model=split(model)[1], last=1)
            found = SpeedModels(ledger).of(runs[0].key).forecast(read, written) if runs else None
    except LedgerError:
        return None, None
    return (found.total_s, found.high_s) if found else (None, None)


def _range(least: float | None, most: float | None, form: Callable[[float], str]) -> str | None:
    if least is None or most is None:
        return None
    low, high = form(least), form(most)
    return low if low == high else f"{low} to {high}"
