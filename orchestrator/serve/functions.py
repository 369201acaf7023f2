"""Python functions as the tools of an MCP server: checked, bounded and asked for as everywhere else."""

# No `from __future__ import annotations`: the SDK reads the annotation that names the local `ask` when it is registered.

from collections.abc import Sequence
from typing import Annotated, Any

import anyio
import mcp_types as types
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from pydantic import BaseModel, Field

from servers.protocol.server import ToolServer, can_ask

from ..function_tools import FunctionTool, FunctionTools
from ..function_tools.toolbox import question
from ..types import Image, Text, ToolCall, ToolResult


class Yes(BaseModel):
    """The user's answer."""

    run: bool = Field(description="let the model make this call")


class FunctionServer(ToolServer):
    """Lists the functions as they are described, and calls them with what the client sent."""

    def __init__(self, tools: FunctionTools, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.tools = tools
        for one in tools.tools.values():
            _register(self, one)

    async def list_tools(self) -> list[types.Tool]:
        return [_listed(one) for one in self.tools.tools.values()]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> Any:
        known = name in self.tools.tools
        return await super().call_tool(name, {"arguments": arguments} if known else {}, context)


def build(
    tools: Sequence[FunctionTool[..., Any]], *, name: str = "understudy-functions", **options: Any
) -> ToolServer:
    """The server that offers them; `options` are ToolServer's. Raises ConfigError when two have one name."""
    return FunctionServer(FunctionTools(tools), name, **options)


def _register(server: ToolServer, one: FunctionTool[..., Any]) -> None:
    def ask(arguments: dict[str, Any], ctx: Context[Any, Any]) -> Elicit[Yes] | Yes:
        if not (one.needs_approval and can_ask(ctx)):
            return Yes(run=not one.needs_approval)
        return Elicit(question(ToolCall(id="call", name=one.name, arguments=arguments)), Yes)

    async def work(
        arguments: dict[str, Any],
        ctx: Context[Any, Any],
        answer: Annotated[ElicitationResult[Yes], Resolve(ask)],
    ) -> types.CallToolResult:
        async def approve(_question: str, _choices: Sequence[str]) -> str | None:
            return "yes" if isinstance(answer, AcceptedElicitation) and answer.data.run else None

        found: list[ToolResult] = []
        box = FunctionTools([one], approve if can_ask(ctx) else None)
        call = ToolCall(id="call", name=one.name, arguments=arguments)
        async with anyio.create_task_group() as group:

            def progress(done: float, total: float | None, message: str) -> None:
                group.start_soon(ctx.report_progress, done, total, message)

            found.append(await box.call(call, progress))
        content = [_block(part) for part in found[0].content]
        return types.CallToolResult(content=content, is_error=found[0].is_error)

    server.add_tool(work, name=one.name, description=one.spec.description)


def _listed(one: FunctionTool[..., Any]) -> types.Tool:
    spec = one.spec
    hints = types.ToolAnnotations(read_only_hint=spec.read_only, destructive_hint=spec.destructive)
    return types.Tool(
        name=spec.name,
        description=spec.description,
        input_schema=dict(spec.parameters),
        annotations=hints if (spec.read_only, spec.destructive) != (None, None) else None,
    )


def _block(part: Text | Image) -> types.ContentBlock:
    if isinstance(part, Image):
        return types.ImageContent(type="image", data=part.data, mime_type=part.mime)
    return types.TextContent(type="text", text=part.text)
