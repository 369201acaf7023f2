"""What a pattern takes, read from its definition, for every door: options, words in a chat, keys and tool schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ..errors import ConfigError
from .files import short
from .patterns import BY_USE, AskSettings, JobSettings, PatternSettings, SpecialistSettings, use_of
from .wanted import wanted

Kind = Literal["text", "model", "words", "models", "members", "count", "number", "yes"]
"""How a value is typed: "words" and "models" are lists, "members" are models by a name of their own."""
_BY_TYPE: dict[str, Kind] = {
    "integer": "count",
    "number": "number",
    "boolean": "yes",
    "array": "words",
    "object": "members",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a pattern."""

    name: str
    kind: Kind
    meaning: str
    required: bool
    default: Any  # None: there is none to tell
    option: str  # its name on the command line
    beside: str = ""  # of members: what else may be said of each in a word
    each: str = ""  # of members: what those are called that were given no name
    schema: Mapping[str, Any]  # as JSON Schema, for a model


@cache
def parameters(use: str) -> tuple[Parameter, ...]:
    """Those of this pattern, in the order of its definition; what has no description there is for config.yaml alone."""
    settings = BY_USE[use]
    schema = settings.model_json_schema()
    if "$ref" in schema:  # of one that may hold itself
        schema = schema["$defs"][settings.__name__]
    required = schema.get("required", ())
    return tuple(
        _parameter(name, schema["properties"][name], name in required)
        for name, field in settings.model_fields.items()
        if field.description
    )


def _parameter(name: str, written: Mapping[str, Any], required: bool) -> Parameter:
    value = next((one for one in written.get("anyOf", ()) if one["type"] != "null"), written)
    kind = _BY_TYPE.get(value["type"], "text")
    if value.get("format") == "model":
        kind = "model"
    elif value.get("items", {}).get("format") == "model":
        kind = "models"
    default = written.get("default")
    return Parameter(
        name=name,
        kind=kind,
        meaning=written["description"],
        required=required,
        default=None if default in ([], {}, "") else default,
        option=written.get("option", name).replace("_", "-"),
        beside=written.get("beside", ""),
        each=written.get("each", ""),
        schema={"description": written["description"], **_told(kind, value, default, written.get("beside"))},
    )


def _told(kind: Kind, value: Mapping[str, Any], default: Any, beside: str | None) -> dict[str, Any]:
    """The rest of the schema: types and limits without what only repeats them."""
    if kind == "members":
        one = {"model": {"type": "string"}, beside: {"type": "string"}}
        return {
            "type": "object",
            "additionalProperties": {"type": "object", "properties": one, "required": ["model"]},
        }
    if kind in ("words", "models"):
        return {"type": "array", "items": {"type": "string"}}
    limits = {key: value[key] for key in ("enum", "minimum", "maximum") if key in value}
    return {"type": value["type"], **limits, **({} if default in (None, "") else {"default": default})}


def of_models(use: str, models: Sequence[str]) -> dict[str, Any]:
    """The values that a plain list of models stands for. Raises ConfigError where it does not fit."""
    known = {one.name: one for one in parameters(use)}
    names = BY_USE[use].members
    *single, last = (known[name] for name in names)
    if last.kind == "model":
        single = [*single, last]
    if len(models) < len(single) or (last.kind == "model" and len(models) > len(single)):
        raise ConfigError(f"wanted {' and '.join(names)} as models, found {len(models)}")
    values: dict[str, Any] = {one.name: model for one, model in zip(single, models, strict=False)}
    rest = list(models[len(single) :])
    if last.kind == "members":
        rest = {f"{last.each}{place}": model for place, model in enumerate(rest, 1)}
    return values if last.kind == "model" or not rest else {**values, last.name: rest}


def of_word(use: str, word: str) -> tuple[str, Any] | None:
    """The parameter and value that key=value says; None where it is no parameter. Raises ConfigError for a near miss."""
    key, equals, text = word.partition("=")
    known = {one.name: one for one in parameters(use) if one.kind != "members"}
    if not equals or not key.isidentifier():
        return None
    if key not in known:
        if near := get_close_matches(key, known, n=1, cutoff=0.8):
            raise ConfigError(f"there is no {key!r} of {use}; did you mean {near[0]}={text}?")
        return None
    return key, valued(known[key].kind, text)


def valued(kind: Kind, text: str) -> Any:
    """What was typed, as JSON has it; what cannot be stays text, which the check of the whole refuses by its name."""
    match kind:
        case "words" | "models":
            return listed(text)
        case "count" | "number" | "yes":
            try:
                return json.loads({"yes": "true", "no": "false"}.get(text, text))
            except ValueError:
                return text
        case _:
            return text


def listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def settings_of(values: Mapping[str, Any], *, options: bool = False) -> PatternSettings:
    """A pattern as it was typed. Raises ConfigError naming the parameter, or with `options` its option."""
    if (use := use_of(values)) not in BY_USE:
        raise ConfigError(
            f"there is no pattern {use!r}; there are {', '.join(BY_USE)}, and those of config.yaml"
        )
    try:
        written = json.dumps(dict(values), ensure_ascii=False).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as exc:
        found = "half of a character" if isinstance(exc, UnicodeEncodeError) else str(exc)
        raise ConfigError(f"{use}: wanted text, numbers, lists and keys with values, found {found}") from exc
    try:
        return pattern_type().validate_json(written)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        loc = ("patterns", *(repr(part)[1:-1] for part in map(str, first["loc"]) if part != "[key]"))
        place = list(written_place(loc)[2:])
        if first["type"] == "extra_forbidden":
            known = ", ".join(fields_at(tuple(place)[:-1], use))
            raise ConfigError(f"there is no setting {'.'.join(place)!r} of {use}; there are {known}") from exc
        named = {one.name: f"--{one.option}" for one in parameters(use)} if options else {}
        place = [named.get(part, part) if at == 0 else part for at, part in enumerate(place or [use])]
        if first["type"] == "missing":
            raise ConfigError(f"{use}: {'.'.join(place)} is missing") from exc
        if first["type"] == "union_tag_invalid":
            place, first["input"] = [*place, "use"], use_of(first["input"])
        found = "" if first["type"] == "value_error" else f", found {short(first['input'])}"
        raise ConfigError(f"{'.'.join(place)}: {wanted(first)}{found}") from exc


@cache
def pattern_type() -> TypeAdapter[PatternSettings]:
    return TypeAdapter(PatternSettings)


def written_place(place: tuple[str, ...]) -> tuple[str, ...]:
    """A place as validation names it without the kinds it puts behind the names of patterns and stages."""
    kept = list[str]()
    for part in place:
        named = len(kept) >= 2 and kept[-2] in ("patterns", "stages")
        if not (named and part in BY_USE):
            kept.append(part)
    return tuple(kept)


def fields_at(place: tuple[str, ...], use: str) -> list[str]:
    """The keys there may be at the place of a pattern or stage of this kind, or of one of its members."""
    inner = {"specialists": SpecialistSettings, "jobs": JobSettings}.get(place[-2] if len(place) >= 2 else "")
    return list((inner or BY_USE.get(use, AskSettings)).model_fields)
