"""The same prompt to several models: how long, how fast, how dear, or what went wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import perf_counter

from ..errors import OrchestratorError
from ..types import Completion, Request, Usage
from . import Provider
from .catalog import Prices, priced


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One answer. Seconds by our clock; None where there was no answer, or nobody says."""

    model: str  # "provider:model" that was asked
    attempt: int  # 1 is the first: it may have loaded the model
    seconds: float | None = None
    first_token_s: float | None = None
    tokens_per_s: float | None = None  # of the answer: the runtime's own figure, else by our clock
    usage: Usage = field(default_factory=Usage)
    text: str = ""
    stop: str | None = None
    recorded: bool = False  # a scripted model: its figures are no measurement
    error: str | None = None


async def bench(
    models: Mapping[str, Provider], request: Request, *, attempts: int = 1, prices: Prices | None = None
) -> AsyncGenerator[Trial]:
    """A Trial of each of `models` ("provider:model": who answers), as they finish.

    One after the other, so that models on one machine do not disturb each other. A failure is a Trial.
    """
    for model, provider in models.items():
        asked = replace(request, model=model)
        for attempt in range(1, attempts + 1):
            yield await _trial(provider, asked, attempt, prices)


async def _trial(provider: Provider, request: Request, attempt: int, prices: Prices | None) -> Trial:
    started, first, done = perf_counter(), None, None
    try:
        async with aclosing(provider.stream(request)) as items:
            async for item in items:
                first = first or perf_counter()
                if isinstance(item, Completion):
                    done = priced(item, prices)
    except OrchestratorError as exc:
        return Trial(model=request.model, attempt=attempt, error=str(exc))
    ended = perf_counter()
    if done is None or first is None:
        return Trial(
            model=request.model, attempt=attempt, error=f"{provider.name}: the stream ended without an answer"
        )
    return Trial(
        model=request.model,
        attempt=attempt,
        seconds=ended - started,
        first_token_s=first - started,
        tokens_per_s=_speed(done.usage, ended - first),
        usage=done.usage,
        text=done.message.text,
        stop=done.stop,
        recorded=done.recorded,
    )


def _speed(usage: Usage, streaming_s: float) -> float | None:
    """Steps after the first token, a second."""
    seconds = usage.decode_s or streaming_s
    if usage.output_tokens is None or usage.output_tokens < 2 or not seconds:
        return None
    return (usage.output_tokens - 1) / seconds
