"""One MCP server from configuration to toolbox: started in the background, its tool list known from last time.

A server is awaited when one of its tools is called, or before the first model request when its list
is not cached. One that ends is started again at the next call; one that cannot start says why.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from servers.protocol.prefork import import_quickly
from servers.protocol.registry import SERVER_COMMANDS

from ..depth import VARIABLE, inherited
from ..errors import ConfigError, first_of
from ..events import Emit, Notice, ignore
from ..sanitize import one_line, visible
from ..tools import Approve, Progress, no_progress
from ..types import ToolCall, ToolResult, ToolSpec, result
from . import tool_cache
from .launch import PASSED, PASSED_TO_OURS, Launch
from .log import ServerLog, Stderr, take_over_sdk_log
from .prefork import Warm

if TYPE_CHECKING:
    from mcp import Client

    from servers.protocol.sdk_private import TransportStreams

    from .toolbox import McpTools

HEAD_START_S = 1.0
MAX_INSTRUCTIONS_CHARS = 2_000


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
        folder: str = ".",
    ) -> None:
        """`folder`: the workspace, which servers may ask for."""
        self.name, self.launch, self.warm, self.emit, self.approve = name, launch, warm, emit, approve
        self.cwd, self.folder = os.path.abspath(launch.cwd), os.path.abspath(folder)
        passed = [*PASSED, *PASSED_TO_OURS] if launch.ours else PASSED
        self.env = {key: os.environ[key] for key in passed if key in os.environ} | dict(launch.env)
        self.key = tool_cache.key_of(*_facts(launch), self.env, self.cwd)
        self.env[VARIABLE] = str(inherited() + 1)  # whoever calls it is a model of this process
        self.specs: tuple[ToolSpec, ...] = ()
        self.instructions = ""  # how the server says its tools are used
        if (kept := tool_cache.load(self.key)) is not None:
            self.specs, self.instructions = kept
        self.known = (
            anyio.Event()
        )  # the tool list is there, from the cache or from the server, or will not come
        self.log = ServerLog(name)
        self._stderr: Stderr | None = None  # of this life, or the last
        self._sse = launch.transport == "sse"
        self._mode = "auto"  # how to begin to talk; "legacy": without the newer protocol's first question
        self._strayed = False  # the person was told of what it prints
        self._tools: McpTools | None = None
        self._failed: str | None = None  # why it is not running; a call then asks for a new start
        self._settled = anyio.Event()  # connected or failed
        self._wanted = anyio.Event()  # a new start is asked for
        self._asked = anyio.Event()  # somebody waits for it
        self._changed = anyio.Event()  # the server says that its tools have changed
        if self.specs:
            self.known.set()
        else:
            self._asked.set()

    async def _started(self) -> None:
        """Wait until it runs or has failed; one that has failed before is started again."""
        if self._failed is not None:
            self._failed, self._settled = None, anyio.Event()
            self._wanted.set()
        await self.settled()

    async def client(self) -> Client:
        """The connection, for what is no tool. Raises ConfigError with the reason where there is none."""
        await self._started()
        if self._tools is None:
            raise ConfigError(f"the {self.name} server is not running: {self._failed}")
        return self._tools.client

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        await self._started()
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
        told, first = "", None
        while True:
            self._wanted = anyio.Event()
            try:
                await self._connected()
            except Exception as exc:  # noqa: BLE001  (whatever went wrong, the other servers go on)
                if self._tools is None and self._mode == "auto" and _closed(exc):
                    self._mode = "legacy"  # some servers end at the newer protocol's first question
                    continue
                if (
                    self._tools is None
                    and self.launch.url
                    and self.launch.transport is None
                    and not self._sse
                ):
                    self._sse, first = True, exc  # an older server, perhaps
                    continue
                if self._tools is None and self._sse and first is not None:
                    self._sse, exc, first = False, first, None
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
        launch, ours = self.launch, self.launch.ours
        with (
            Stderr(self.log) as self._stderr,
            anyio.CancelScope(deadline=anyio.current_time() + launch.start_timeout_s) as scope,
        ):
            # The scope has to enclose the whole client; its deadline is lifted once connected.
            streams = self._transport(self._stderr.fileno())
            async with Client(streams, mode=self._mode, **self._client_options()) as client:
                list_tools = partial(
                    mcp_tools.McpTools.connect,
                    self.name,
                    client,
                    checked=not ours,
                    silence_s=None if ours else launch.call_timeout_s,
                    offered=launch.tools,
                    withheld=launch.without_tools,
                )
                self._offer(await list_tools(), client.instructions)
                scope.deadline = float("inf")
                self.known.set()
                self._settled.set()
                async with anyio.create_task_group() as group:
                    group.start_soon(self._refreshed, client, list_tools)
                    await self._wanted.wait()
                    group.cancel_scope.cancel()
        if scope.cancelled_caught:
            raise TimeoutError(f"no tool list within {launch.start_timeout_s:g} s")

    def _offer(self, tools: McpTools, instructions: str | None) -> None:
        """The tools as the server lists them now."""
        if tools.faults:
            self.emit(Notice(text=f"the {self.name} server: {_left_out(tools.faults)}", level="warning"))
        said = visible((instructions or "").strip())[:MAX_INSTRUCTIONS_CHARS]
        if (tools.specs, said) != (self.specs, self.instructions):
            self.specs, self.instructions = tools.specs, said
            tool_cache.save(self.key, tools.specs, said)
        if self._tools is not None:
            tools.take_over(self._tools)
        self._tools, self._failed = tools, None

    async def _refreshed(self, client: Client, list_tools: Callable[[], Awaitable[McpTools]]) -> None:
        """List again whenever the server says that its tools have changed."""
        from mcp import MCPError

        async with anyio.create_task_group() as group:
            group.start_soon(self._listened, client)
            while True:
                await self._changed.wait()
                self._changed = anyio.Event()
                try:
                    self._offer(await list_tools(), client.instructions)
                except MCPError as exc:
                    self.emit(
                        Notice(
                            text=f"the {self.name} server cannot list its tools again: {exc}", level="warning"
                        )
                    )

    async def _listened(self, client: Client) -> None:
        """Servers of the newer protocol tell of changes to those who listen; older ones tell everybody."""
        from mcp import MCPError
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

        if self.launch.ours:  # whose tools never change
            return
        with suppress(ListenNotSupportedError, SubscriptionLost, MCPError, TimeoutError):
            async with client.listen(tools_list_changed=True) as events:
                self._changed.set()  # what changed before we listened was told to nobody
                async for _ in events:
                    self._changed.set()

    def _client_options(self) -> dict[str, Any]:
        """Who we are, and what we do for a server that asks."""
        import mcp_types as types
        from pydantic import FileUrl

        async def hear(message: Any) -> None:
            if isinstance(message, types.ToolListChangedNotification):
                self._changed.set()

        async def roots(context: Any) -> types.ListRootsResult:
            where = Path(self.folder)
            return types.ListRootsResult(roots=[types.Root(uri=FileUrl(where.as_uri()), name=where.name)])

        options: dict[str, Any] = {
            "client_info": types.Implementation(name="understudy", version=version("understudy")),
            "message_handler": hear,
        }
        answers: dict[str, Any] = {}
        if not self.launch.ours:
            options["list_roots_callback"] = answers["roots/list"] = roots
        if (approve := self.approve) is not None:

            async def elicit(context: Any, params: Any) -> Any:
                from .questions import put

                with self._tools.patient() if self._tools else nullcontext():
                    return await put(self.name, params, approve)

            options["elicitation_callback"] = answers["elicitation/create"] = elicit
        if not self.launch.ours:  # which are asked after by their ids
            from .tasks import Following

            options["extensions"] = [Following(answers)]
        return options

    @asynccontextmanager
    async def _transport(self, errlog: int) -> AsyncGenerator[TransportStreams]:
        from .lines import Lines
        from .sign_in import authorised
        from .transport import pipe_transport, reached, spawned

        launch, lines = self.launch, Lines(self._stray)
        if launch.command is None:
            async with (
                authorised(self.name, launch) as auth,
                reached(launch.url or "", launch.headers, sse=self._sse, lines=lines, auth=auth) as streams,
            ):
                yield streams
            return
        if launch.ours and self.warm is not None:
            warm, server = self.warm, launch.command.removeprefix("understudy-")
            try:
                pid, source, sink = await warm.start(server, launch.args, self.env, self.cwd, errlog)
            except OSError:
                pass  # somebody ended the process that starts them: it starts as a program of its own
            else:
                async with pipe_transport(source, sink, kill=lambda: warm.kill(pid), lines=lines) as streams:
                    yield streams
                return
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


def _facts(launch: Launch) -> tuple[str, list[str]]:
    """What tells this server from others, apart from its environment."""
    words = [
        *(launch.tools or ("*",)),
        "-",
        *launch.without_tools,
        *map("=".join, sorted(launch.headers.items())),
    ]
    return (launch.command or launch.url or "", [*launch.args, *words])


def _installed(command: str) -> str:
    """Our own console scripts from our own environment, whatever PATH says."""
    if command in SERVER_COMMANDS.values():
        beside = os.path.join(os.path.dirname(sys.executable), command)
        return beside if os.path.exists(beside) else command
    return command


def _closed(exc: BaseException) -> bool:
    """Whether the server ended while it was being connected."""
    from .lines import CONNECTION_CLOSED

    error = getattr(first_of(exc), "error", None)
    return getattr(error, "code", None) == CONNECTION_CLOSED


def _reason(exc: BaseException, launch: Launch, words: str) -> str:
    exc = first_of(exc)
    if isinstance(exc, FileNotFoundError) and exc.filename:
        if os.path.isabs(exc.filename) and exc.filename == launch.cwd:
            return f"its folder {exc.filename} does not exist"
        return f"there is no program {exc.filename!r} on PATH"
    if launch.url is not None:
        return f"{launch.url.partition('?')[0]}: {one_line(str(exc), 300) or type(exc).__name__}"
    if isinstance(exc, OSError) and exc.strerror:
        return f"{launch.command!r} cannot be started: {exc.strerror}"
    said = f"; it said: {words}" if words else ""
    if _closed(exc):
        return f"it ended before it had listed its tools{said}"
    return f"{one_line(str(exc), 300) or type(exc).__name__}{said}"
