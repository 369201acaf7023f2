"""Tool schemas in as few tokens as they need: every host pays for them in every conversation."""

from __future__ import annotations

from typing import Any

import mcp_types as types

from ..serving import ToolServer


class TerseServer(ToolServer):
    """A ToolServer whose schemas leave out what can be guessed: defaults, and types beside enums.

    A flag's default is false, an enum's its first value; results say where a number's default cut them.
    """

    async def list_tools(self) -> list[types.Tool]:
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema = terse(tool.input_schema)
        return tools


def terse(schema: Any, defs: Any = None) -> Any:
    """The schema without defaults, without types beside enums, with references resolved."""
    if isinstance(schema, list):
        return [terse(item, defs) for item in schema]
    if not isinstance(schema, dict):
        return schema
    defs = schema.get("$defs", defs)
    if "$ref" in schema:
        return terse(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "properties" in schema:
        named = {name: terse(inner, defs) for name, inner in schema["properties"].items()}
        kept = {key: schema[key] for key in ("required", "type") if key in schema}
        return {"properties": named, **kept}
    left_out = {"default", "$defs", "additionalProperties"} | ({"type"} if "enum" in schema else set())
    return {key: terse(value, defs) for key, value in schema.items() if key not in left_out}
