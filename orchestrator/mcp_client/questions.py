"""A server's questions to the person, of every form the protocol has, put one field at a time.

The person is asked by `Approve`: with the choices there are, or with none where anything may be written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mcp.types import ElicitResult

from ..sanitize import one_line
from ..tools import Approve

MAX_FIELDS = 20
TRIES = 3
"""How often a field is asked for before the question is declined."""
DECLINED = ElicitResult(action="decline")


async def put(server: str, question: Any, approve: Approve) -> ElicitResult:
    """The person's answer; declined where they do not give it, or the form cannot be filled by anybody."""
    if getattr(question, "mode", "form") == "url":
        return await _address(server, question, approve)
    schema: Mapping[str, Any] = question.requested_schema
    fields: Mapping[str, Any] = schema.get("properties") or {}
    if len(fields) > MAX_FIELDS:
        return DECLINED
    if not fields:
        agreed = await approve(f"{server}: {question.message}", ("yes", "no"))
        return ElicitResult(action="accept", content={}) if agreed == "yes" else DECLINED
    content: dict[str, Any] = {}
    for name, field in fields.items():
        required = name in schema.get("required", ()) or len(fields) == 1
        asked = (
            "\n".join(filter(None, [f"{server}: {question.message}", field.get("description")]))
            if len(fields) == 1
            else _line(server, question.message, name, field)
        )
        answer = await _field(asked, field, required, approve)
        if answer is None:
            return DECLINED
        if answer != ():
            content[name] = answer
    return ElicitResult(action="accept", content=content)


async def _address(server: str, question: Any, approve: Approve) -> ElicitResult:
    """The person opens the address; what they do there stays between them and it."""
    text = f"{server}: {question.message}\nOpen {one_line(question.url, 2000)} in a browser. Is it done?"
    done = await approve(text, ("yes", "no"))
    return ElicitResult(action="accept") if done == "yes" else DECLINED


def _line(server: str, message: str, name: str, field: Mapping[str, Any]) -> str:
    title, note = field.get("title") or name, field.get("description")
    return f"{server}: {message}\n{title}" + (f" ({note})" if note else "")


async def _field(asked: str, field: Mapping[str, Any], required: bool, approve: Approve) -> Any:
    """A value; None when the person declines, () when they leave out what may be left out."""
    choices = choices_of(field)
    if choices is not None:
        given = await approve(asked, tuple(choices) if required else (*choices, "(none)"))
        return () if given == "(none)" else None if given is None else choices[given]
    hint = _hint(field)
    for _ in range(TRIES):
        given = await approve(f"{asked}{hint}", ())
        if given is None:
            return None
        if not given.strip() and ("default" in field or not required):
            return field.get("default", ())
        if (value := _read(given.strip(), field)) is not None:
            return value
        asked = f"that cannot be taken: {one_line(given, 60)}\n{asked}"
    return None


def choices_of(field: Mapping[str, Any]) -> dict[str, Any] | None:
    """{what the person sees: the value} of a field with few values; None where anything may be written."""
    if field.get("type") == "boolean":
        return {"yes": True, "no": False}
    options = field.get("oneOf") or field.get("anyOf") or ()
    titled = [
        (str(one.get("title") or one.get("const")), one.get("const")) for one in options if "const" in one
    ]
    if not titled:
        names: Sequence[Any] = field.get("enumNames") or field.get("enum") or ()
        titled = [(str(name), value) for name, value in zip(names, field.get("enum") or (), strict=False)]
    found = dict(titled)
    return found if found and len(found) == len(titled) else None


def _hint(field: Mapping[str, Any]) -> str:
    wanted: list[str] = []
    if field.get("type") == "array":
        of = choices_of(field.get("items") or {})
        wanted.append("several, with commas between" + (f": {', '.join(of)}" if of else ""))
    elif kind := {"integer": "a whole number", "number": "a number"}.get(str(field.get("type"))):
        wanted.append(kind)
    if default := field.get("default"):
        shown = ", ".join(map(str, default)) if isinstance(default, list) else str(default)
        wanted.append(f"nothing written is {one_line(shown, 60)}")
    return f" [{'; '.join(wanted)}]" if wanted else ""


def _read(given: str, field: Mapping[str, Any]) -> Any:
    """The value that was written; None where the field does not take it."""
    try:
        match field.get("type"):
            case "integer":
                return _within(int(given), field)
            case "number":
                return _within(float(given), field)
            case "array":
                of = choices_of(field.get("items") or {})
                words = [word.strip() for word in given.split(",") if word.strip()]
                few, many = field.get("minItems", 0), field.get("maxItems", len(words))
                return (
                    None if not few <= len(words) <= many else [of[word] for word in words] if of else words
                )
            case _:
                fits = field.get("minLength", 0) <= len(given) <= field.get("maxLength", 10_000)
                return given if fits else None
    except (ValueError, KeyError):
        return None


def _within(value: float, field: Mapping[str, Any]) -> float | None:
    low, high = field.get("minimum", float("-inf")), field.get("maximum", float("inf"))
    return value if math.isfinite(value) and low <= value <= high else None
