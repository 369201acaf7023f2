"""Processes that use one engine take turns, know of each other's runs, and leave nothing behind when killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from servers.ollama.engines.shared_queue import SharedQueue
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.stdio import connect

URL = "http://127.0.0.1:11434"
HOLDER = """
import sys
from servers.ollama.engines.shared_queue import SharedQueue
with SharedQueue(sys.argv[1]).ticket("small", 30.0) as ticket:
    ticket.started(30.0)
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(url: str) -> subprocess.Popen[str]:
    """Another process that has the engine until its stdin closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_tickets_stand_in_the_order_they_came_and_go_with_their_run() -> None:
    queue = SharedQueue(URL)
    with (
        queue.ticket("small", 3.0) as first,
        SharedQueue("http://localhost:11434").ticket("small", 4.0) as second,
    ):
        assert first and second
        assert [entry.seconds for entry in queue.entries("small")] == [3.0, 4.0]
        assert first.ahead() == [] and [entry.seconds for entry in second.ahead()] == [3.0]
        assert queue.entries("big") == [] and SharedQueue("http://127.0.0.1:9").entries() == []
        first.started(2.0, 0.5)
        (ahead,) = second.ahead()
        assert (ahead.seconds, ahead.spread) == (2.0, 0.5) and 0.0 <= ahead.gone_s < 60
    assert queue.entries() == []


def test_a_killed_process_leaves_the_queue(own_state: Path) -> None:
    queue = SharedQueue(URL)
    with holder(URL) as process:
        (entry,) = queue.entries("small")
        assert str(process.pid) in entry.who and entry.began is not None
        process.kill()
        process.wait()
    assert queue.entries() == []
    assert list((own_state / "understudy" / "engines").rglob("*-*")) == []


def test_a_ticket_that_is_no_ticket_is_passed_over(own_state: Path) -> None:
    queue = SharedQueue(URL)
    with queue.ticket("small", 1.0):
        folder = next((own_state / "understudy" / "engines").iterdir())
        (folder / "00000-1-1").write_bytes(b"\xff not json")
        (folder / "00000-1-2").symlink_to("/etc/passwd")
        assert [entry.seconds for entry in queue.entries()] == [1.0]


def test_a_state_folder_that_cannot_be_written_means_no_ticket(own_state: Path) -> None:
    (own_state / "understudy").mkdir(mode=0o700)
    (own_state / "understudy" / "engines").write_text("a file where the folder should be", encoding="utf-8")
    with SharedQueue(URL).ticket("small", 1.0) as ticket:
        assert ticket is None


@pytest.mark.anyio
async def test_a_server_waits_for_another_processs_run_and_says_who_has_the_engine(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * 50, encoding="utf-8")
    world = World(
        machine=Machine(SimulatedModel(name="small", context_length=8192), noise=Noise(spread=0.01))
    )
    with simulated_in_thread(world, scale=0.0) as url, anyio.fail_after(60), holder(url) as process:
        async with connect("ollama", str(tmp_path), "--host", url) as client:
            begun = await client.call_tool("delegate", {"task": "x", "model": "small", "wait_s": 0.5})
            id = (begun.structured_content or {})["delegation"]
            status = (await client.call_tool("delegation", {"id": id})).structured_content or {}
            assert status["state"] == "running"
            assert f"1 ahead (-c, process {process.pid} has it)" in status["doing"]
            refused = await client.call_tool("delegate", {"task": "y", "model": "small", "deadline_s": 1})
            process.stdin and process.stdin.close()
            done = await client.call_tool("delegation", {"id": id, "action": "wait"})
            receipt = done.structured_content or {}
            assert receipt["outcome"] == "answered" and receipt.get("waited_s", 0.0) > 0.3
            assert (refused.structured_content or {})["outcome"] == "refused"
        process.wait()


@pytest.mark.anyio
async def test_runs_of_several_processes_never_overlap_on_one_slot(tmp_path: Path) -> None:
    world = World(
        machine=Machine(SimulatedModel(name="small", context_length=8192), noise=Noise(spread=0.01))
    )
    with simulated_in_thread(world, scale=0.01) as url, anyio.fail_after(90):

        async def several() -> None:
            async with connect("ollama", str(tmp_path), "--host", url) as client:
                for number in range(6):
                    told = await client.call_tool(
                        "delegate", {"task": f"{os.getpid()} {number}", "model": "small"}
                    )
                    runs.append(told.structured_content or {})

        runs: list[dict[str, object]] = []
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(several)
    assert len(runs) == 18 and {run["outcome"] for run in runs} == {"answered"}
    assert world.most_at_once == 1
