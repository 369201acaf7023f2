"""Tools that live in an MCP server. Imported only when a server is connected: `import mcp` costs a second."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import anyio
from mcp import Client, MCPError

from ..sanitize import one_line
from ..tools import Progress, no_progress
from ..types import ToolCall, ToolResult, ToolSpec, result
from .lines import CONNECTION_CLOSED, sealed
from .listing import ListedTool, read_tools
from .names import portable_names
from .results import read_result
from .tasks import heard

MAX_PAGES = 100
SESSION_ENDED = "Session terminated"
"""What the SDK says where a server over HTTP has forgotten us: it was started anew."""


class ServerGone(Exception):
    """The server's side of the connection has ended."""


class McpTools:
    """One connected MCP server as a toolbox, its tools named `server__tool`."""

    def __init__(
        self, server: str, client: Client, listed: Iterable[ListedTool], *, silence_s: float | None = None
    ) -> None:
        self.server, self.client, self.silence_s = server, client, silence_s
        by_name = {tool.name: tool for tool in listed}
        self.tools = {wire: by_name[own] for wire, own in portable_names(server, by_name).items()}
        self.specs = tuple(_spec(name, tool) for name, tool in self.tools.items())
        self.faults: tuple[str, ...] = ()  # a sentence about each tool that was left out
        self._open: set[anyio.CancelScope] = set()  # of the calls that wait for an answer

    @classmethod
    async def connect(
        cls,
        server: str,
        client: Client,
        *,
        checked: bool = True,
        silence_s: float | None = None,
        offered: Sequence[str] | None = None,
        withheld: Sequence[str] = (),
    ) -> McpTools:
        """List every tool, page by page. `checked` False: of a server whose schemas are known to be right.

        `offered`, `withheld`: patterns of the tools' own names; None: all are offered.
        """
        sent: list[Any] = []
        cursors: set[str | None] = set()
        cursor: str | None = None
        while cursor not in cursors and len(cursors) < MAX_PAGES:
            cursors.add(cursor)
            page = await client.list_tools(cursor=cursor)
            sent += [sealed(None, tool.meta) for tool in page.tools]
            cursor = page.next_cursor
        listed, faults = read_tools(sent, checked=checked)
        kept = [tool for tool in listed if _among(tool.name, offered) and not _among(tool.name, withheld)]
        tools = cls(server, client, kept, silence_s=silence_s)
        tools.faults = tuple(faults)
        return tools

    async def call(self, call: ToolCall, watch: Progress = no_progress) -> ToolResult:
        """Raises ServerGone when the connection ended; every other failure is the result."""
        tool = self.tools.get(call.name) or self._own(call.name)
        if tool is None:
            return result(call, f"no tool {call.name!r}; there are: {', '.join(self.tools)}", is_error=True)
        try:
            arguments = json.loads(json.dumps(dict(call.arguments), ensure_ascii=False).encode())
        except (TypeError, ValueError, RecursionError) as exc:
            return result(
                call, f"the arguments cannot be written as JSON: {one_line(str(exc))}", is_error=True
            )
        try:
            return await self._answered(call, tool, arguments, watch)
        except MCPError as exc:
            if exc.error.code == CONNECTION_CLOSED or exc.error.message == SESSION_ENDED:
                raise ServerGone(exc.error.message) from exc
            return result(call, exc.error.message, is_error=True)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
            raise ServerGone("the connection is closed") from exc
        except Exception as exc:  # noqa: BLE001  (whatever a foreign answer does to the SDK costs this call alone)
            why = one_line(f"{type(exc).__name__}: {exc}", 300)
            return result(
                call, f"the answer of the {self.server} server cannot be read: {why}", is_error=True
            )

    def take_over(self, old: McpTools) -> None:
        """The calls of the same server's earlier list go on."""
        self._open = old._open

    @contextmanager
    def patient(self) -> Generator[None]:
        """While the person is asked something, no call is given up."""
        for scope in self._open:
            scope.deadline = float("inf")
        try:
            yield
        finally:
            for scope in self._open:
                scope.deadline = self._deadline()

    async def _answered(
        self, call: ToolCall, tool: ListedTool, arguments: dict[str, Any], watch: Progress
    ) -> ToolResult:
        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            scope.deadline = self._deadline()
            watch(progress, total, message or "")

        def on_status(doing: str) -> None:
            scope.deadline = self._deadline()
            watch(anyio.current_time() - began, None, doing)

        began, told = anyio.current_time(), heard.set(on_status)
        with anyio.CancelScope(deadline=self._deadline()) as scope:
            self._open.add(scope)
            try:
                answer = await self.client.call_tool(tool.name, arguments, progress_callback=on_progress)
            finally:
                self._open.discard(scope)
                heard.reset(told)
            content, failed = read_result(sealed(None, answer.meta), tool.output_schema)
            return ToolResult(call_id=call.id, name=call.name, content=content, is_error=failed)
        return result(
            call,
            f"the {self.server} server did not answer for {self.silence_s:g} s and was told to stop; "
            "call_timeout_s of the server in mcp.json allows more",
            is_error=True,
        )

    def _deadline(self) -> float:
        return float("inf") if self.silence_s is None else anyio.current_time() + self.silence_s

    def _own(self, name: str) -> ListedTool | None:
        """The tool whose own name follows the server's: what a person copies from the server's manual."""
        own = name.removeprefix(f"{self.server}__")
        return next((tool for tool in self.tools.values() if tool.name == own), None)


def _among(name: str, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def _spec(name: str, tool: ListedTool) -> ToolSpec:
    return ToolSpec(
        name=name,
        description=tool.description,
        parameters=tool.parameters,
        read_only=tool.read_only,
        destructive=tool.destructive,
    )
