"""How every server runs: its command line, its stdio transport, its end.

stdout carries JSON-RPC alone, logs go to stderr. When stdin closes, or on SIGTERM, answers under way
get a moment, then everything the server started is ended and the process exits.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, NoReturn

import anyio
import mcp_types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.shared._context_streams import ContextReceiveStream, ContextSendStream, create_context_streams
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

ANSWER_S = 0.5  # after stdin closes: how long answers under way may still take
CLEANUP_S = 1.0  # then: how long ending children may take before the process exits regardless
MAX_MESSAGE_BYTES = 16 << 20

log = logging.getLogger(__name__)


class ToolServer(MCPServer):
    """An MCPServer whose tool errors are sentences and whose tool list is small."""

    async def list_tools(self) -> list[types.Tool]:
        tools = await super().list_tools()
        for tool in tools:
            tool.input_schema = compact(tool.input_schema)
            if tool.output_schema is not None:
                tool.output_schema = compact(tool.output_schema)
        return tools

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> Any:
        tool = self._tool_manager.get_tool(name)
        if tool is None:
            known = ", ".join(t.name for t in self._tool_manager.list_tools())
            raise ToolError(f"no tool {name!r} here; there are {known}")
        properties: Mapping[str, Any] = tool.parameters.get("properties", {})
        if unknown := [key for key in arguments if key not in properties]:
            raise ToolError(f"{name} has no parameter {unknown[0]!r}; it takes {_signature(tool.parameters)}")
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError:
            log.exception("tool %s crashed", name)
            raise ToolError(
                f"{name} failed through a fault of its own; the server's log has the details"
            ) from None
        except ToolError as exc:
            if isinstance(exc.__cause__, ValidationError):
                raise ToolError(_invalid(name, exc.__cause__, tool.parameters)) from exc
            raise ToolError(str(exc).removeprefix(f"Error executing tool {name}: ")) from exc


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
        elif not (key == "default" and value is None):
            out[key] = compact(value)
    return out


def _invalid(name: str, error: ValidationError, schema: Mapping[str, Any]) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "arguments"
    if first["type"] == "missing":
        return f"{name} needs {where}; it takes {_signature(schema)}"
    found = repr(first["input"])
    shown = found if len(found) <= 80 else found[:77] + "..."
    return f"{name}: {where}: {first['msg']}, found {shown}; it takes {_signature(schema)}"


def _signature(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", [])
    return (
        ", ".join(key if key in required else f"{key}?" for key in schema.get("properties", {}))
        or "no parameters"
    )


def parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """An argument parser with what every server has: --version and --log-level."""
    made = argparse.ArgumentParser(
        prog=f"understudy-{name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"understudy-{name} {version('understudy')}")
    levels = ["debug", "info", "warning", "error"]
    made.add_argument(
        "--log-level", default="warning", choices=levels, help="what goes to stderr (default: %(default)s)"
    )
    return made


def configure_logging(level: str) -> None:
    """Log to stderr. Call it before the server is built, or the SDK installs its own handler."""
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(levelname)s %(name)s: %(message)s", force=True
    )


def serve(server: MCPServer, *, on_end: Callable[[], None] = lambda: None) -> NoReturn:
    """Answer on stdio until stdin closes or SIGTERM comes, then end the process.

    `on_end` runs once before the exit, in a thread with CLEANUP_S seconds; it ends whatever the
    server started. The exit skips interpreter teardown, which costs a client up to half a second.
    """
    if sys.stdin is None or sys.stdin.isatty():
        sys.stderr.write(
            "This is an MCP server: a host starts it and speaks JSON-RPC on stdin. See --help.\n"
        )
    stop = _Stop(on_end)
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.now())
    try:
        anyio.run(_serve, server, stop)
    except KeyboardInterrupt:
        pass
    except BaseException:
        log.exception("the server stopped")
        stop.exit(1)
    stop.exit(0)


class _Stop:
    """Ends the process exactly once, in bounded time, whatever a tool's thread is doing."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self.on_end = on_end
        self.once = threading.Lock()

    def now(self) -> None:
        """For signal handlers and timers: the end must not wait for the event loop."""
        threading.Thread(target=self.exit, args=(0,), daemon=True).start()

    def exit(self, code: int) -> NoReturn:
        if not self.once.acquire(blocking=False):
            threading.Event().wait()  # another thread is ending the process
        cleaner = threading.Thread(target=self._clean, daemon=True)
        cleaner.start()
        cleaner.join(CLEANUP_S)
        sys.stderr.flush()
        os._exit(code)

    def _clean(self) -> None:
        try:
            self.on_end()
        except Exception:
            log.exception("clean-up failed")


async def _serve(server: MCPServer, stop: _Stop) -> None:
    if sys.platform == "win32":
        return await server.run_stdio_async()
    lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    # the SDK has no public way to run an MCPServer on another transport
    async with _stdio(stop) as (read, write):
        await lowlevel.run(read, write, lowlevel.create_initialization_options())


@asynccontextmanager
async def _stdio(
    stop: _Stop,
) -> AsyncGenerator[
    tuple[ContextReceiveStream[SessionMessage | Exception], ContextSendStream[SessionMessage]]
]:
    """stdin and stdout as message streams, on the event loop itself: the SDK's transport costs three thread hops a message."""
    loop = asyncio.get_running_loop()
    source, sink = _claim_wire()
    reader = asyncio.StreamReader(limit=MAX_MESSAGE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(sink, "wb", 0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    inbound, read = create_context_streams[SessionMessage | Exception](0)
    write, outbound = create_context_streams[SessionMessage](0)
    waiting: set[types.RequestId] = set()
    answered = asyncio.Event()

    async def receive() -> None:
        async with inbound:
            while True:
                try:
                    line = await reader.readline()
                except ValueError:  # longer than the limit: the reader has dropped it
                    log.error("dropped a message of more than %d bytes", MAX_MESSAGE_BYTES)
                    writer.write(_TOO_LONG)
                    continue
                if not line:
                    break
                if not line.strip():
                    continue
                try:
                    message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    writer.write(_NOT_JSON)
                    continue
                if isinstance(message, types.JSONRPCRequest):
                    waiting.add(message.id)
                await inbound.send(SessionMessage(message))
            threading.Timer(
                ANSWER_S + CLEANUP_S / 2, stop.now
            ).start()  # a stuck tool must not hold the process
            with anyio.move_on_after(ANSWER_S):
                while waiting:
                    answered.clear()
                    await answered.wait()

    async def send() -> None:
        async with outbound:
            async for item in outbound:
                writer.write(item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                if isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError):
                    waiting.discard(item.message.id)  # type: ignore[arg-type]  # an error's id may be None
                    answered.set()
                await writer.drain()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            group.start_soon(send)
            yield read, write
    except* (BrokenPipeError, ConnectionResetError):
        log.info("the client has gone")


def _claim_wire() -> tuple[int, int]:
    """Private copies of stdin and stdout; a stray print then lands on stderr, a child reads nothing."""
    import fcntl  # POSIX only

    source = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    sink = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return source, sink


_NOT_JSON = (
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"this line is not a JSON-RPC message"}}\n'
)
_TOO_LONG = (
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"a message may have at most 16 MiB"}}\n'
)
