"""MCP tasks (revision 2026-07-28): a client that takes them follows long work by polling, in place of an id in a result.

The work itself is the server's jobs; a task is another way to look at one, under the same id. What the person has to
permit is asked before there is a task, by `input_required` of the call itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ..output import ToolError

IDENTIFIER = "io.modelcontextprotocol/tasks"
AT_ONCE_S = 1.0
"""Work that ends by then is answered as any call is."""
POLL_S = (0.5, 5.0)
"""How often a client is asked to look, at most and at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a piece of work is."""

    began: float  # seconds since 1970
    doing: str = ""
    remaining_s: float | None = None
    result: types.CallToolResult | None = None  # None: it goes on, or was cancelled
    cancelled: bool = False


class Work(Protocol):
    """The long work of a server, by the ids its results name."""

    async def standing(self, id: str) -> Standing:
        """Raises ToolError where there is no such work."""
        ...

    async def cancel(self, id: str) -> None: ...


_handed_over: ContextVar[list[str] | None] = ContextVar("handed_over", default=None)
"""Of the call this is part of: the ids of work it leaves to a task; None where its client takes none."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call waits for the work it started."""

    seconds: float
    _ids: list[str] | None = None

    def leaves(self, id: str) -> None:
        """The call ends now and its work goes on: as a task, where its client takes one."""
        if self._ids is not None:
            self._ids.append(id)


def patience(wait_s: float, usual_s: float) -> Patience:
    """For a call that is to wait `wait_s`. Who waits as long as such calls do by themselves wants the result: a task waits on."""
    ids = _handed_over.get()
    return Patience(wait_s) if ids is None or wait_s < usual_s else Patience(AT_ONCE_S, ids)


class _About(types.RequestParams):
    task_id: str


class _Update(_About):
    input_responses: dict[str, Any] | None = None


class Tasks(Extension):
    """Give it to a server whose tools wait by `patience`."""

    identifier = IDENTIFIER

    def __init__(self, work: Work) -> None:
        self.work = work

    def methods(self) -> Sequence[MethodBinding]:
        modern = frozenset(MODERN_PROTOCOL_VERSIONS)
        of = {"get": (_About, self._get), "update": (_Update, self._update), "cancel": (_About, self._cancel)}
        return [MethodBinding(f"tasks/{name}", params, do, modern) for name, (params, do) in of.items()]

    async def intercept_tool_call(
        self,
        params: types.CallToolRequestParams,
        ctx: ServerRequestContext[Any, Any],
        call_next: CallNext,
    ) -> HandlerResult:
        if not _takes_tasks(ctx):
            return await call_next(ctx)
        ids = list[str]()
        token = _handed_over.set(ids)
        try:
            result = await call_next(ctx)
        finally:
            _handed_over.reset(token)
        return await self._task(ids[-1]) | {"resultType": "task"} if ids else result

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: _About) -> HandlerResult:
        require_client_extension(ctx, IDENTIFIER)
        return await self._task(params.task_id)

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: _Update) -> HandlerResult:
        """Nothing is ever asked within a task, so every response is one to an unknown question."""
        require_client_extension(ctx, IDENTIFIER)
        await self._task(params.task_id)
        return {}

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: _About) -> HandlerResult:
        require_client_extension(ctx, IDENTIFIER)
        await self._task(params.task_id)
        await self.work.cancel(params.task_id)
        return {}

    async def _task(self, id: str) -> dict[str, Any]:
        try:
            found = await self.work.standing(id)
        except ToolError as exc:
            raise MCPError(types.INVALID_PARAMS, str(exc)) from exc
        running = found.result is None and not found.cancelled
        task: dict[str, Any] = {
            "taskId": id,
            "status": "cancelled" if found.cancelled else "working" if running else "completed",
            "createdAt": datetime.fromtimestamp(found.began, UTC).isoformat(),
            "lastUpdatedAt": datetime.now(UTC).isoformat(),
            "ttlMs": None,
        }
        if running:
            least, most = POLL_S
            task["pollIntervalMs"] = round(1000 * min(max((found.remaining_s or 4 * least) / 4, least), most))
        if found.doing:
            task["statusMessage"] = found.doing
        if found.result is not None:
            task["result"] = found.result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return task


def _takes_tasks(ctx: ServerRequestContext[Any, Any]) -> bool:
    able = ctx.session.client_capabilities
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and bool(
        able and able.extensions and IDENTIFIER in able.extensions
    )


def failed(why: str) -> types.CallToolResult:
    """The result of a tool that could not do it."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=why)], is_error=True)
