"""JSON Schema for answers: whether a schema is one, and whether a value fits it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, cast

import anyio
import anyio.to_process

CHECK_S = 3.0


def schema_wrong(schema: Mapping[str, object]) -> str | None:
    """Why this is no JSON Schema; None when it is one."""
    from jsonschema import exceptions, validators  # 20 ms to import, seldom needed

    try:
        validators.validator_for(schema).check_schema(cast("dict[str, Any]", schema))
    except exceptions.SchemaError as exc:
        return exc.message[:300]
    except (RecursionError, re.error) as exc:
        return str(exc)[:300]
    return None


async def misfit(schema: Mapping[str, object], value: object) -> str | None:
    """Where and why a value does not fit; None when it does.

    A regular expression can take for ever and would stop the whole server meanwhile: a schema with one is
    checked in a process of its own, for at most CHECK_S seconds.
    """
    if '"pattern' not in json.dumps(schema):
        return await anyio.to_thread.run_sync(_misfit, schema, value)
    with anyio.move_on_after(CHECK_S):
        return await anyio.to_process.run_sync(_misfit, schema, value, cancellable=True)
    return f"its patterns took longer than {CHECK_S:.0f} s on this answer"


def in_order(value: object, schema: object, top: Mapping[str, object] | None = None) -> object:
    """A value with the keys of its objects in the order the schema names them; others follow as they came."""
    whole = top if top is not None else cast("Mapping[str, object]", schema)
    if isinstance(value, list):
        items = _of(schema, "items", whole)
        return [in_order(item, items, whole) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, object]", value)
    known = _of(schema, "properties", whole, fields.keys())
    named = cast("Mapping[str, object]", known) if isinstance(known, dict) else {}
    keys = [*(key for key in named if key in fields), *(key for key in fields if key not in named)]
    return {key: in_order(fields[key], named.get(key), whole) for key in keys}


def _of(
    schema: object, part: str, whole: Mapping[str, object], keys: Collection[str] = (), depth: int = 0
) -> object:
    """The `items` or `properties` of a schema, looked up through its references; of alternatives the first that has a key."""
    if not isinstance(schema, dict) or depth > 20:
        return None
    said = cast("dict[str, object]", schema)
    if isinstance(said.get("$ref"), str):
        return _of(_referred(str(said["$ref"]), whole), part, whole, keys, depth + 1)
    if part in said:
        found = said[part]
        return found if not keys or (isinstance(found, dict) and found.keys() & set(keys)) else None
    for several in ("allOf", "anyOf", "oneOf"):
        for other in cast("list[object]", said.get(several) if isinstance(said.get(several), list) else []):
            if (found := _of(other, part, whole, keys, depth + 1)) is not None:
                return found
    return None


def _referred(ref: str, whole: object) -> object:
    """What a reference into the same schema means; None for any other."""
    steps = ref.removeprefix("#/").split("/") if ref.startswith("#/") else []
    for step in steps:
        whole = cast("dict[str, object]", whole).get(step) if isinstance(whole, dict) else None
    return whole if steps else None


def _misfit(schema: Mapping[str, object], value: object) -> str | None:
    from jsonschema import validators
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        # a registry of its own: an unknown $ref is an error, not something to fetch
        checker = validators.validator_for(schema)(cast("dict[str, Any]", schema), registry=Registry())
        fault = next(iter(checker.iter_errors(cast("Any", value))), None)
    except (Unresolvable, re.error, RecursionError, ValueError, TypeError) as exc:
        return f"the schema could not be applied: {str(exc)[:300]}"
    if fault is None:
        return None
    return f"at {'/'.join(map(str, fault.absolute_path)) or 'the top'}: {fault.message[:300]}"
