"""Arguments of programs: one where a list would do, and one sentence for what does not fit."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..errors import ConfigError
from .files import short
from .names import LabelKey, LabelValue


def listed(given: Any, what: str) -> tuple[Any, ...]:
    """Several, or one: a str is one and not its letters. Raises ConfigError that begins with `what`."""
    if isinstance(given, str) or callable(given):
        return (given,)
    if isinstance(given, Iterable):
        return tuple(given)
    raise ConfigError(f"{what}: wanted a list, found {short(given)}")


def names(given: Any, what: str) -> tuple[str, ...]:
    """As `listed`, of text alone."""
    found = listed(given, what)
    if strange := [one for one in found if not isinstance(one, str)]:
        raise ConfigError(f"{what}: wanted text, found {short(strange[0])}")
    return found


def text(given: Any, what: str) -> str:
    """`given`, which has to be text. Raises ConfigError that begins with `what`."""
    if not isinstance(given, str):
        raise ConfigError(f"{what}: wanted text, found {short(given)}")
    return given


def told_at_once(given: Any, what: str) -> None:
    """Raises ConfigError for a callback that nobody could call, or would have to wait for."""
    if not callable(given) or inspect.iscoroutinefunction(given):
        found = short(given) if not callable(given) else "one that is async"
        raise ConfigError(f"{what}: wanted a function that is called and not awaited, found {found}")


def labels(given: Any) -> dict[str, str]:
    """Labels of what is spent. Raises ConfigError."""
    try:
        return _labels().validate_python(given, strict=True)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        said = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"labels: {said}; found {short(given)}") from None


@cache
def _labels() -> TypeAdapter[dict[str, str]]:
    return TypeAdapter(dict[LabelKey, LabelValue])
