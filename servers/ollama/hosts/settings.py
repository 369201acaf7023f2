"""Which hosts a server works on: the words of `--host`, else what UNDERSTUDY_HOSTS holds, else the default engine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..engines.protocol import EngineError

VARIABLE = "UNDERSTUDY_HOSTS"
"""JSON of {name: {"address": ..., "slots": ..., "usd_per_hour": ..., "key": ...}}, as `hosts` in config.yaml."""


class HostSettings(BaseModel):
    """One place where models run."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    address: str = ""
    """As --host takes it; empty is the default engine."""
    slots: Annotated[int, Field(ge=1, le=64)] = 1
    """Runs of one model it takes at once."""
    usd_per_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """None: not counted."""
    key: str | None = Field(default=None, repr=False)
    """Sent as a bearer token."""


def hosts_named(words: Sequence[str]) -> dict[str, HostSettings]:
    """By name; one with an empty name where there is only one. Raises EngineError.

    A word is ENGINE or NAME=ENGINE. Naming any takes the place of what the environment says.
    """
    if len(words) == 1 and not _name(words[0]):
        return {"": HostSettings(address=words[0])}
    if words:
        named = [(_name(word) or _place(word), word.removeprefix(f"{_name(word)}=")) for word in words]
        twice = [name for name, number in Counter(name for name, _ in named).items() if number > 1]
        if twice:
            raise EngineError(f"--host names {twice[0]} twice; NAME=ENGINE gives each a name of its own")
        return {name: HostSettings(address=address) for name, address in named}
    if not (text := os.environ.get(VARIABLE)):
        return {"": HostSettings()}
    try:
        found = TypeAdapter(dict[str, HostSettings]).validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise EngineError(f"{VARIABLE}: {where}: {first['msg']}") from exc
    return found or {"": HostSettings()}


def are_configured(words: Sequence[str]) -> bool:
    """Whether the hosts are those of the environment, which a person has named one by one: they may be remote."""
    return not words and bool(os.environ.get(VARIABLE))


def _name(word: str) -> str:
    """What stands before "=" in a word, where that is a name."""
    name, equals, _ = word.partition("=")
    return name if equals and name.replace("-", "").replace("_", "").replace(".", "").isalnum() else ""


def _place(address: str) -> str:
    """A name for an address without one: host and port, without who asks."""
    address = address.removeprefix("llamacpp:")
    parts = urlsplit(address if "://" in address else f"//{address}")
    return parts.netloc.rpartition("@")[2] or address
