"""Values from models and vendors, made so that every store, wire and screen can carry them."""

from __future__ import annotations

import math
from typing import Any


def clean(text: str) -> str:
    """`text` that UTF-8 can carry: halves of a character that arrived apart are joined, lone ones replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def sane(value: Any) -> Any:
    """A JSON value without what JSON or UTF-8 cannot carry. Raises TypeError for what is no JSON at all."""
    match value:
        case None | bool() | int():
            return value
        case str():
            return clean(value)
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {clean(str(key)): sane(inner) for key, inner in value.items()}
        case list() | tuple():
            return [sane(inner) for inner in value]
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")


def word(value: Any) -> str:
    """A name or id. Raises TypeError for anything but text and None, which is empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"wanted text, found {type(value).__name__}")
    return clean(value)


def count(value: Any) -> int | None:
    """A number of tokens; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def vectors(wanted: int, found: Any) -> list[list[float]]:
    """`wanted` vectors of one size. Raises TypeError, ValueError for anything else."""
    made = [[float(number) for number in vector] for vector in found]
    if len(made) != wanted or len({len(vector) for vector in made}) > 1 or not all(made):
        raise ValueError(f"wanted {wanted} vectors of one size, found {len(made)}")
    if not all(math.isfinite(number) for vector in made for number in vector):
        raise ValueError("a vector has a number that is none")
    return made
