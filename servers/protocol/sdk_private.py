"""The private parts of the MCP SDK that we lean on, all of them: what an SDK release may break stands here.

Each is taken because the public face (mcp 2.3) has no way: another transport than the SDK's own stdio, leaving
a middleware out, looking at a tool before it is called, naming the type of a transport.
"""

from __future__ import annotations

from typing import Any

from mcp.client._transport import TransportStreams
from mcp.server import MCPServer
from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.lowlevel import Server
from mcp.server.mcpserver.tools.base import Tool


def lowlevel_of(server: MCPServer) -> Server[Any]:
    """The protocol server inside, which runs on any pair of streams."""
    return server._lowlevel_server  # pyright: ignore[reportPrivateUsage]


def without_telemetry(server: MCPServer) -> None:
    """Take the tracing that the SDK adds to every request out."""
    middleware = lowlevel_of(server).middleware
    middleware[:] = [one for one in middleware if not isinstance(one, OpenTelemetryMiddleware)]


def declare_what_exists(server: MCPServer) -> None:
    """Leave out what a server has none of: the SDK declares prompts, resources and changing lists for all."""
    handlers = lowlevel_of(server)._request_handlers  # pyright: ignore[reportPrivateUsage]
    unused = ["resources/subscribe", "resources/unsubscribe", "subscriptions/listen"]
    if not server._prompt_manager.list_prompts():  # pyright: ignore[reportPrivateUsage]
        unused += ["prompts/list", "prompts/get"]
    resources = server._resource_manager  # pyright: ignore[reportPrivateUsage]
    if not resources.list_resources() and not resources.list_templates():
        unused += ["resources/list", "resources/templates/list", "resources/read"]
    for method in unused:
        handlers.pop(method, None)


def tools_of(server: MCPServer) -> dict[str, Tool]:
    """Every tool with its whole parameter schema, by name."""
    return {tool.name: tool for tool in server._tool_manager.list_tools()}  # pyright: ignore[reportPrivateUsage]


__all__ = ["TransportStreams", "declare_what_exists", "lowlevel_of", "tools_of", "without_telemetry"]
