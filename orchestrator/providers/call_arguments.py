"""Arguments of a call as models write them, read leniently where the meaning is certain."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

MAX_CHARS = 1_000_000
_TRAILING = re.compile(r",(\s*[}\]])")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_NONE = object()


def object_in(written: object, *, whole: bool = True) -> dict[str, Any] | None:
    """The arguments object in `written`; None when it holds none that can be read for certain.

    Forgiven are a fence around it, JSON within JSON, line ends in strings, trailing commas and Python's literals.
    `whole` False: words after the object are passed over.
    """
    for _ in range(3):
        if isinstance(written, Mapping):
            return dict(written)
        if not isinstance(written, str) or len(written) > MAX_CHARS:
            return None
        text = _unfenced(written.strip())
        if not text:
            return {}
        written = value_in(text, whole=whole)
    return None


def value_in(text: str, *, whole: bool = True) -> Any:
    """The JSON or Python value that `text` is; a value of no type of JSON when it is neither."""
    decoder = json.JSONDecoder(strict=False, parse_constant=_no_constant)
    for attempt in (text, _TRAILING.sub(r"\1", text)):
        try:
            value, end = decoder.raw_decode(attempt)
        except (ValueError, RecursionError):
            continue
        if not whole or not attempt[end:].strip():
            return value
    try:
        value = ast.literal_eval(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _NONE
    return value


def fitted(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """`arguments` with numbers and truth values that stand as strings, where the schema wants nothing else."""
    properties: Any = schema.get("properties")
    if not isinstance(properties, Mapping):
        return dict(arguments)
    return {name: _fitted(value, properties.get(name)) for name, value in arguments.items()}


def _fitted(value: Any, schema: Any) -> Any:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if not isinstance(value, str):
        return value
    text = value.strip()
    match kind:
        case "integer" if re.fullmatch(r"-?\d{1,18}", text):
            return int(text)
        case "number" if _NUMBER.fullmatch(text) and len(text) < 40:
            return float(text) if re.search(r"[.eE]", text) else int(text)
        case "boolean" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "array" | "object" if text[:1] in ("[", "{"):
            found = value_in(text)
            return found if isinstance(found, list if kind == "array" else dict) else value
        case _:
            return value


def _unfenced(text: str) -> str:
    match = re.fullmatch(r"```[\w-]*[ \t]*\n?(.*?)\n?```", text, re.DOTALL)
    return match[1].strip() if match else text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")  # NaN would come back from every vendor as a refused request
