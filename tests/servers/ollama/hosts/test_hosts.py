"""Several hosts as one: which one is chosen and why, what happens when one dies, what is learned of each."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from servers.ollama.command_line import opened_hosts
from servers.ollama.engines.protocol import EngineError
from servers.ollama.hosts.settings import VARIABLE, HostSettings, hosts_named
from servers.ollama.server import build
from servers.ollama.service import Service
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from servers.shell.policy.rules import BUILT_IN
from servers.workspace import Workspace

pytestmark = pytest.mark.anyio

SMALL = SimulatedModel(name="small", context_length=8192)


def engine(stack: ExitStack, slower: float = 1.0) -> str:
    model = replace(SMALL, read_s=SMALL.read_s * slower, write_s=SMALL.write_s * slower)
    world = World(machine=Machine(model, noise=Noise(spread=0.01)))
    return stack.enter_context(simulated_in_thread(world))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def client(folder: Path, **hosts: HostSettings) -> Client:
    service = Service.open(Workspace([str(folder)]), opened_hosts(hosts, allow_remote=False), BUILT_IN)
    return Client(build([str(folder)], service=service))


async def said(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    found = await client.call_tool(tool, arguments)
    assert not found.is_error, found
    assert found.structured_content is not None
    return found.structured_content


async def test_the_faster_host_is_taken_unless_its_price_outweighs_that(
    tmp_path: Path, stack: ExitStack
) -> None:
    quick, slow = engine(stack), engine(stack, slower=8)
    hosts = {"quick": HostSettings(address=quick), "slow": HostSettings(address=slow)}
    async with client(tmp_path, **hosts) as free:
        for _ in range(3):
            for name in ("quick", "slow"):
                ran = await said(free, "delegate", task="Say hello.", model=f"small@{name}")
                assert ran["host"] == name and ran["model"] == "small"
        table = await said(free, "estimate", task="Say hello.")
        assert [row["model"] for row in table["models"]] == ["small@quick", "small@slow"]
        seconds = [row["forecast"]["total_s"] for row in table["models"]]
        assert seconds[1] > 4 * seconds[0], "each has a speed model of its own"
        taken = await said(free, "delegate", task="Say hello.", model="small")
        assert taken["host"] == "quick" and taken["chosen"].startswith("small@quick: ")
        listed = await said(free, "list_models")
        assert [(row["host"], row["loaded"]) for row in listed["models"]] == [("quick", True), ("slow", True)]
        assert len({row["speed"] for row in listed["models"]}) == 2
        shown = await said(free, "profile")
        assert len({law["host"] for law in shown["laws"]}) == 2 == len({run["host"] for run in shown["runs"]})
    dear = {**hosts, "quick": HostSettings(address=quick, usd_per_hour=2000)}
    async with client(tmp_path, **dear) as priced:
        table = await said(priced, "estimate", task="Say hello.")
        assert table["best"] == "small@slow"
        assert {row["model"]: "usd" not in row for row in table["models"]} == {
            "small@quick": False,
            "small@slow": True,
        }


async def test_a_host_that_is_gone_is_left_out_with_the_reason(tmp_path: Path, stack: ExitStack) -> None:
    here = engine(stack)
    with ExitStack() as short:
        gone = engine(short)
    hosts = {"gone": HostSettings(address=gone), "here": HostSettings(address=here)}
    async with client(tmp_path, **hosts) as two:
        listed = await said(two, "list_models")
        assert [row["host"] for row in listed["models"]] == ["here"] and "gone does not answer" in listed[
            "note"
        ]
        taken = await said(two, "delegate", task="Say hello.")
        assert taken["host"] == "here" and "gone does not answer" in taken["chosen"]
        lost = await two.call_tool("delegate", {"task": "Say hello.", "model": "large"})
        assert lost.is_error and "no host has the model 'large'; there are: small" in str(lost.content)


@pytest.mark.parametrize("name", ["auto", "small"])
async def test_a_run_whose_host_dies_goes_on_elsewhere_and_says_why(
    tmp_path: Path, stack: ExitStack, name: str
) -> None:
    short, asked, receipts = ExitStack(), threading.Event(), list[dict[str, Any]]()
    world = World(machine=Machine(SMALL), answers=lambda body: asked.set() or "Hello")
    dying = short.enter_context(simulated_in_thread(world, scale=1000))
    other = HostSettings(address=engine(stack, slower=50), usd_per_hour=5000)
    hosts = {"dying": HostSettings(address=dying), "other": other}
    async with client(tmp_path, **hosts) as two, anyio.create_task_group() as group:

        async def ask() -> None:
            receipts.append(await said(two, "delegate", task="Say hello.", model=name))

        group.start_soon(ask)
        assert await anyio.to_thread.run_sync(asked.wait, 60)
        await anyio.to_thread.run_sync(short.close)
    (receipt,) = receipts
    assert receipt["outcome"] == "answered" and receipt["host"] == "other"
    assert "dying does not answer" in receipt["chosen"]
    assert receipt["tried"][0]["model"] == "small@dying" and receipt["tried"][0]["why"]


async def test_a_map_whose_host_dies_goes_on_elsewhere(tmp_path: Path, stack: ExitStack) -> None:
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"line {number} says something\n" * 5, encoding="utf-8")
    short, asked, receipts = ExitStack(), threading.Event(), list[dict[str, Any]]()
    world = World(machine=Machine(SMALL), answers=lambda body: asked.set() or "Hello")
    dying = short.enter_context(simulated_in_thread(world, scale=1000))
    other = HostSettings(address=engine(stack, slower=50), usd_per_hour=5000)
    hosts = {"dying": HostSettings(address=dying), "other": other}
    async with client(tmp_path, **hosts) as two, anyio.create_task_group() as group:

        async def ask() -> None:
            asked_for = {"task": "Summarise it.", "glob": "*.txt", "model": "small"}
            receipts.append(await said(two, "delegate_map", **asked_for))

        group.start_soon(ask)
        assert await anyio.to_thread.run_sync(asked.wait, 60)
        await anyio.to_thread.run_sync(short.close)
    (receipt,) = receipts
    assert receipt["done"] == receipt["chunks"] == 3 and receipt["host"] == "other", receipt
    assert "dying does not answer" in receipt["chosen"] and not receipt.get("tried")


def test_words_and_the_environment_name_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hosts_named([]) == {"": HostSettings()}
    assert hosts_named(["http://gpu1:11434"]) == {"": HostSettings(address="http://gpu1:11434")}
    named = hosts_named(["a=http://gpu1:11434", "http://u:p@gpu2:11434", "llamacpp:http://gpu3:8080"])
    assert {name: one.address for name, one in named.items()} == {
        "a": "http://gpu1:11434",
        "gpu2:11434": "http://u:p@gpu2:11434",
        "gpu3:8080": "llamacpp:http://gpu3:8080",
    }
    monkeypatch.setenv(VARIABLE, json.dumps({"x": {"address": "http://gpu1", "slots": 2, "key": "secret"}}))
    assert hosts_named([])["x"].slots == 2 and "secret" not in repr(hosts_named([]))
    for words, text, wrong in (
        (["a=b", "a=c"], "", "names a twice"),
        ([], '{"x": {"slots": 0}}', "x.slots"),
        ([], "[1]", VARIABLE),
    ):
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(EngineError, match=wrong):
            hosts_named(words)
