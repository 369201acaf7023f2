"""The schema of an answer as its vendor takes it. Each takes a subset of JSON Schema and refuses a request with more.

What a vendor has no word for is told in the description that stands beside it, as the vendors' SDKs do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..types import JsonObject, Request

_FORMATS = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"]
)
IN_WORDS = "Answer with one JSON value that follows this JSON Schema, and nothing else:"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subset:
    keys: frozenset[str]  # besides those every vendor has
    closed: bool = True  # objects name all of their properties, and every value its type
    all_required: bool = False
    recursive: bool = True
    formats: frozenset[str] = _FORMATS


CLAUDE = _Subset(keys=frozenset({"const"}), recursive=False)
"""Anthropic's structured outputs, and Bedrock's, which are the same for all models there."""
STRICT = _Subset(
    keys=frozenset(
        [
            "const",
            "pattern",
            "multipleOf",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "minItems",
            "maxItems",
        ]
    ),
    all_required=True,
    formats=_FORMATS - {"uri"},
)
"""OpenAI's strict mode."""
GEMINI = _Subset(
    keys=frozenset(["minItems", "maxItems", "minimum", "maximum", "prefixItems"]),
    closed=False,
    formats=frozenset({"date-time", "date", "time"}),
)


class _Unsaid(Exception):
    """The subset has no way to say it."""


def fitting(schema: JsonObject, subset: _Subset) -> dict[str, Any] | None:
    """`schema` in the words of `subset`; None where it cannot be said with them."""
    rings = _rings(schema)
    if (rings or "#" in _refs(schema)) and not subset.recursive:
        return None
    try:
        fit = _fit(schema, subset)
    except (_Unsaid, RecursionError):
        return None
    if not subset.closed:
        for name, part in fit.get("$defs", {}).items():
            _loosen(part, rings.get(name, frozenset()))
    return fit if "properties" in fit or not subset.closed else None


def strict(schema: JsonObject) -> dict[str, Any]:
    """`schema` as OpenAI takes it, in strict mode where it can be said there."""
    fit = fitting(schema, STRICT)
    return {"schema": dict(schema) if fit is None else fit, "strict": fit is not None}


def bound(request: Request, subset: _Subset) -> tuple[Request, dict[str, Any] | None]:
    """`request` and the schema to send with it; one that cannot be sent stands in the system prompt."""
    if not request.schema:
        return request, None
    if (form := fitting(request.schema, subset)) is not None:
        return request, form
    return in_words(request), None


def in_words(request: Request) -> Request:
    """The same with its schema in the system prompt alone."""
    said = f"{request.system}\n\n{IN_WORDS}\n{json.dumps(dict(request.schema or {}))}".strip()
    return replace(request, system=said, schema=None)


def _fit(schema: Any, subset: _Subset) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or not schema:
        if subset.closed or schema is False:
            raise _Unsaid
        return {}
    out: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "properties" | "$defs":
                out[key] = {name: _fit(one, subset) for name, one in value.items()}
            case "anyOf" | "oneOf":
                out["anyOf"] = [_fit(one, subset) for one in value]
            case "prefixItems" if key in subset.keys:
                out[key] = [_fit(one, subset) for one in value]
            case "items" if isinstance(value, Mapping):
                out[key] = _fit(value, subset)
            case "additionalProperties" if isinstance(value, bool) or not subset.closed:
                out[key] = value if isinstance(value, bool) else _fit(value, subset)
            case "allOf" | "prefixItems" | "additionalProperties" | "items":
                raise _Unsaid
            case "title" if isinstance(value, str):
                pass
            case "discriminator":
                pass
            case "$ref" if value != "#" and not str(value).startswith("#/$defs/"):
                raise _Unsaid
            case "type" | "enum" | "required" | "description" | "$ref":
                out[key] = value
            case "const" if key not in subset.keys:
                out |= (
                    {"enum": [value]} if isinstance(value, str | int) and not isinstance(value, bool) else {}
                )
            case "format" if value in subset.formats:
                out[key] = value
            case "minItems" if value in (0, 1):
                out[key] = value
            case "pattern" if "(?" in str(value):  # nobody's grammars look ahead
                told[key] = value
            case _ if key in subset.keys:
                out[key] = value
            case _:
                told[key] = value
    return _whole(out, told, subset)


def _whole(out: dict[str, Any], told: Mapping[str, Any], subset: _Subset) -> dict[str, Any]:
    if "properties" in out or out.get("type") == "object":
        if subset.closed and ("properties" not in out or out.setdefault("additionalProperties", False)):
            raise _Unsaid
        if subset.all_required:
            out["required"] = list(out["properties"])
    kind = out.get("type")
    if subset.closed:
        vague = not out.keys() & {"type", "anyOf", "$ref", "enum", "const"}
        if vague or isinstance(kind, list) or (kind == "array" and "items" not in out):
            raise _Unsaid
    if told:
        said = "{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in told.items()) + "}"
        out["description"] = "\n\n".join(one for one in (out.get("description"), said) if one)
    if "$ref" in out and len(out) > 1 and "$defs" not in out:  # nothing may stand beside it
        words = {"description": out["description"]} if "description" in out else {}
        return {"anyOf": [{"$ref": out["$ref"]}], **words} if words else {"$ref": out["$ref"]}
    return out


def _rings(schema: JsonObject) -> dict[str, frozenset[str]]:
    """{definition that holds itself: the definitions on its way back}."""
    defs: Mapping[str, Any] = schema.get("$defs") or {}
    near = {name: frozenset(_refs(part)) & defs.keys() for name, part in defs.items()}
    reach = {name: _reached(name, near) for name in defs}
    return {
        name: frozenset(o for o in near[name] if name == o or name in reach[o])
        for name in defs
        if name in reach[name]
    }


def _reached(name: str, near: Mapping[str, frozenset[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [*near[name]]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += near[one]
    return found


def _refs(value: Any) -> Iterable[str]:
    if isinstance(value, list):
        for one in value:
            yield from _refs(one)
    elif isinstance(value, Mapping):
        if isinstance(ref := value.get("$ref"), str):
            yield ref.removeprefix("#/$defs/")
        for one in value.values():
            yield from _refs(one)


def _loosen(part: dict[str, Any], ring: frozenset[str]) -> None:
    """Gemini follows a reference back to itself only where the property may be left out."""
    properties: Mapping[str, Any] = part.get("properties") or {}
    back = {name for name, one in properties.items() if not ring.isdisjoint(_refs(one))}
    if back and "required" in part:
        part["required"] = [name for name in part["required"] if name not in back]
