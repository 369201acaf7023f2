"""A delegation outlives its server: killed, restarted or asked from beside, its id says what became of it."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp import Client

from servers.ollama.engines.open import open_runtime
from servers.ollama.server import build
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.processes import until
from tests.stdio import Stdio, start

SMALL = SimulatedModel(name="small:latest", context_length=8192)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "a.txt").write_text("the quick brown fox jumps over the lazy dog " * 60, encoding="utf-8")
    return folder


@pytest.fixture
def slow() -> Iterator[str]:
    """An engine whose answers take seconds."""
    with simulated_in_thread(World(machine=Machine(SMALL, noise=Noise(spread=0.01))), scale=1.0) as url:
        yield url


def killed(server: Stdio) -> None:
    os.kill(server.pid, signal.SIGKILL)
    server.close()


def test_a_receipt_is_there_after_its_server_was_killed(tree: Path) -> None:
    with simulated_in_thread(World(machine=Machine(SMALL, noise=Noise(spread=0.01)))) as url:
        first = start("ollama", str(tree), "--host", url)
        receipt = first.call("delegate", task="x", files=["a.txt"]).structured
        killed(first)
        with start("ollama", str(tree), "--host", url) as second:
            for action in ("result", "wait"):
                assert (
                    second.call("delegation", id=receipt["delegation"], action=action).structured == receipt
                )
            (seen,) = second.call("delegation").structured["delegations"]
            assert (seen["delegation"], seen["state"]) == (receipt["delegation"], "done")
            assert second.call("delegation", id=receipt["delegation"]).structured["receipt"] == receipt


def test_a_delegation_whose_server_was_killed_is_interrupted_and_wrote_nothing(tree: Path, slow: str) -> None:
    first = start("ollama", str(tree), "--host", slow)
    id = first.call("delegate", task="x", files=["a.txt"], write="b.txt", wait_s=0).structured["delegation"]
    killed(first)
    with start("ollama", str(tree), "--host", slow) as second:
        for action in ("wait", "result", "cancel"):
            receipt = second.call("delegation", id=id, action=action).structured
            assert receipt["outcome"] == "interrupted" and "nothing was written" in receipt["reason"]
        seen = second.call("delegation", id=id).structured
        assert seen["state"] == "interrupted" and seen["receipt"] == receipt
    assert not (tree / "b.txt").exists()


def test_what_was_written_before_the_kill_is_named_and_can_be_undone(tree: Path) -> None:
    """Killed as soon as the file is there, which is before or after the receipt was kept."""
    world = World(
        machine=Machine(SMALL, noise=Noise(spread=0.01)), answers=lambda body: "written by a model\n"
    )
    with simulated_in_thread(world) as url:
        first = start("ollama", str(tree), "--host", url)
        number = first.send(
            "tools/call",
            {"name": "delegate", "arguments": {"task": "x", "files": ["a.txt"], "write": "b.txt"}},
        )
        assert number
        until((tree / "b.txt").exists, "the write", pause_s=0.001)
        killed(first)
        with start("ollama", str(tree), "--host", url) as second:
            (seen,) = second.call("delegation").structured["delegations"]
            receipt = second.call("delegation", id=seen["delegation"], action="result").structured
    if receipt["outcome"] == "interrupted" and not (tree / "b.txt").exists():
        assert "nothing was written" in receipt["reason"]  # the change was not complete: it was taken back
        return
    assert receipt["op"] and "b.txt" in str(receipt)
    with start("files", str(tree)) as files:
        assert not files.call("undo", op=receipt["op"]).is_error
    assert not (tree / "b.txt").exists()


@pytest.mark.parametrize("model", ["auto", "small"])
def test_a_map_that_was_cut_off_goes_on_with_the_answers_it_has(tree: Path, model: str) -> None:
    """Whatever its first chunks have taught: the size of chunks and the choice of a model would now be others."""
    (tree / "long.md").write_text("one two three four five six\n" * 2_000, encoding="utf-8")
    other = SimulatedModel(name="other:latest", context_length=8192, write_s=1 / 300)
    world = World(machine=Machine(SMALL, other, noise=Noise(spread=0.01)))
    asked: dict[str, Any] = {"task": "Count.", "files": ["long.md"], "model": model}
    with simulated_in_thread(world, scale=0.001) as url:
        first = start("ollama", str(tree), "--host", url)
        id = first.call("delegate_map", **asked, wait_s=0).structured["delegation"]
        until(lambda: len(world.requests) > 2, "a few chunks")
        killed(first)
        (kept,) = (Path(os.environ["UNDERSTUDY_HOME"]) / "maps").glob("*.jsonl")
        done = len(kept.read_bytes().splitlines())
        with start("ollama", str(tree), "--host", url) as second:
            assert second.call("delegation", id=id).structured["state"] in ("interrupted", "done")
            receipt = second.call("delegate_map", **asked).structured
    assert done and receipt["reused"] == done and receipt["done"] == receipt["chunks"] > done


def test_another_session_sees_waits_for_and_does_not_take_over_what_a_living_server_does(
    tree: Path, slow: str
) -> None:
    with (
        start("ollama", str(tree), "--host", slow) as first,
        start("ollama", str(tree), "--host", slow) as second,
    ):
        id = first.call("delegate", task="x", files=["a.txt"], wait_s=0).structured["delegation"]
        assert second.call("delegation", id=id).structured["state"] == "running"
        refused = second.call("delegation", id=id, action="cancel")
        assert refused.is_error and "another server is at work" in refused.text
        assert second.call("delegation", id=id, action="wait", wait_s=0).structured["outcome"] == "running"
        receipt = second.call("delegation", id=id, action="wait").structured
        assert receipt["outcome"] == "answered"
        assert receipt == first.call("delegation", id=id, action="result").structured


def test_delegations_of_other_folders_are_nobodys_business(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with simulated_in_thread(World(machine=Machine(SMALL, noise=Noise(spread=0.01)))) as url:
        with start("ollama", str(tree), "--host", url) as first:
            id = first.call("delegate", task="x", files=["a.txt"]).structured["delegation"]
        with start("ollama", str(other), "--host", url) as second:
            assert second.call("delegation").structured["delegations"] == []
            assert "no delegation" in second.call("delegation", id=id).text


def test_a_store_that_cannot_be_opened_stops_no_delegation(tree: Path, own_state: Path, slow: str) -> None:
    (own_state / "understudy" / "delegations.sqlite").mkdir(parents=True)
    with start("ollama", str(tree), "--host", slow) as server:
        receipt = server.call("delegate", task="x", files=["a.txt"], deadline_s=0.001)
        assert receipt.structured["delegation"], receipt.text
        (seen,) = server.call("delegation").structured["delegations"]
        assert seen["state"] == "done"


@pytest.mark.anyio
async def test_a_server_that_is_forgotten_leaves_no_file_of_the_state_folder_open(tree: Path) -> None:
    with simulated_in_thread(World(machine=Machine(SMALL, noise=Noise(spread=0.01)))) as url:
        async with Client(build([str(tree)], open_runtime(url))) as client:
            done = await client.call_tool("delegate", {"task": "x", "files": ["a.txt"]})
            assert not done.is_error
    del client
    gc.collect()
    state = os.environ["UNDERSTUDY_HOME"]
    assert [file.path for file in psutil.Process().open_files() if file.path.startswith(state)] == []
