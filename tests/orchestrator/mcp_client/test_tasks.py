"""Foreign servers that answer with tasks: followed to the result, asked for what they want to know, cancelled with the call."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from orchestrator.config.load import ServerSettings
from orchestrator.session.session import Session
from orchestrator.types import ToolCall
from tests.orchestrator.mcp_client.test_protocol import host

pytestmark = pytest.mark.anyio
SERVER = ServerSettings(command=sys.executable, args=(str(Path(__file__).with_name("task_server.py")),))


async def said(session: Session, tool: str) -> tuple[str, bool]:
    answer = await session.call_tool("far", tool, {})
    return answer.text, answer.is_error


async def test_a_task_is_followed_to_its_result_whatever_that_is(tmp_path: Path) -> None:
    async with host(SERVER, tmp_path, ["green"]) as (session, asked):
        assert await said(session, "add") == ("3", False)
        assert await said(session, "fail") == ("the disk is full", True)
        assert await said(session, "ask") == ("green", False)
    assert len(asked) == 1 and "Which colour?" in asked[0]


async def test_a_question_nobody_can_answer_ends_the_task(tmp_path: Path) -> None:
    async with host(SERVER, tmp_path) as (session, _):
        text, failed = await said(session, "ask")
        assert failed and "elicitation/create" in text
        assert await said(session, "cancelled") == ("ask", False)


async def test_a_call_that_is_given_up_cancels_its_task_and_tells_what_it_heard(tmp_path: Path) -> None:
    heard: list[str] = []
    async with host(SERVER, tmp_path) as (session, _):
        toolbox = await session.toolbox()
        async with anyio.create_task_group() as group:

            def watch(done: float, total: float | None, message: str) -> None:
                heard.append(message)
                group.cancel_scope.cancel()

            group.start_soon(toolbox.call, ToolCall(id="1", name="far__endless", arguments={}), watch)
        assert await said(session, "cancelled") == ("endless", False)
    assert heard[0] == "thinking"
