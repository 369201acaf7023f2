"""A ladder of workers that ends with a vendor's model: the same gate and receipt, within the budget, with its price."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Agent, load_config
from orchestrator.providers.scripted import Scripted
from orchestrator.types import Completion, Usage, assistant
from servers.ollama.simulator.api import World
from servers.ollama.simulator.http import simulated_in_thread
from servers.ollama.simulator.machine import Machine, SimulatedModel

GOOD = "```python\ndef add(a, b):\n    return a + b\n```"
FIX: dict[str, Any] = {"files": ["add.py"], "write": "add.py", "gate": {"command": "grep -q a.+.b add.py"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "add.py").write_text("def add(a, b):\n    return a - b\n", encoding="utf-8")
    return tmp_path


@contextmanager
def ollama(said: str) -> Generator[str]:
    def answers(body: Mapping[str, Any]) -> str:
        return said

    machine = Machine(SimulatedModel(name="small:latest"))
    with simulated_in_thread(World(machine=machine, answers=answers), scale=0.0) as url:
        yield url


def vendor(said: str, name: str = "cloud") -> Scripted:
    usage = Usage(input_tokens=1000, output_tokens=100)
    return Scripted(Completion(message=assistant(said), usage=usage), name=name)


def agent_on(folder: Path, host: str, **flags: Any) -> Agent:
    price = {"input_usd": 1.0, "output_usd": 10.0}
    config = load_config(cwd=folder, env={"OLLAMA_BASE_URL": host}, **flags)
    models = {"cloud:big": {"price": price}}
    return Agent(config=type(config).model_validate({**config.model_dump(), "models": models}))


def test_the_last_rung_of_a_ladder_may_be_a_vendors_model_under_the_same_gate(folder: Path) -> None:
    with ollama("```python\ndef add(a, b):\n    return a - b\n```") as host, agent_on(folder, host) as agent:
        cloud = vendor(GOOD)
        agent.add_provider("cloud", cloud)
        done = agent.delegate("ollama:small", "Fix it.", ladder=["cloud:big"], **FIX)
    assert done.outcome == "accepted" and done.model == "cloud:big" and done.gate and done.gate.passed
    assert "a + b" in (folder / "add.py").read_text() and [f.path for f in done.files] == ["add.py"]
    assert done.record["tried"][0]["model"] == "small:latest"
    assert "An earlier answer was not accepted: " in cloud.requests[0].messages[-1].text
    assert done.profile and done.profile.tokens_out == 100 and done.profile.total_s is not None
    assert done.cost == pytest.approx((1000 * 1.0 + 100 * 10.0) / 1e6)


def test_a_vendors_rung_is_not_asked_where_a_local_one_did_it_or_the_budget_forbids_it(folder: Path) -> None:
    before = (folder / "add.py").read_text()
    with ollama(GOOD) as host, agent_on(folder, host) as agent:
        cloud = vendor("x")
        agent.add_provider("cloud", cloud)
        done = agent.delegate("ollama:small", "Fix it.", ladder=["cloud:big"], **FIX)
        assert done.outcome == "accepted" and done.model == "small:latest" and done.cost is None
    (folder / "add.py").write_text(before)
    with ollama("no code") as host, agent_on(folder, host, budget_usd=0.0001) as agent:
        agent.add_provider("cloud", cloud)
        poor = agent.delegate("ollama:small", "Fix it.", ladder=["cloud:big"], **FIX)
    assert not poor.success and "may cost up to $" in (poor.receipt.reason or "") and poor.cost == 0.0
    assert cloud.requests == [] and (folder / "add.py").read_text() == before


def test_a_vendors_model_alone_takes_files_and_gates_too(folder: Path) -> None:
    with agent_on(folder, "http://127.0.0.1:9") as agent:
        agent.add_provider("cloud", vendor("no code at all"))
        failed = agent.delegate("cloud:big", "Fix it.", **FIX)
        assert failed.outcome == "escalate" and failed.gate and failed.gate.passed is False
        agent.add_provider("other", vendor("it adds", "other"))
        down = agent.delegate("ollama:small", "What is it?", files=["add.py"], ladder=["other:big"])
    assert (
        down.strip() == "it adds" and down.model == "other:big" and down.cost is None
    )  # nobody knows its price
    assert [one["outcome"] for one in down.record["tried"]] == ["refused"]
