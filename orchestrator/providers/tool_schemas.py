"""Schemas of tools as every vendor takes them: an object with properties at the root and nothing beside.

MCP servers write any JSON Schema. At the root vendors refuse combinators, references and a missing `properties`;
below it, arrays that do not say of what. What cannot be said that way is told in the description.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any

from ..types import JsonObject
from .schemas import named

MAX_TOLD_CHARS = 400
OPENAI_DESCRIPTION_CHARS = 1_024
"""OpenAI's own services refuse a request with a longer one."""
MAX_DEPTH = 60
MAX_PARTS = 1_000  # of references and combinators at the root
_COMBINED = ("anyOf", "oneOf")
_TOLD = (
    "not",
    "if",
    "then",
    "else",
    "const",
    "enum",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
)
_NO_USE = ("$schema", "$id", "$comment", "id")


def fitted(schema: JsonObject) -> tuple[dict[str, Any], str]:
    """(a schema every vendor takes, what of the given one it does not say: a sentence, or nothing)."""
    unfold = partial(_unfolded, whole=schema, left=count(MAX_PARTS, -1))
    root = unfold(schema)
    notes = _folded(root, unfold)
    left = {key: root.pop(key) for key in _TOLD if key in root}
    if left:
        notes.append(f"The arguments must also follow {_short(left)}.")
    for key in _NO_USE:
        root.pop(key, None)
    required = _words(root.pop("required", ()))
    properties = _mapping(root.pop("properties", None))
    fit = _inner({**root, "type": "object", "properties": properties}, schema)
    for name in required:
        fit["properties"].setdefault(name, {})
    return fit | ({"required": required} if required else {}), " ".join(notes)


def shortened(description: str, limit: int = OPENAI_DESCRIPTION_CHARS) -> str:
    """`description` in at most `limit` characters."""
    return description if len(description) <= limit else f"{description[: limit - 3]}..."


def _unfolded(part: Any, whole: JsonObject, left: Iterator[int], depth: int = 0) -> dict[str, Any]:
    """A schema with its own reference and its `allOf` taken in. `left`: how many parts may still be, in all."""
    if not isinstance(part, Mapping) or depth > MAX_DEPTH or next(left) < 0:
        return {}
    out = {key: value for key, value in part.items() if key not in ("$ref", "allOf")}
    others = [*_list(part.get("allOf"))]
    if isinstance(ref := part.get("$ref"), str) and ref.startswith("#/"):
        others.insert(0, named(whole, ref))
    for other in others:
        inner = _unfolded(other, whole, left, depth + 1)
        properties = {**_mapping(inner.get("properties")), **_mapping(out.get("properties"))}
        required = _words((*_words(out.get("required")), *_words(inner.get("required"))))
        out = {**inner, **out}
        if properties:
            out["properties"] = properties
        if required:
            out["required"] = required
    return out


def _folded(root: dict[str, Any], unfold: Callable[[Any], dict[str, Any]]) -> list[str]:
    """Take the alternatives of the root in as properties none of which has to be there; what that loses."""
    notes: list[str] = []
    for key in _COMBINED:
        options = [unfold(one) for one in _list(root.pop(key, None))]
        if not options:
            continue
        properties: dict[str, Any] = dict(_mapping(root.get("properties")))
        for option in options:
            for name, value in _mapping(option.get("properties")).items():
                known = properties.get(name)
                if known is None or known == value:
                    properties[name] = value
                else:
                    earlier = (
                        known["anyOf"] if isinstance(known, Mapping) and set(known) == {"anyOf"} else [known]
                    )
                    properties[name] = {"anyOf": [*earlier, *([] if value in earlier else [value])]}
        always = set.intersection(*(set(_words(option.get("required"))) for option in options))
        root["properties"] = properties
        root["required"] = _words((*_words(root.get("required")), *(n for n in properties if n in always)))
        sets = [_words(option.get("required")) or [*_mapping(option.get("properties"))] for option in options]
        if any(sets):
            either = " or ".join("{" + ", ".join(one) + "}" for one in sets)
            notes.append(
                f"Give {'exactly one' if key == 'oneOf' else 'at least one'} of these sets: {_cut(either)}."
            )
    return notes


def _inner(value: Any, whole: JsonObject, depth: int = 0) -> Any:
    """A schema below the root: truth values as schemas, lost references and arrays of nothing as anything."""
    if depth > MAX_DEPTH or value is True:
        return {}
    if isinstance(value, list):
        return [_inner(one, whole, depth + 1) for one in value if one is not False]
    if not isinstance(value, Mapping):
        return value
    out: dict[str, Any] = {}
    for key, one in value.items():
        if key in ("properties", "$defs", "definitions", "patternProperties") and isinstance(one, Mapping):
            out[key] = {name: _inner(sub, whole, depth + 1) for name, sub in one.items() if sub is not False}
        elif key in ("items", "anyOf", "oneOf", "allOf", "prefixItems", "not", "contains"):
            out[key] = _inner(one, whole, depth + 1)
        else:
            out[key] = one  # `default`, `enum` and their like hold values, no schemas
    ref = out.get("$ref")
    if isinstance(ref, str) and not (ref == "#" or (ref.startswith("#/") and named(whole, ref))):
        del out["$ref"]
    if isinstance(out.get("items"), list):  # how older drafts wrote a tuple
        out["items"] = {"anyOf": out["items"]} if out["items"] else {}
    if out.get("type") == "array" and "items" not in out and "prefixItems" not in out:
        out["items"] = {}
    return out


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _words(value: Any) -> list[str]:
    if not isinstance(value, Iterable) or isinstance(value, str):
        return []
    return list(dict.fromkeys(one for one in value if isinstance(one, str)))


def _short(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TOLD_CHARS else f"{text[:MAX_TOLD_CHARS]}..."
