"""The wrappers of one provider from its configuration, in the one order that makes sense.

From the inside: record what was really said; limit; break; budget every attempt; retry; go on without tools
and seals that are refused; read calls from the text of models that cannot make any; and spare all of that for what the
cache has.
"""

from __future__ import annotations

from pathlib import Path

from ...errors import ConfigError
from ...events import Emit, ignore
from .. import Provider
from .breaker import Breaker
from .budgeted import Budget, Budgeted
from .caches import Cache, MemoryCache, RedisCache, SqliteCache
from .in_text import InText
from .limited import Limited
from .recorded import Recorded
from .refused_schema import RefusedSchema
from .refused_tools import RefusedTools
from .retrying import Retry, Retrying
from .unsealed import Unsealed
from .wrapping import REDIS, Wrapping

__all__ = ["Wrapping", "cache_at", "guarded", "persistent", "wrapped"]


def wrapped(
    provider: Provider,
    settings: Wrapping,
    *,
    budget: Budget | None = None,
    folder: Path | None = None,
    emit: Emit = ignore,
) -> Provider:
    """`provider` inside what `settings` ask for; their files lie in `folder`. Raises ConfigError."""
    inner = guarded(provider, settings, budget=budget, folder=folder, emit=emit)
    return persistent(inner, settings, folder=folder, emit=emit)


def guarded(
    provider: Provider,
    settings: Wrapping,
    *,
    budget: Budget | None = None,
    vendor: str | None = None,
    folder: Path | None = None,
    emit: Emit = ignore,
) -> Provider:
    """What stands around every single attempt: one call in, at most one call out."""
    if settings.record:
        provider = Recorded(provider, _placed(settings.record, folder), emit=emit)
    if settings.max_parallel:
        provider = Limited(provider, settings.max_parallel)
    if settings.breaker_failures:
        failures, cooldown_s = settings.breaker_failures, settings.breaker_cooldown_s
        provider = Breaker(provider, failures=failures, cooldown_s=cooldown_s, emit=emit)
    return Budgeted(provider, budget, vendor=vendor, emit=emit) if budget else provider


def persistent(
    provider: Provider, settings: Wrapping, *, folder: Path | None = None, emit: Emit = ignore
) -> Provider:
    """What asks several times, or not at all."""
    if settings.retries:
        retry = Retry(
            attempts=settings.retries + 1, first_s=settings.retry_first_s, max_s=settings.retry_max_s
        )
        provider = Retrying(provider, retry, emit=emit)
    provider = RefusedSchema(RefusedTools(provider, emit=emit), emit=emit)
    provider = InText(Unsealed(provider, emit=emit), emit=emit)
    if settings.cache:
        from .cached import Cached  # its schemas of requests and answers are built for those who keep some

        cache = cache_at(settings.cache, folder)
        provider = Cached(provider, cache, ttl_s=settings.cache_ttl_s, emit=emit)
    return provider


def cache_at(place: str, folder: Path | None = None) -> Cache:
    """ "memory", redis://host:port/0, or the path of a file, in `folder` when it is relative."""
    if place == "memory":
        return MemoryCache()
    scheme, mark, _ = place.partition("://")
    if not mark:
        return SqliteCache(_placed(place, folder))
    if scheme in REDIS:
        return RedisCache(place)
    raise ConfigError(f"a cache is 'memory', a file or redis://host:port/0, found {place!r}")


def _placed(file: str, folder: Path | None) -> Path:
    return (folder or Path()) / Path(file).expanduser()
