"""The same prompt to several models: how long, how fast, how dear, how large, or what went wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from statistics import median
from time import perf_counter

from ..errors import OrchestratorError
from ..types import Completion, Provenance, Request, Usage, provenance
from . import Provider, memory_of
from .catalog import Prices, cost_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One answer. Seconds by our clock; None where there was no answer, or nobody says."""

    model: str  # "provider:model" that was asked
    attempt: int  # 1 is the first: it may have loaded the model; 0 warmed it up and does not count
    seconds: float | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None  # of the answer: the runtime's own figure, else by our clock
    memory_bytes: int | None = None  # of the loaded model, RAM and VRAM; local runtimes only
    usage: Usage = field(default_factory=Usage)
    text: str = ""
    stop: str | None = None
    recorded: bool = False  # its figures are no measurement: a scripted or simulated model
    provenance: Provenance = "measured"  # of its figures
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All trials of one model: medians of those that answered. None: no answer, or nobody says."""

    model: str
    attempts: int
    failed: int
    seconds: float | None
    fastest_s: float | None  # with one answer the same as `seconds`
    slowest_s: float | None
    first_token_s: float | None
    tokens_per_s: float | None
    load_s: float | None  # the longest: weights into memory, part of that trial's seconds
    output_tokens: float | None
    cost_usd: float | None  # of all answers together; None when one has no known price
    memory_bytes: int | None  # the most
    recorded: bool
    provenance: Provenance  # "simulated" or "recorded" as soon as those of one answer are
    errors: tuple[str, ...]  # every different one


async def bench(
    models: Mapping[str, Provider],
    request: Request,
    *,
    attempts: int = 1,
    warm: bool = False,
    prices: Prices | None = None,
) -> AsyncGenerator[Trial]:
    """A Trial of each of `models` ("provider:model": who answers), as they finish; `warm`: after one that does not count.

    One after the other, so that models on one machine do not disturb each other. A failure is a Trial.
    """
    for model, provider in models.items():
        asked = replace(request, model=model)
        for attempt in range(0 if warm else 1, attempts + 1):
            yield await _trial(provider, asked, attempt, prices)


def summaries(trials: Iterable[Trial]) -> list[Summary]:
    """One for each model, in the order they were asked; warming up left out."""
    by_model: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.attempt:
            by_model.setdefault(trial.model, []).append(trial)
    return [_summary(model, own) for model, own in by_model.items()]


def _summary(model: str, trials: list[Trial]) -> Summary:
    answered = [trial for trial in trials if trial.error is None]
    seconds = _known(trial.seconds for trial in answered)
    costs = [trial.usage.cost_usd for trial in answered]
    return Summary(
        model=model,
        attempts=len(trials),
        failed=len(trials) - len(answered),
        seconds=_middle(seconds),
        fastest_s=min(seconds, default=None),
        slowest_s=max(seconds, default=None),
        first_token_s=_middle(_known(trial.first_token_s for trial in answered)),
        tokens_per_s=_middle(_known(trial.tokens_per_s for trial in answered)),
        load_s=max(_known(trial.usage.load_s for trial in answered), default=None),
        output_tokens=_middle(_known(trial.usage.output_tokens for trial in answered)),
        cost_usd=sum(known) if (known := _known(costs)) and len(known) == len(costs) else None,
        memory_bytes=max((t.memory_bytes for t in answered if t.memory_bytes is not None), default=None),
        recorded=any(trial.recorded for trial in answered),
        provenance=provenance(
            recorded=any(trial.recorded for trial in answered),
            simulated=any(trial.provenance == "simulated" for trial in answered),
        ),
        errors=tuple(dict.fromkeys(trial.error for trial in trials if trial.error is not None)),
    )


def _known(figures: Iterable[float | None]) -> list[float]:
    return [figure for figure in figures if figure is not None]


def _middle(figures: list[float]) -> float | None:
    return median(figures) if figures else None


async def _trial(provider: Provider, request: Request, attempt: int, prices: Prices | None) -> Trial:
    started, first, done = perf_counter(), None, None
    try:
        async with aclosing(provider.stream(request)) as items:
            async for item in items:
                first = first or perf_counter()
                if isinstance(item, Completion):
                    done = item
        ended = perf_counter()
        memory_bytes = await memory_of(provider, request.model_name) if done else None
    except OrchestratorError as exc:
        return Trial(model=request.model, attempt=attempt, error=str(exc))
    if done is None or first is None:
        return Trial(
            model=request.model, attempt=attempt, error=f"{provider.name}: the stream ended without an answer"
        )
    cost = done.usage.cost_usd
    if cost is None:
        cost = cost_usd(done.message.origin, done.usage, prices)
    return Trial(
        model=request.model,
        attempt=attempt,
        seconds=ended - started,
        first_token_s=first - started,
        tokens_per_s=_speed(done.usage, ended - first),
        memory_bytes=memory_bytes,
        usage=replace(done.usage, cost_usd=cost),
        text=done.message.text,
        stop=done.stop,
        recorded=done.recorded,
        provenance=provenance(recorded=done.recorded, simulated=done.simulated),
    )


def _speed(usage: Usage, streaming_s: float) -> float | None:
    """Steps after the first token, a second."""
    seconds = usage.decode_s or streaming_s
    if usage.output_tokens is None or usage.output_tokens < 2 or not seconds:
        return None
    return (usage.output_tokens - 1) / seconds
