"""One MCP server from configuration to toolbox: started in the background, its tool list known from last time.

A server is awaited when one of its tools is called, or before the first model request when its list
is not cached. One that ends is started again at the next call; one that cannot start says why.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from servers.protocol.prefork import import_quickly
from servers.protocol.registry import SERVER_COMMANDS

from ..events import Emit, Notice, ignore
from ..sanitize import one_line
from ..tools import Approve, Progress, no_progress
from ..types import ToolCall, ToolResult, ToolSpec, result
from . import tool_cache
from .log import ServerLog, Stderr, take_over_sdk_log
from .prefork import Warm

if TYPE_CHECKING:
    from servers.protocol.sdk_private import TransportStreams

    from .toolbox import McpTools

HEAD_START_S = 1.0
CONNECT_S = 30.0  # longest time from start to tool list
PASSED = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SYSTEMROOT",
    "TEMP",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "USERPROFILE",
    "VIRTUAL_ENV",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "APPDATA",
    "LOCALAPPDATA",
    "UNDERSTUDY_HOME",
    "OLLAMA_HOST",
    "OLLAMA_BASE_URL",
    "OLLAMA_API_KEY",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start one server."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])  # on top of PASSED
    cwd: str = "."
    call_timeout_s: float | None = 120.0  # longest silence in a call; None: no limit, as for our own servers


class Hosted:
    """A server as a toolbox. Run `live` in a task of its own for as long as the tools are wanted."""

    def __init__(
        self,
        name: str,
        launch: Launch,
        *,
        warm: Warm | None = None,
        emit: Emit = ignore,
        approve: Approve | None = None,
    ) -> None:
        self.name, self.launch, self.warm, self.emit, self.approve = name, launch, warm, emit, approve
        self.cwd = os.path.abspath(launch.cwd)
        self.env = {key: os.environ[key] for key in PASSED if key in os.environ} | dict(launch.env)
        self.key = tool_cache.key_of(launch.command, launch.args, self.env, self.cwd)
        self.specs: tuple[ToolSpec, ...] = tool_cache.load(self.key) or ()
        self.known = (
            anyio.Event()
        )  # the tool list is there, from the cache or from the server, or will not come
        self.log = ServerLog(name)
        self._stderr: Stderr | None = None  # of this life, or the last
        self._mode = "auto"  # how to begin to talk; "legacy": without the newer protocol's first question
        self._strayed = False  # the person was told of what it prints
        self._tools: McpTools | None = None
        self._failed: str | None = None  # why it is not running; a call then asks for a new start
        self._settled = anyio.Event()  # connected or failed
        self._wanted = anyio.Event()  # a new start is asked for
        self._asked = anyio.Event()  # somebody waits for it
        if self.specs:
            self.known.set()
        else:
            self._asked.set()

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        if self._failed is not None:
            self._failed, self._settled = None, anyio.Event()
            self._wanted.set()
        await self.settled()
        if self._tools is None:
            return result(call, f"the {self.name} server is not running: {self._failed}", is_error=True)
        from .toolbox import ServerGone

        try:
            return await self._tools.call(call, progress)
        except ServerGone:
            self._tools, self._failed = None, "it ended"
            said = f"; it last said: {words}" if (words := await self._last_words()) else ""
            text = f"the {self.name} server ended during {call.name}{said}; the next call starts it again"
            return result(call, text, is_error=True)

    @property
    def running(self) -> bool:
        """Whether it is connected now."""
        return self._tools is not None

    async def settled(self) -> None:
        """Wait until it runs or has failed."""
        self._asked.set()
        await self._settled.wait()

    async def live(self) -> None:
        """Start, stay connected, start again when asked; ends by cancellation.

        With its tools known, the start leaves the first second to the first model request: importing the
        SDK beside it would slow it down.
        """
        with anyio.move_on_after(HEAD_START_S):
            await self._asked.wait()
        told = ""
        while True:
            self._wanted = anyio.Event()
            try:
                await self._connected()
            except Exception as exc:  # noqa: BLE001  (whatever went wrong, the other servers go on)
                if self._tools is None and self._mode == "auto" and _closed(exc):
                    self._mode = "legacy"  # some servers end at the newer protocol's first question
                    continue
                started, why = self._tools is not None, _reason(exc, self.launch, await self._last_words())
                self._tools, self._failed = None, why
                said = f"the {self.name} server {'ended' if started else 'did not start'}: {why}"
                if said != told:
                    told = said
                    self.emit(Notice(text=said, level="warning"))
                self._settled.set()
                self.known.set()
                await self._wanted.wait()

    async def _connected(self) -> None:
        """One life of the server; returns when it has ended and another is wanted."""
        await anyio.to_thread.run_sync(import_quickly, "orchestrator.mcp_client.toolbox")
        mcp_tools: Any = importlib.import_module("orchestrator.mcp_client.toolbox")
        from mcp import Client

        take_over_sdk_log()
        ours = self.launch.command in SERVER_COMMANDS.values()
        with (
            Stderr(self.log) as self._stderr,
            anyio.CancelScope(deadline=anyio.current_time() + CONNECT_S) as scope,
        ):
            # The scope has to enclose the whole client; its deadline is lifted once connected.
            streams = self._transport(self._stderr.fileno())
            async with Client(streams, mode=self._mode, **self._client_options()) as client:
                silence_s = None if ours else self.launch.call_timeout_s
                tools: McpTools = await mcp_tools.McpTools.connect(
                    self.name, client, checked=not ours, silence_s=silence_s
                )
                scope.deadline = float("inf")
                if tools.faults:
                    self.emit(
                        Notice(text=f"the {self.name} server: {_left_out(tools.faults)}", level="warning")
                    )
                if tools.specs != self.specs:
                    self.specs = tools.specs
                    tool_cache.save(self.key, tools.specs)
                self._tools, self._failed = tools, None
                self.known.set()
                self._settled.set()
                await self._wanted.wait()
        if scope.cancelled_caught:
            raise TimeoutError(f"no tool list within {CONNECT_S:g} s")

    def _client_options(self) -> dict[str, Any]:
        if self.approve is None:
            return {}
        approve = self.approve

        async def elicit(context: Any, params: Any) -> Any:
            from mcp.types import ElicitResult

            from .toolbox import answer_of, choices_of

            asked = choices_of(params)
            if asked is None:
                return ElicitResult(action="decline")
            with self._tools.patient() if self._tools else nullcontext():
                choice = await approve(f"{self.name}: {params.message}", asked[1])
            if choice is None:
                return ElicitResult(action="decline")
            return ElicitResult(action="accept", content=answer_of(params, choice))

        return {"elicitation_callback": elicit}

    @asynccontextmanager
    async def _transport(self, errlog: int) -> AsyncGenerator[TransportStreams]:
        from .lines import Lines
        from .transport import pipe_transport, spawned

        launch, lines = self.launch, Lines(self._stray)
        if launch.command in SERVER_COMMANDS.values() and self.warm is not None:
            warm = self.warm
            server = launch.command.removeprefix("understudy-")
            pid, source, sink = await warm.start(server, launch.args, self.env, self.cwd, errlog)
            async with pipe_transport(source, sink, kill=lambda: warm.kill(pid), lines=lines) as streams:
                yield streams
        else:
            command = _installed(launch.command)
            with os.fdopen(os.dup(errlog), "w", encoding="utf-8") as log:
                async with spawned(command, launch.args, self.env, self.cwd, log, lines=lines) as streams:
                    yield streams

    async def _last_words(self) -> str:
        """The last line the server wrote to stderr."""
        if self._stderr is None:
            return ""
        await self._stderr.read_up_to_now()
        return one_line(self._stderr.lines[-1]) if self._stderr.lines else ""

    def _stray(self, text: str) -> None:
        self.log.write("stdout", text)
        if not self._strayed:
            self._strayed = True
            said = f"the {self.name} server prints what is no message of MCP; it is kept in {self.log.path}"
            self.emit(Notice(text=said, level="info"))


def _left_out(faults: Sequence[str]) -> str:
    """One sentence about the tools that cannot be used."""
    more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
    return f"left out of its tools: {'; '.join(faults[:5])}{more}"


def _installed(command: str) -> str:
    """Our own console scripts from our own environment, whatever PATH says."""
    if command in SERVER_COMMANDS.values():
        beside = os.path.join(os.path.dirname(sys.executable), command)
        return beside if os.path.exists(beside) else command
    return command


def _first(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    return exc


def _closed(exc: BaseException) -> bool:
    """Whether the server ended while it was being connected."""
    from .lines import CONNECTION_CLOSED

    error = getattr(_first(exc), "error", None)
    return getattr(error, "code", None) == CONNECTION_CLOSED


def _reason(exc: BaseException, launch: Launch, words: str) -> str:
    exc = _first(exc)
    if isinstance(exc, FileNotFoundError) and exc.filename:
        if os.path.isabs(exc.filename) and exc.filename == launch.cwd:
            return f"its folder {exc.filename} does not exist"
        return f"there is no program {exc.filename!r} on PATH"
    if isinstance(exc, OSError) and exc.strerror:
        return f"{launch.command!r} cannot be started: {exc.strerror}"
    said = f"; it said: {words}" if words else ""
    if _closed(exc):
        return f"it ended before it had listed its tools{said}"
    return f"{one_line(str(exc), 300) or type(exc).__name__}{said}"
