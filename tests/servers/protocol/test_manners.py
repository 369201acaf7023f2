"""Small manners of a good guest, over real stdio: what strict hosts and odd clients meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import ElicitResult

from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, Noise, SimulatedModel
from tests.stdio import Stdio, connect, start

SERVERS = ("files", "shell", "git", "ollama")


@pytest.mark.parametrize("last", [False, True])
def test_a_message_that_is_too_long_is_answered_under_its_own_id(last: bool, tmp_path: Path) -> None:
    """Some clients write the id behind the parameters."""
    with start("files", str(tmp_path)) as server:
        content = '"id": 3, "id": 4} ' * 1_000_000
        call = {"method": "tools/call", "params": {"name": "write_file", "arguments": {"content": content}}}
        id: dict[str, Any] = {"id": "big-1"}
        message = {**call, "jsonrpc": "2.0", **id} if last else {"jsonrpc": "2.0", **id, **call}
        written(server, json.dumps(message).encode() + b"\n")
        answer = server.read()
        assert answer["id"] == "big-1" and "16 MiB" in answer["error"]["message"]
        assert not server.call("list_files").is_error


def written(server: Stdio, data: bytes) -> None:
    import os

    while data:
        data = data[os.write(server.stdin, data) :]


@pytest.mark.parametrize("name", SERVERS)
def test_only_what_exists_is_declared(name: str, tmp_path: Path) -> None:
    with start(name, str(tmp_path)) as server:
        declared = server.hello["capabilities"]
        for what in ("prompts", "resources"):
            answer = server.request(f"{what}/list", {})
            assert (what in declared) == ("error" not in answer) == bool(answer.get("result", {}).get(what))
        assert not any(part.get("listChanged") or part.get("subscribe") for part in declared.values())


@pytest.mark.anyio
@pytest.mark.parametrize("name", SERVERS)
async def test_the_newer_protocol_is_told_no_more(name: str, tmp_path: Path) -> None:
    async with connect(name, str(tmp_path)) as client:
        able = client.server_capabilities
        assert (able.prompts is not None) == (name == "ollama")
        assert (able.resources is not None) == (name in ("ollama", "shell"))
        assert able.tools and not able.tools.list_changed
        assert able.resources is None or not able.resources.subscribe


@pytest.mark.parametrize("name", SERVERS)
def test_every_parameter_has_one_type_at_most(name: str, tmp_path: Path) -> None:
    with start(name, str(tmp_path)) as server:
        for tool in server.tools():
            for parameter, schema in tool["inputSchema"]["properties"].items():
                assert not isinstance(schema.get("type"), list), (tool["name"], parameter)
                assert not {"anyOf", "oneOf", "allOf", "$ref"} & schema.keys(), (tool["name"], parameter)


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("content", [None, {}, {"other": 1}])
async def test_a_question_accepted_without_its_answer_does_nothing_and_is_told_plainly(
    mode: Any, content: Any, tmp_path: Path
) -> None:
    async def accept(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content=content)

    async with connect("shell", str(tmp_path), mode=mode, elicitation_callback=accept) as client:
        said = await client.call_tool("run_command", {"command": "curl http://far.example/"})
    assert said.is_error
    assert said.content[0].text == (  # type: ignore[union-attr]
        "the question was accepted without one of its answers, so run_command did nothing"
    )


@pytest.mark.anyio
async def test_progress_only_grows_also_from_one_rung_to_the_next(tmp_path: Path) -> None:
    told: list[float] = []

    async def hear(done: float, of: float | None, message: str | None) -> None:
        told.append(done)

    model = SimulatedModel(name="small:latest", context_length=8192)
    world = World(machine=Machine(model, noise=Noise(spread=0.01)), answers=lambda body: "word " * 60)
    with simulated_in_thread(world, scale=0.3) as url, anyio.fail_after(60):
        async with connect("ollama", str(tmp_path), "--host", url) as client:
            arguments = {"task": "x", "schema": {"type": "object"}, "ladder": ["small"]}
            await client.call_tool("delegate", arguments, progress_callback=hear)
    assert len(told) > 2 and told == sorted(set(told))


def test_a_gate_may_be_an_object_or_the_same_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("alpha\n", encoding="utf-8")
    model = SimulatedModel(name="small:latest", context_length=8192)
    world = World(machine=Machine(model, noise=Noise(spread=0.01)), answers=lambda body: "beta\n")
    with simulated_in_thread(world) as url, start("ollama", str(tmp_path), "--host", url) as server:
        gate = {"max_changed_lines": 0}
        for given in (gate, json.dumps(gate), [gate], json.dumps([gate])):
            receipt = server.call("delegate", task="x", files=["a.txt"], write="a.txt", gate=given).structured
            assert receipt["outcome"] == "escalate" and "max_changed_lines" in receipt["reason"]
