"""JSON Schemas in the forms the vendors take."""

from __future__ import annotations

from itertools import count
from typing import Any

from ..types import JsonObject

MAX_DEPTH = 12  # of references into references; a schema that contains itself is cut there
MAX_REFERENCES = 2_000  # that are replaced; a schema may name itself ten times over


def inlined(schema: JsonObject) -> dict[str, Any]:
    """`schema` with every local `$ref` replaced by what it names, for servers that ignore references."""
    root, replaced = dict(schema), count()

    def walk(value: Any, depth: int) -> Any:
        if isinstance(value, list):
            return [walk(inner, depth) for inner in value]
        if not isinstance(value, dict):
            return value
        ref = value.get("$ref")
        if isinstance(ref, str) and ref.startswith("#/"):
            rest = {k: v for k, v in value.items() if k != "$ref"}
            deep = depth == MAX_DEPTH or next(replaced) > MAX_REFERENCES
            return rest if deep else walk({**named(root, ref), **rest}, depth + 1)
        return {k: walk(v, depth) for k, v in value.items() if k not in ("$defs", "definitions")}

    return walk(root, 0)


def named(root: JsonObject, ref: str) -> dict[str, Any]:
    """What a local reference names; empty when that is not there."""
    found: Any = root
    for step in ref[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        found = found.get(key) if isinstance(found, dict) else None
    return dict(found) if isinstance(found, dict) else {}
