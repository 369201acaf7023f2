"""The process that servers are forked from."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import psutil
import pytest

from orchestrator.mcp_client.prefork import Warm
from tests.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("forked_as_users_do")]


async def test_the_answer_to_a_start_given_up_is_taken_by_nobody_else(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    warm = Warm()
    warm.open()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_start, warm, first)
            await anyio.wait_all_tasks_blocked()  # the order is sent; the process still imports
            group.cancel_scope.cancel()
        pid, out, stdin = await _start(warm, second)
        try:
            until(lambda: psutil.Process(pid).cwd() == str(second), "the second server's start")
        finally:
            os.close(out)
            os.close(stdin)
    finally:
        await warm.close()


async def _start(warm: Warm, cwd: Path) -> tuple[int, int, int]:
    return await warm.start("files", [str(cwd)], os.environ, str(cwd), 2)
