"""Tools that live in an MCP server. Imported only when a server is connected: `import mcp` costs a second."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TextIO

import anyio
import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.shared.message import SessionMessage

from servers.protocol.sdk_private import TransportStreams

from ..tools import Progress, no_progress
from ..types import Image, Text, ToolCall, ToolResult, ToolSpec, result

END_S = 2.0  # after its stdin closes: how long a server may take to end
_CONNECTION_CLOSED = -32000


class ServerGone(Exception):
    """The server's side of the connection has ended."""


class McpTools:
    """One connected MCP server as a toolbox, its tools named `server__tool`."""

    def __init__(self, server: str, client: Client, listed: Sequence[types.Tool]) -> None:
        self.client = client
        self.names = {portable(f"{server}__{tool.name}"): tool.name for tool in listed}
        self.specs = tuple(_spec(name, tool) for name, tool in zip(self.names, listed, strict=True))

    @classmethod
    async def connect(cls, server: str, client: Client) -> McpTools:
        """List every tool, page by page."""
        page = await client.list_tools()
        listed = list(page.tools)
        while page.next_cursor:
            page = await client.list_tools(cursor=page.next_cursor)
            listed += page.tools
        return cls(server, client, listed)

    async def call(self, call: ToolCall, watch: Progress = no_progress) -> ToolResult:
        """Raises ServerGone when the connection ended; every other failure is the result."""

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            watch(progress, total, message or "")

        name = self.names.get(call.name)
        if name is None:
            return result(call, f"no tool {call.name!r}; there are: {', '.join(self.names)}", is_error=True)
        try:
            answer = await self.client.call_tool(name, dict(call.arguments), progress_callback=on_progress)
        except MCPError as exc:
            if exc.error.code == _CONNECTION_CLOSED:
                raise ServerGone(exc.error.message) from exc
            return result(call, exc.error.message, is_error=True)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            raise ServerGone("the connection is closed") from exc
        return ToolResult(
            call_id=call.id, name=call.name, content=_content(answer), is_error=bool(answer.is_error)
        )


def portable(name: str) -> str:
    """A tool name every vendor accepts: letters, digits, _ and -, at most 64, a letter or _ first."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:64]
    return safe if safe[0].isalpha() or safe[0] == "_" else f"_{safe[:63]}"


def _spec(name: str, tool: types.Tool) -> ToolSpec:
    hints = tool.annotations
    return ToolSpec(
        name=name,
        description=tool.description or "",
        parameters=tool.input_schema,
        read_only=hints.read_only_hint if hints else None,
        destructive=hints.destructive_hint if hints else None,
    )


def _content(answer: types.CallToolResult) -> tuple[Text | Image, ...]:
    parts = tuple(_part(block) for block in answer.content)
    if not parts and answer.structured_content is not None:
        parts = (Text(text=json.dumps(answer.structured_content, ensure_ascii=False)),)
    return parts or (Text(text="(no output)"),)


def _part(block: types.ContentBlock) -> Text | Image:
    match block:
        case types.TextContent():
            return Text(text=block.text)
        case types.ImageContent():
            return Image(data=block.data, mime=block.mime_type)
        case types.AudioContent():
            return Text(text=f"[audio, {block.mime_type}, {len(block.data)} base64 characters]")
        case types.ResourceLink():
            return Text(text=f"[resource {block.uri}]")
        case types.EmbeddedResource():
            held = block.resource
            return Text(
                text=held.text
                if isinstance(held, types.TextResourceContents)
                else f"[binary resource {held.uri}]"
            )


@asynccontextmanager
async def spawned(
    command: str, args: Sequence[str], env: Mapping[str, str], cwd: str | None, errlog: TextIO
) -> AsyncGenerator[TransportStreams]:
    """A server started as a process by the SDK: stdin EOF, 2 s, TERM, 2 s, KILL at the end."""
    parameters = StdioServerParameters(command=command, args=list(args), env=dict(env), cwd=cwd)
    async with stdio_client(parameters, errlog=errlog) as streams:
        yield streams


async def _nothing() -> None: ...


@asynccontextmanager
async def pipe_transport(
    source: int, sink: int, *, kill: Callable[[], Awaitable[object]] = _nothing
) -> AsyncGenerator[TransportStreams]:
    """A server reached over two descriptors, which are closed at the end; `kill` is called if it does not end then.

    On the event loop itself, POSIX only: the SDK's client transport starts the process too, and a
    server forked from the warm process is already running.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 28)
    incoming, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0)
    )
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(sink, "wb", 0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    inbound, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outbound = anyio.create_memory_object_stream[SessionMessage](0)
    ended = anyio.Event()

    async def receive() -> None:
        async with inbound:
            try:
                while line := await reader.readline():
                    await inbound.send(_message(line))
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                while await reader.read(1 << 16):  # we are leaving: let the server finish writing
                    pass
            finally:
                ended.set()

    async def send() -> None:
        try:
            async with outbound:
                async for item in outbound:
                    writer.write(
                        item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                    )
                    await writer.drain()
        except (ConnectionError, OSError):
            await inbound.aclose()  # the session must see the end, not wait for answers

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        group.start_soon(send)
        try:
            yield read, write
        finally:
            with anyio.CancelScope(shield=True):
                read.close()
                write.close()
                writer.close()
                with anyio.move_on_after(END_S):
                    await ended.wait()
                if not ended.is_set():
                    await kill()
                incoming.close()
            group.cancel_scope.cancel()


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as exc:
        return exc


def choices_of(question: Any) -> tuple[str, tuple[str, ...]] | None:
    """(field, what it may be answered with) of an elicitation that asks one thing; None when it asks for more.

    A yes-or-no question has the choices "yes" and "no".
    """
    properties: Mapping[str, Any] = getattr(question, "requested_schema", {}).get("properties", {})
    if len(properties) != 1:
        return None
    ((name, schema),) = properties.items()
    if schema.get("type") == "boolean":
        return name, ("yes", "no")
    options = schema.get("enum") or [one.get("const") for one in schema.get("oneOf", ())]
    return (name, tuple(options)) if options and all(isinstance(one, str) for one in options) else None


def answer_of(question: Any, choice: str) -> dict[str, Any]:
    """The content that says `choice`, one of the question's choices."""
    ((name, schema),) = question.requested_schema["properties"].items()
    return {name: choice == "yes" if schema.get("type") == "boolean" else choice}
