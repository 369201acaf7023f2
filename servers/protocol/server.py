"""An MCP server whose tool list is small, whose errors are sentences, and whose results are records."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import mcp_types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError as SdkToolError
from mcp.server.mcpserver.exceptions import UnexpectedToolError
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from ..output import ToolError, bounded, visible
from .sdk_private import tools_of

MAX_ERROR_BYTES = 12_000

log = logging.getLogger(__name__)


class ToolServer(MCPServer):
    """Says what is wrong with a call in one sentence, and shows schemas in few tokens.

    `terse`: schemas leave defaults out too, and types beside enums: a flag's default is then false, an enum's
    its first value, and results say where a number's default cut them.
    """

    def __init__(self, name: str, *, terse: bool = False, **options: Any) -> None:
        super().__init__(name, version=version("understudy"), **options)
        self.terse = terse

    async def list_tools(self) -> list[types.Tool]:
        tools = await super().list_tools()
        for tool in tools:
            tool.description = inspect.cleandoc(tool.description or "")
            tool.input_schema = compact(tool.input_schema)
            if self.terse:
                tool.input_schema = terse(tool.input_schema)
            if tool.output_schema is not None:
                tool.output_schema = compact(tool.output_schema)
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> Any:
        tools = tools_of(self)
        tool = tools.get(name)
        if tool is None:
            known = ", ".join(tools)
            raise SdkToolError(bounded(f"no tool {name!r} here; there are {known}", MAX_ERROR_BYTES))
        properties: Mapping[str, Any] = tool.parameters.get("properties", {})
        if unknown := [key for key in arguments if key not in properties]:
            raise SdkToolError(
                f"{name} has no parameter {_short(repr(unknown[0]))}; it takes {_signature(tool.parameters)}"
            )
        arguments = {key: value for key, value in arguments.items() if value is not None}  # null: the default
        try:
            return await super().call_tool(name, arguments, context)
        except MCPError as exc:  # of our tools' own only a question to the user can raise it
            said = bounded(visible(exc.error.message), 200)
            raise SdkToolError(
                f"{name} did nothing: the host answered the question to the user with an error ({said}); where nobody "
                "can be asked, the server's options (--help) can permit it unasked"
            ) from exc
        except UnexpectedToolError as exc:
            if isinstance(exc.__cause__, ToolError):
                raise SdkToolError(bounded(visible(str(exc.__cause__)), MAX_ERROR_BYTES)) from exc
            log.exception("tool %s crashed", name)
            raise SdkToolError(
                f"{name} failed through a fault of its own; the server's log has the details"
            ) from None
        except SdkToolError as exc:
            if isinstance(exc.__cause__, ValidationError):
                raise SdkToolError(_invalid(name, exc.__cause__, tool.parameters)) from exc
            said = str(exc).removeprefix(f"Error executing tool {name}: ")
            if re.match(r"Resolver '.*accepted elicitation", said):
                said = f"the question was accepted without one of its answers, so {name} did nothing"
            raise SdkToolError(bounded(visible(said), MAX_ERROR_BYTES)) from exc


def reply(
    record: BaseModel, *, text: str | None = None, error: bool = False, defaults: bool = True
) -> types.CallToolResult:
    """The record as structure and as the same JSON in text, for hosts that show only one of them.

    `text`: stands in place of the JSON. `error`: it is a tool error. `defaults`: False leaves out fields that
    have their default value.
    """
    dropped = not defaults
    return types.CallToolResult(
        content=[
            types.TextContent(type="text", text=text or record.model_dump_json(exclude_defaults=dropped))
        ],
        structured_content=record.model_dump(mode="json", exclude_defaults=dropped),
        is_error=error,
    )


def can_ask(ctx: Context[Any, Any]) -> bool:
    """Whether the client shows forms; a bare `elicitation: {}` is the older way to say so."""
    capabilities = ctx.client_capabilities
    able = capabilities.elicitation if capabilities else None
    return able is not None and (able.form is not None or able.url is None)


NOT_AGREED = "the user declined, or the host declines by itself where nobody sits at the screen"
"""Why a question came back without a yes: from here the two cannot be told apart."""


def compact(schema: Any) -> Any:
    """A JSON Schema without the titles pydantic adds: a third of the tokens, the same meaning."""
    if isinstance(schema, list):
        return [compact(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in ("properties", "$defs") and isinstance(value, dict):
            out[key] = {name: compact(inner) for name, inner in value.items()}
        elif (
            key == "anyOf"
            and {"type": "null"} in value
            and len(value) == 2
            and schema.get("default", 0) is None
        ):
            out |= compact(
                next(inner for inner in value if inner != {"type": "null"})
            )  # optional, no need to say null
        elif not (
            key == "default" and (value is None or value is False or value == "")
        ):  # as one takes it anyway
            out[key] = compact(value)
    return out


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


def _invalid(name: str, error: ValidationError, schema: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "arguments"
    if first["type"] == "missing":
        return f"{name} needs {where}; it takes {_signature(schema)}"
    said = f"{_short(where)}: {first['msg']}, found {_short(repr(first['input']))}"
    return f"{name}: {said}; it takes {_signature(schema)}"


def _short(found: str) -> str:
    return found if len(found) <= 80 else found[:77] + "..."


def _signature(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", [])
    return (
        ", ".join(key if key in required else f"{key}?" for key in schema.get("properties", {}))
        or "no parameters"
    )
