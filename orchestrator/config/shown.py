"""Every setting with its value and where it came from, as a person is shown it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from .files import Layer, Place
from .masking import MASK, masked
from .models import Config

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One line of `understudy config show`."""

    key: str
    value: Any  # secrets masked
    source: str  # file and line, environment variable, flag, or "default"


def settings(config: Config) -> list[Setting]:
    """All settings. Of named parts (providers, agents, servers) what was written, of the rest defaults too."""
    written = config.written.over(Layer(values=_defaults()))
    keys: dict[str, str] = written.values.pop("keys", {})
    shown = [
        Setting(
            key=".".join(place),
            value=masked(place, value),
            source=written.origins.get(place, DEFAULT),
        )
        for place, value in _leaves(written.values, ())
    ]
    return shown + [
        Setting(key=name, value=MASK, source=written.origin(("keys", provider)))
        for provider, name in sorted(keys.items())
    ]


def _defaults() -> dict[str, Any]:
    return Config().model_dump(exclude={"folder", "with_keys", "notices"})


def _leaves(value: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    """Down to what is no mapping; an empty one is a value."""
    if not isinstance(value, dict) or not value:
        yield place, value
        return
    for key, part in cast(dict[str, Any], value).items():
        yield from _leaves(part, (*place, key))
