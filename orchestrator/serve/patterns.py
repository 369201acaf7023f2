"""Patterns as the tools of an MCP server: any host's model asks, consults, votes, debates, hands over, plans."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.types import CallToolResult, TextContent

from servers.output import ToolError
from servers.protocol.server import ToolServer
from servers.protocol.tasks import Standing, Tasks, failed, patience

from ..config.load import Config
from ..errors import OrchestratorError
from ..function_tools import FunctionTool
from ..session.pattern_tools import Job, PatternTools
from ..session.session import Session, open_session
from ..store.recorder import open_conversation
from ..store.store import Store
from .functions import build as build_functions


class _Open:
    """What lives as long as the server does."""

    session: Session
    group: TaskGroup


def build(config: Config, functions: Sequence[FunctionTool[..., Any]] = ()) -> ToolServer:
    """The server, with further functions beside the patterns. Its session opens when a client connects.

    Of the configured servers those start that an agent of the configuration names. Raises ConfigError.
    """
    opened = _Open()
    used = {name for agent in config.agents.values() for name in agent.tools or ()}
    config = config.model_copy(update={"servers": {n: s for n, s in config.servers.items() if n in used}})

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            recorder = open_conversation(
                await anyio.to_thread.run_sync(lambda: Store(later=True)), folder=config.folder
            )
            stack.callback(recorder.close)
            opened.session = await stack.enter_async_context(
                open_session(config, recorder, conversation=lambda: recorder.session)
            )
            opened.group = await stack.enter_async_context(anyio.create_task_group())
            try:
                yield
            finally:
                opened.group.cancel_scope.cancel()

    tools = PatternTools(
        lambda: opened.session,
        lambda: opened.group,
        own=config.patterns,
        patience=lambda wait_s: patience(wait_s, wait_s),
    )
    options = {"lifespan": lifespan, "extensions": [Tasks(_UnderWay(tools))]}
    return build_functions([*tools.tools, *functions], name="understudy-patterns", **options)


class _UnderWay:
    """The patterns as tasks, for clients that take them."""

    def __init__(self, tools: PatternTools) -> None:
        self.tools = tools

    async def standing(self, id: str) -> Standing:
        job = self._job(id)
        if not job.done.is_set():
            return Standing(
                began=job.began, doing=f"the {job.pattern} has run for {time.time() - job.began:.0f} s"
            )
        if job.scope.cancel_called and job.outcome is None:
            return Standing(began=job.began, cancelled=True)
        try:
            text = job.told()
        except OrchestratorError as exc:
            return Standing(began=job.began, result=failed(str(exc)))
        return Standing(began=job.began, result=CallToolResult(content=[TextContent(type="text", text=text)]))

    async def cancel(self, id: str) -> None:
        self._job(id).scope.cancel()

    def _job(self, id: str) -> Job:
        try:
            return self.tools.job(id)
        except OrchestratorError as exc:
            raise ToolError(str(exc)) from exc
