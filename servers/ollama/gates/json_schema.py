"""JSON Schema for answers: whether a schema is one, and whether a value fits it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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
