"""Tasks of the protocol's revision 2026-07-28: long work is followed and cancelled by who declares them, and by nobody else."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.extension import advertise
from mcp.types import ElicitResult

from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from servers.protocol.tasks import IDENTIFIER
from tests.followed import about, called, ended
from tests.stdio import connect

pytestmark = pytest.mark.anyio
WAIT = "while [ ! -e go ]; do sleep 0.05; done; echo went"


@asynccontextmanager
async def declaring(server: str, *args: str, **options: Any) -> AsyncGenerator[Client]:
    with anyio.fail_after(120):
        async with connect(server, *args, extensions=[advertise(IDENTIFIER)], **options) as client:
            yield client


async def test_a_long_command_is_a_task_and_its_result_is_the_tools(tmp_path: Path) -> None:
    async with declaring("shell", str(tmp_path)) as client:
        assert client.server_capabilities.extensions == {IDENTIFIER: {}}
        at_once = await called(client, "run_command", command="echo x", wait_s=45)
        assert at_once["resultType"] == "complete" and "exit=0" in at_once["content"][0]["text"]
        task = await called(client, "run_command", command=WAIT)
        assert (task["resultType"], task["status"]) == ("task", "working")
        assert (await about(client, "get", task["taskId"]))["statusMessage"].startswith("running for")
        (tmp_path / "go").touch()
        done = await ended(client, task["taskId"])
        assert done["status"] == "completed" and "went" in done["result"]["content"][0]["text"]
        assert task["createdAt"] == done["createdAt"] <= done["lastUpdatedAt"] and done["ttlMs"] is None


async def test_who_wants_the_id_soon_gets_the_id_and_may_wait_in_a_task(tmp_path: Path) -> None:
    async with declaring("shell", str(tmp_path)) as client:
        started = await called(client, "run_command", command=WAIT, wait_s=0.1)
        assert started["resultType"] == "complete" and "job=j1" in started["content"][0]["text"]
        assert (await called(client, "job", id="j1", action="wait"))["taskId"] == "j1"
        await about(client, "cancel", "j1")
        assert (await ended(client, "j1"))["status"] == "cancelled"


async def test_who_declares_nothing_gets_ids_and_no_tasks(tmp_path: Path) -> None:
    async with connect("shell", str(tmp_path)) as client:
        started = await client.call_tool("run_command", {"command": WAIT, "wait_s": 0.1})
        assert "job=j1" in str(started.content)
        for method in ("get", "update", "cancel"):
            with pytest.raises(MCPError) as refused:
                await about(client, method, "j1")
            assert refused.value.error.code == -32021
    async with declaring("shell", str(tmp_path)) as client:
        for method in ("get", "update", "cancel"):
            with pytest.raises(MCPError, match="j1") as unknown:
                await about(client, method, "j1")
            assert unknown.value.error.code == -32602


async def test_consent_is_asked_before_there_is_a_task(tmp_path: Path) -> None:
    asked: list[str] = []

    async def yes(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        (tmp_path / "go").touch()
        return ElicitResult(action="accept", content={"run": "once"})

    async with declaring("shell", str(tmp_path), elicitation_callback=yes) as client:
        done = await client.session.call_tool(
            "run_command",
            {"command": f"chmod 700 .; {WAIT}", "wait_s": 45},
            allow_input_required=True,
            allow_claimed=True,
        )
        assert done.result_type == "input_required" and not asked
        answer = await client.call_tool("run_command", {"command": f"chmod 700 .; {WAIT}", "wait_s": 45})
        assert len(asked) == 1 and "went" in str(answer.content)


async def test_tests_are_a_task_with_the_report_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pathlib, time\n\n\ndef test_it():\n    while not pathlib.Path('go').exists():\n        time.sleep(0.05)\n"
    )
    async with declaring("shell", str(tmp_path)) as client:
        task = await called(client, "run_tests")
        assert task["resultType"] == "task"
        (tmp_path / "go").touch()
        done = await ended(client, task["taskId"])
        assert done["result"]["structuredContent"]["passed"] == 1


@pytest.fixture
def slow() -> Iterator[str]:
    """An engine whose answers take seconds, and minutes to what is said to be long."""
    small = SimulatedModel(name="small:latest", context_length=8192)
    world = World(
        machine=Machine(small, noise=Noise(spread=0.01)),
        answers=lambda body: "word " * (3000 if "long" in str(body) else 8),
    )
    with simulated_in_thread(world, scale=0.4) as url:
        yield url


async def test_a_delegation_is_a_task_that_tells_what_is_left_and_outlives_its_server(
    tmp_path: Path, slow: str
) -> None:
    (tmp_path / "a.txt").write_text("the quick brown fox jumps over the lazy dog " * 60)
    order = {"task": "x", "files": ["a.txt"], "max_output": 16}
    async with declaring("ollama", str(tmp_path), "--host", slow) as client:
        task = await called(client, "delegate", **order)
        assert task["resultType"] == "task"
        done = await ended(client, task["taskId"])
        assert done["result"]["structuredContent"]["delegation"] == task["taskId"]
        second = await called(client, "delegate", **order | {"task": "long", "max_output": 4000})
        while "s left" not in second.get("statusMessage", ""):
            assert second["status"] == "working"
            second = await about(client, "get", second["taskId"])
        await about(client, "cancel", second["taskId"])
        assert (await ended(client, second["taskId"]))["status"] == "cancelled"
    async with declaring("ollama", str(tmp_path), "--host", slow) as client:
        again = await ended(client, task["taskId"])
        assert again["result"]["structuredContent"] == done["result"]["structuredContent"]
