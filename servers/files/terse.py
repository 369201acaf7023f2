"""Tool schemas in as few tokens as they need: every host pays for them in every conversation."""

from __future__ import annotations

from typing import Any

import mcp_types as types
from mcp.server.mcpserver import Context

from ..outcome import ToolError, bounded
from ..serving import ToolServer

MAX_ERROR_BYTES = 12_000


class TerseServer(ToolServer):
    """A ToolServer whose schemas leave out what can be guessed, and whose errors are bounded as results are.

    Defaults are left out, and types beside enums. A flag's default is false, an enum's its first value; results say where a number's default cut them.
    """

    async def list_tools(self) -> list[types.Tool]:
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema = terse(tool.input_schema)
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> Any:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as exc:
            raise ToolError(bounded(str(exc), MAX_ERROR_BYTES)) from exc


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
