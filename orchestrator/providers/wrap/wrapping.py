"""What can be configured around a provider."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

REDIS = ("redis", "rediss", "unix")


def _cache(place: str) -> str:
    scheme, mark, _ = place.partition("://")
    if not place.strip() or (mark and scheme not in REDIS):
        raise ValueError(f"a cache is 'memory', a file or redis://host:port/0, found {place!r}")
    return place


Cache = Annotated[Literal["memory"] | str, AfterValidator(_cache)]
"""memory, a file, or redis://host:port/0."""


class Wrapping(BaseModel):
    """Nothing here: three retries, and a provider that failed five times in a row is left alone for a minute."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_parallel: int | None = Field(default=None, ge=1, le=1000)  # calls at a time; None: no limit
    retries: int = Field(default=3, ge=0, le=20)  # after the first try
    retry_first_s: float = Field(default=1.0, gt=0, le=3600, allow_inf_nan=False)  # doubles from try to try
    retry_max_s: float = Field(default=60.0, gt=0, le=3600, allow_inf_nan=False)
    breaker_failures: int | None = Field(default=5, ge=1)  # in a row; None: no breaker
    breaker_cooldown_s: float = Field(default=60.0, gt=0, le=864_000, allow_inf_nan=False)
    cache: Cache | None = None  # of answers: memory, a file or redis://host:port/0; None: nothing is cached
    cache_ttl_s: float | None = Field(default=3600.0, gt=0, allow_inf_nan=False)  # None: for ever
    record: str | None = Field(default=None, min_length=1)  # a file that `scripted:` can play
