"""Patterns as the tools of an MCP server: any host's model asks, consults, votes, debates, hands over, plans."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup

from servers.protocol.server import ToolServer

from ..config.load import Config
from ..function_tools import FunctionTool
from ..session.pattern_tools import PatternTools
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

    tools = PatternTools(lambda: opened.session, lambda: opened.group, own=config.patterns)
    return build_functions([*tools.tools, *functions], name="understudy-patterns", lifespan=lifespan)
