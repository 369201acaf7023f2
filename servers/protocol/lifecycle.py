"""How every server runs: its stdio transport, its end.

stdout carries JSON-RPC alone, logs go to stderr. When stdin closes, or on SIGTERM, answers under way
get a moment, then everything the server started is ended and the process exits.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import anyio
from mcp.server import MCPServer

from . import telemetry
from .command_line import TOKEN, configure_logging, parser
from .front import on_end_signals
from .sdk_private import declare_what_exists, lowlevel_of, once_per_call, without_telemetry
from .stdio import open_wire

ANSWER_S = 0.5  # after stdin closes: how long answers under way may still take
CLEANUP_S = 1.0  # then: how long ending children may take before the process exits regardless

__all__ = ["configure_logging", "parser", "serve"]

log = logging.getLogger(__name__)


def serve(
    server: MCPServer, *, http: str | None = None, on_end: Callable[[], None] = lambda: None
) -> NoReturn:
    """Answer on stdio until stdin closes or a signal asks for the end, then end the process; with `http`, until a signal.

    `on_end` runs once before the exit, in a thread with CLEANUP_S seconds; it ends whatever the
    server started. The exit skips interpreter teardown, which costs a client up to half a second.
    """
    if http is not None:
        _serve_http(server, http, on_end)
    if sys.stdin is None or sys.stdin.isatty():
        sys.stderr.write(
            "This is an MCP server: a host starts it and speaks JSON-RPC on stdin. See --help.\n"
        )
    stop = _Stop(on_end)
    try:
        stop.flush = telemetry.begin(f"understudy-{server.name}")
    except telemetry.TelemetryError as exc:
        log.warning("%s", exc)
    on_end_signals(stop.now)
    try:
        anyio.run(_serve, server, stop)
    except KeyboardInterrupt:
        pass
    except BaseException:
        log.exception("the server stopped")
        stop.exit(1)
    stop.exit(0)


def _serve_http(server: MCPServer, where: str, on_end: Callable[[], None]) -> NoReturn:
    from .http import address, listener, serve_http

    token = os.environ.get(TOKEN) or None
    try:
        bound = listener(*address(where), token, TOKEN)
    except ValueError as exc:
        sys.stderr.write(f"--http: {exc}\n")
        on_end()
        sys.exit(2)
    without_telemetry(server)
    declare_what_exists(server)
    stop = _Stop(on_end)
    on_end_signals(stop.now)

    def ready(url: str) -> None:
        sys.stderr.write(f"listening at {url}\n")
        sys.stderr.flush()

    try:
        anyio.run(serve_http, server, bound, token, ready)
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
        self.flush: Callable[[], None] | None = None  # sends what telemetry has gathered
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
            if self.flush is not None:
                self.flush()
        except Exception:
            log.exception("clean-up failed")


async def _serve(server: MCPServer, stop: _Stop) -> None:
    if sys.platform == "win32":
        return await server.run_stdio_async()
    lowlevel = lowlevel_of(server)
    if stop.flush is None:
        without_telemetry(server)
    declare_what_exists(server)
    once_per_call()
    read, write = await open_wire(ANSWER_S, lambda: stop.after(ANSWER_S + CLEANUP_S / 2), stop.now)
    gc.freeze()  # what is loaded by now stays: collections need not look at it again,
    gc.set_threshold(20_000)  # and a call makes a thousand objects, of which hardly any is in a circle
    await lowlevel.run(read, write, lowlevel.create_initialization_options())
