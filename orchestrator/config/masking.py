"""What a person may see of settings on a screen or in a log: secrets become ***, the rest stays as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

from .files import Place

MASK = "***"
_WORDS = (
    r"(?<![a-z])(?:api|access|private|secret|client|auth|session|refresh)?[-_]?"
    r"(?:key|token|secret|password|passwd|pwd|credentials?|authorization|auth|cookie|signature|sig)(?![a-z])"
)
_NAME = re.compile(_WORDS, re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s?#]*@")
_ASSIGNED = re.compile(rf"({_WORDS}[\"']?\s*[=:]\s*[\"']?)[^\s&\"',;]+", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:sk-|ghp_|gho_|github_pat_|glpat-|xox[abprs]-|hf_|AKIA|AIza|eyJ)[\w.-]{8,}"
)  # keys of vendors, wherever they stand
_SEALED = {"env", "headers", "oauth"}
"""Of a server: what stands there often is a secret under any name."""


def masked(place: Place, value: Any) -> Any:
    """The value of the setting at `place` with every secret in it as ***; a value that is none stays the same."""
    if isinstance(value, dict):
        return {key: masked((*place, key), part) for key, part in cast(dict[str, Any], value).items()}
    if isinstance(value, list | tuple):
        return _arguments(place, cast(Sequence[Any], value))
    if not isinstance(value, str) or not value:
        return value
    if place[0] == "servers" and _SEALED & set(place[2:-1]):
        return MASK
    if _NAME.search(place[-1]) and not place[-1].endswith("_env"):  # api_key_env names a variable
        return MASK
    text = _IN_ADDRESS.sub(f"{MASK}@", value)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    return _SHAPES.sub(MASK, _ASSIGNED.sub(rf"\1{MASK}", text))


def _arguments(place: Place, values: Sequence[Any]) -> list[Any]:
    """A list, where what follows an option such as --api-key is masked too."""
    shown: list[Any] = []
    for before, value in zip((None, *values), values, strict=False):
        option = isinstance(before, str) and before.startswith("-") and "=" not in before
        shown.append(MASK if option and _NAME.search(str(before)) else masked(place, value))
    return shown
