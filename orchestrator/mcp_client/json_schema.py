"""What is wrong with a foreign JSON Schema, or with a value of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..sanitize import one_line


def fault(schema: Mapping[str, Any]) -> str | None:
    """Why `schema` is no JSON Schema of any draft in use; None when it is one."""
    from jsonschema.exceptions import (
        SchemaError,
        best_match,
    )  # a tenth of a second, for foreign servers alone
    from jsonschema.validators import Draft4Validator, Draft202012Validator, validator_for

    said: str | None = None
    try:
        for draft in (validator_for(schema, default=Draft202012Validator), Draft4Validator):
            error = best_match(draft(draft.META_SCHEMA).iter_errors(schema))
            if error is None:
                return None
            said = said or _said(error)
    except SchemaError as exc:
        return _said(exc)
    except RecursionError:
        return "it is nested too deeply"
    except Exception as exc:  # noqa: BLE001  ("$schema" may hold anything, and the library trusts it)
        return one_line(f"{type(exc).__name__}: {exc}", 120)
    return said


def mismatch(value: Any, schema: Mapping[str, Any]) -> str | None:
    """How `value` does not follow `schema`; None when it does, or when nobody can say."""
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    try:
        draft = validator_for(schema, default=Draft202012Validator)
        error = best_match(draft(schema, registry=Registry()).iter_errors(value))
    except Exception:  # noqa: BLE001  (a schema that cannot be used says nothing about the value)
        return None
    return None if error is None else _said(error)


def _said(error: Any) -> str:
    where = ".".join(str(step) for step in error.absolute_path)
    return one_line(f"{where}: {error.message}" if where else error.message, 160)
