"""The wrappers of one provider from its configuration, in the one order that makes sense.

From the inside: record what was really said; limit; break; budget every attempt; retry; and spare all of
that for what the cache has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ...errors import ConfigError
from ...events import Emit, ignore
from .. import Provider
from .breaker import Breaker
from .budgeted import Budget, Budgeted
from .caches import Cache, MemoryCache, RedisCache, SqliteCache
from .limited import Limited
from .recorded import Recorded
from .retrying import Retry, Retrying


class Wrapping(BaseModel):
    """What can be configured around a provider. Nothing here: it is used as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_parallel: int | None = Field(default=None, ge=1, le=1000)  # calls at a time; None: no limit
    retries: int = Field(default=3, ge=0, le=20)  # after the first try
    retry_max_s: float = Field(default=60.0, gt=0, le=3600)
    breaker_failures: int | None = Field(default=5, ge=1)  # in a row; None: no breaker
    breaker_cooldown_s: float = Field(default=60.0, gt=0)
    cache: Literal["memory"] | str | None = None  # "memory", a file, or redis://...; None: none
    cache_ttl_s: float | None = Field(default=None, gt=0)  # None: for ever
    record: str | None = None  # a file that `scripted:` can play


def wrapped(
    provider: Provider, settings: Wrapping, *, budget: Budget | None = None, emit: Emit = ignore
) -> Provider:
    """`provider` inside what `settings` ask for. Raises ConfigError."""
    if settings.record:
        provider = Recorded(provider, Path(settings.record).expanduser())
    if settings.max_parallel:
        provider = Limited(provider, settings.max_parallel)
    if settings.breaker_failures:
        failures, cooldown_s = settings.breaker_failures, settings.breaker_cooldown_s
        provider = Breaker(provider, failures=failures, cooldown_s=cooldown_s, emit=emit)
    if budget:
        provider = Budgeted(provider, budget)
    if settings.retries:
        retry = Retry(attempts=settings.retries + 1, max_s=settings.retry_max_s)
        provider = Retrying(provider, retry, emit=emit)
    if settings.cache:
        from .cached import Cached  # its schemas of requests and answers are built for those who keep some

        provider = Cached(provider, cache_at(settings.cache), ttl_s=settings.cache_ttl_s, emit=emit)
    return provider


def cache_at(place: str) -> Cache:
    """ "memory", redis://host:port/0, or the path of a file."""
    if place == "memory":
        return MemoryCache()
    scheme, mark, _ = place.partition("://")
    if not mark:
        return SqliteCache(Path(place).expanduser())
    if scheme in ("redis", "rediss", "unix"):
        return RedisCache(place)
    raise ConfigError(f"a cache is 'memory', a file or redis://host:port/0, found {place!r}")
