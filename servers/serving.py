"""How every server runs: its command line, its stdio transport, its end.

stdout carries JSON-RPC alone, logs go to stderr. When stdin closes, or on SIGTERM, answers under way
get a moment, then everything the server started is ended and the process exits.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, NoReturn

import anyio
import mcp_types as types
from mcp.server import MCPServer
from mcp.server._otel import OpenTelemetryMiddleware
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from pydantic import ValidationError

from .wire import open_wire

ANSWER_S = 0.5  # after stdin closes: how long answers under way may still take
CLEANUP_S = 1.0  # then: how long ending children may take before the process exits regardless

log = logging.getLogger(__name__)


class ToolServer(MCPServer):
    """An MCPServer whose tool errors are sentences and whose tool list is small."""

    async def list_tools(self) -> list[types.Tool]:
        tools = await super().list_tools()
        for tool in tools:
            tool.description = inspect.cleandoc(tool.description or "")
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

    def after(self, seconds: float) -> None:
        """End then, if nothing else has: a stuck tool must not hold the process."""
        timer = threading.Timer(seconds, self.exit, args=(0,))
        timer.daemon = True
        timer.start()

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
    lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]  # no public way to another transport
    lowlevel.middleware[:] = [m for m in lowlevel.middleware if not isinstance(m, OpenTelemetryMiddleware)]
    read, write = await open_wire(ANSWER_S, lambda: stop.after(ANSWER_S + CLEANUP_S / 2), stop.now)
    gc.freeze()  # what is loaded by now stays: collections need not look at it again
    await lowlevel.run(read, write, lowlevel.create_initialization_options())
