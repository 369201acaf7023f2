"""Whether what a command prints with --json is what its schema says, no field more and no field less."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from orchestrator.commands.results import RESULTS, schema_of


def described(command: str, out: str) -> Any:
    """The one object on the one line of `out`, checked. `command`: as in RESULTS, "sessions show"."""
    (line,) = out.splitlines()
    record = json.loads(line)
    if problem := best_match(_validator(command).iter_errors(record)):
        raise AssertionError(f"{command}: {problem.json_path}: {problem.message}")
    return record


@cache
def _validator(command: str) -> Draft202012Validator:
    assert command in RESULTS, (
        f"{command} prints JSON that orchestrator/commands/results.py does not describe"
    )
    return Draft202012Validator(_closed(schema_of(command)))


def _closed(schema: Any) -> Any:
    """The same with every object's fields all named: one that nobody described is a mistake."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _closed(value) for key, value in schema.items()}
    return inner | {"additionalProperties": False} if "properties" in schema else inner
