"""Prices and context sizes of models, from the maintained data of the genai-prices package.

A model it does not know has no price here (None), which is not the same as a free one. Models that run on
one's own machine cost 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ..types import Usage
from . import ModelInfo

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

LOCAL = frozenset({"llamacpp", "lmstudio", "ollama", "scripted", "vllm"})
_NONE_USED = Usage(input_tokens=0, output_tokens=0)
_THEIR_NAMES = {"bedrock": "aws", "xai": "x-ai"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Of a model the data does not know, or not at one's own rate. US dollars for a million tokens."""

    input_usd: float
    output_usd: float
    cached_usd: float | None = None  # of input read from the vendor's cache; None: as other input


Prices = Mapping[str, Price]
"""By "provider:model" or a pattern such as "box:*"; of several that fit the last counts. They go before the data."""


def cost_usd(
    model: str, usage: Usage, own: Prices | None = None, *, vendor: str | None = None
) -> float | None:
    """What `usage` of "provider:model" costs. None when the model has no known price or tokens were not reported.

    `vendor`: whose prices hold where the provider has a name of one's own.
    """
    price = _own(model, own or {})
    if vendor is not None:
        model = f"{vendor}:{model.partition(':')[2]}"
    if price is None and is_local(model):
        return 0.0
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    if price is not None:
        cached = usage.cached_tokens or 0
        rate = price.input_usd if price.cached_usd is None else price.cached_usd
        fresh = max(usage.input_tokens - cached, 0)
        return (fresh * price.input_usd + cached * rate + usage.output_tokens * price.output_usd) / 1e6
    from genai_prices import Usage as PricedUsage

    counted = PricedUsage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=min(usage.cached_tokens or 0, usage.input_tokens),
        cache_write_tokens=usage.cache_write_tokens or 0,
        output_tokens=usage.output_tokens,
    )
    provider, name = _theirs(model)
    try:
        return float(_data().calc(counted, name, provider, None, None).total_price)
    except (LookupError, ValueError):
        return None


def price_of(model: str, own: Prices | None = None, *, vendor: str | None = None) -> Price | None:
    """The price of "provider:model" for prompts of ordinary size; None when nobody knows it."""
    rates = [
        cost_usd(model, replace(_NONE_USED, **{figure: 1000}), own, vendor=vendor)
        for figure in ("input_tokens", "output_tokens")
    ]
    into, out = rates
    return None if into is None or out is None else Price(input_usd=into * 1000, output_usd=out * 1000)


def is_local(model: str) -> bool:
    """Whether "provider:model" runs on one's own machine: no vendor, no bill."""
    provider, _, name = model.partition(":")
    return provider in LOCAL and not name.endswith(("-cloud", ":cloud"))


def context_tokens(model: str) -> int | None:
    """The context of "provider:model" where the data has it."""
    provider, name = _theirs(model)
    try:
        return _data().find_provider_model(name, None, provider, None)[1].context_window
    except LookupError:
        return None


def completed(models: Iterable[ModelInfo]) -> tuple[ModelInfo, ...]:
    """`models` with the context sizes their vendors did not say."""
    return tuple(m if m.context_tokens else replace(m, context_tokens=context_tokens(m.id)) for m in models)


def loaded() -> None:
    """Read the data now, and not in the middle of something else."""
    _READ.append(_data())


def is_loaded() -> bool:
    return bool(_READ)


_READ: list[DataSnapshot] = []  # by `loaded`


def _own(model: str, own: Prices) -> Price | None:
    fitting = [price for pattern, price in own.items() if fnmatchcase(model, pattern)]
    return fitting[-1] if fitting else None


def _data() -> DataSnapshot:
    """A tenth of a second to load, which local models never need."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _theirs(model: str) -> tuple[str, str]:
    provider, _, name = model.partition(":")
    return _THEIR_NAMES.get(provider, provider), name
