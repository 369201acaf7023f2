"""The private parts of the MCP SDK that we lean on, all of them: what an SDK release may break stands here.

Each is taken because the public face (mcp 2.3) has no way: another transport than the SDK's own stdio, leaving
a middleware out, looking at a tool before it is called, naming the type of a transport, doing a call's work once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self

import mcp_types as types
from mcp.client._transport import TransportStreams
from mcp.server import MCPServer, runner
from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.lowlevel import Server
from mcp.server.mcpserver.tools.base import Tool
from mcp.shared.message import SessionMessage
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

_CALL = "tools/call"
_PLAIN_SINCE = frozenset({"2025-06-18", "2025-11-25", *MODERN_PROTOCOL_VERSIONS})
"""Revisions in which a result of text, images and structure is written as the SDK writes it anyway."""


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


def once_per_call() -> None:
    """In a process that serves one client over one transport: spare every call what the SDK does twice or in vain.

    Its parameters are validated by the handler's own model, its result was built by us, a request that opened
    nothing has nothing to close, and a message need not be handed from one task to another before it is read.
    """
    close = runner.aclose_shielded

    async def close_what_was_opened(connection: Any) -> None:
        if connection.exit_stack._exit_callbacks:
            await close(connection)

    lean = {"validate_client_request": _valid_request, "serialize_server_result": _wire_result}
    runner._methods = SimpleNamespace(**vars(methods) | lean)  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage, reportPrivateImportUsage]
    runner.aclose_shielded = close_what_was_opened
    runner._replay_from_opening_request = _from_opening_request  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]


def _valid_request(method: str, version: str, params: Mapping[str, Any] | None) -> None:
    if method != _CALL or version not in _PLAIN_SINCE:
        methods.validate_client_request(method, version, params)


def _wire_result(method: str, version: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if (
        method != _CALL
        or version not in _PLAIN_SINCE
        or data.keys() - {"content", "structuredContent", "isError", "resultType"}
        or any(part.get("type") not in ("text", "image") for part in data.get("content", ({},)))
    ):
        return methods.serialize_server_result(method, version, data)
    return {
        key: value
        for key, value in data.items()
        if key != "resultType" or version in MODERN_PROTOCOL_VERSIONS
    }


@asynccontextmanager
async def _from_opening_request(stream: Any) -> AsyncGenerator[tuple[types.JSONRPCRequest | None, Any]]:
    """The first request, which decides how a connection speaks, and the stream from its beginning."""
    seen = deque[Any]()
    opening: types.JSONRPCRequest | None = None
    async for item in stream:
        if isinstance(item, SessionMessage) and isinstance(item.message, types.JSONRPCRequest):
            opening = item.message
        elif len(seen) >= runner._PRE_REQUEST_REPLAY_LIMIT:  # pyright: ignore[reportPrivateUsage]
            continue
        seen.append(item)
        if opening is not None:
            break
    yield opening, _Replayed(seen, stream)


class _Replayed:
    """A stream of which some was read already."""

    def __init__(self, seen: deque[Any], stream: Any) -> None:
        self.seen, self.stream = seen, stream

    async def receive(self) -> Any:
        return self.seen.popleft() if self.seen else await self.stream.receive()

    async def __anext__(self) -> Any:
        return self.seen.popleft() if self.seen else await self.stream.__anext__()

    def __aiter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        await self.stream.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()


__all__ = [
    "TransportStreams",
    "declare_what_exists",
    "lowlevel_of",
    "once_per_call",
    "tools_of",
    "without_telemetry",
]
