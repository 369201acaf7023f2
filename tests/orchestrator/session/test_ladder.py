"""A ladder of workers that ends with a vendor's model: the same gate and receipt, within the budget, with its price."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator import Agent, Hooks, RunError, load_config
from orchestrator.events import Called, Emit, RunEnded, RunStarted, ignore
from orchestrator.providers.scripted import Scripted
from orchestrator.session.delegation import hand_over
from orchestrator.session.session import open_session
from orchestrator.store.costs import savings, spent
from orchestrator.store.database import Database
from orchestrator.types import Completion, ToolCall, Usage, assistant
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
def ollama(said: str, scale: float = 0.0) -> Generator[str]:
    def answers(body: Mapping[str, Any]) -> str:
        return said

    machine = Machine(SimulatedModel(name="small:latest"))
    with simulated_in_thread(World(machine=machine, answers=answers), scale=scale) as url:
        yield url


def vendor(said: str, name: str = "cloud") -> Scripted:
    usage = Usage(input_tokens=1000, output_tokens=100)
    return Scripted(Completion(message=assistant(said), usage=usage), name=name)


def agent_on(folder: Path, host: str, emit: Emit = ignore, **flags: Any) -> Agent:
    price = {"input_usd": 1.0, "output_usd": 10.0}
    config = load_config(cwd=folder, env={"OLLAMA_BASE_URL": host}, **flags)
    models = {"cloud:big": {"price": price}}
    return Agent(config=type(config).model_validate({**config.model_dump(), "models": models}), emit=emit)


def test_the_last_rung_of_a_ladder_may_be_a_vendors_model_under_the_same_gate(folder: Path) -> None:
    wrong, told = "```python\ndef add(a, b):\n    return a - b\n```", list[Any]()
    with ollama(wrong) as host, agent_on(folder, host, emit=told.append) as agent:
        cloud = vendor(GOOD)
        agent.add_provider("cloud", cloud)
        done = agent.delegate("ollama:small", "Fix it.", ladder=["cloud:big"], **FIX)
        spent, local = agent.usage()["cloud:big"], agent.usage()["ollama:small:latest"]
    assert done.outcome == "accepted" and done.model == "cloud:big" and done.gate and done.gate.passed
    assert "a + b" in (folder / "add.py").read_text() and [f.path for f in done.files] == ["add.py"]
    assert done.record["tried"][0]["model"] == "small:latest"
    assert "An earlier answer was not accepted: " in cloud.requests[0].messages[-1].text
    assert done.profile and done.profile.tokens_out == 100 and done.profile.total_s is not None
    assert done.cost == spent.cost_usd == pytest.approx((1000 * 1.0 + 100 * 10.0) / 1e6)
    begun, rung = [one for one in told if isinstance(one, RunStarted)]
    (ended,) = [one for one in told if isinstance(one, RunEnded) and one.run == begun.run]
    assert rung.parent == begun.run and ended.usage.cost_usd == done.cost
    tried = [one["tokens_out"] for one in done.record["tried"]]
    assert local.output_tokens == sum(tried) > 0 and ended.usage.output_tokens == 100 + sum(tried)


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


def test_a_leads_own_delegation_ends_with_a_vendors_model_whose_price_is_counted(folder: Path) -> None:
    order = {"task": "Fix it.", "model": "small", "ladder": ["cloud:big"], **FIX}
    told: list[Any] = []
    with ollama("no code") as host:
        price = {"input_usd": 1.0, "output_usd": 10.0}
        config = load_config(cwd=folder, env={"OLLAMA_BASE_URL": host})
        config = type(config).model_validate(
            {**config.model_dump(), "models": {"cloud:big": {"price": price}}}
        )
        lead = Scripted(
            assistant(ToolCall(id="1", name="ollama__delegate", arguments=order)), "Done.", name="fake"
        )
        seen: list[str] = []
        hooks = Hooks(before_model=lambda request: seen.append(request.model))
        with Agent(
            "lead", model="fake:lead", tools=["ollama"], config=config, emit=told.append, hooks=hooks
        ) as agent:
            agent.add_provider("fake", lead)
            agent.add_provider("cloud", vendor(GOOD))
            reply = agent.reply("Fix add.py.")
            used = agent.usage()
    with Agent("lead", model="fake:lead", config=config) as again:
        assert again.usage() == used  # the same from the journal
    receipt = json.loads(reply.tool_calls[0].result or "")
    assert receipt["outcome"] == "accepted" and receipt["model"] == "cloud:big" and receipt["cost_usd"] > 0
    assert {one["model"] for one in receipt["tried"]} == {"small:latest"}
    assert used["ollama:small:latest"].output_tokens == sum(one["tokens_out"] for one in receipt["tried"])
    (rung,) = [one for one in told if isinstance(one, RunStarted) and one.model == "cloud:big"]
    (ended,) = [one for one in told if isinstance(one, RunEnded) and one.run == rung.run]
    (lead_run,) = [one.run for one in told if isinstance(one, RunStarted) and one.model == "fake:lead"]
    assert rung.parent == lead_run and ended.usage.output_tokens == 100
    assert ended.usage.cost_usd == used["cloud:big"].cost_usd == receipt["cost_usd"]
    (called,) = [one for one in told if isinstance(one, Called) and one.model == "cloud:big"]
    assert called.run == rung.run and seen == ["fake:lead", "cloud:big", "fake:lead"]
    with closing(Database()) as database:  # the bill has the rung, and the delegation once
        assert {one.key: one.cost_usd for one in spent(database, "agent")}["rung"] == receipt["cost_usd"]
        assert savings(database).delegations == 1
    (delegate,) = [spec for spec in lead.requests[0].tools if spec.name == "ollama__delegate"]
    assert "vendor" in delegate.parameters["properties"]["ladder"]["description"]


def test_an_order_to_a_vendor_that_is_misread_is_refused_in_a_sentence(folder: Path) -> None:
    with agent_on(folder, "http://127.0.0.1:9") as agent:
        cloud = vendor(GOOD)
        agent.add_provider("cloud", cloud)
        with pytest.raises(RunError, match=r"delegate: files: 'add.py' is not"):
            agent.delegate("cloud:big", "Fix it.", files="add.py")
        with pytest.raises(RunError, match="delegate: deadline_s: 'soon' is not"):
            agent.delegate("cloud:big", "Fix it.", deadline_s="soon")
    assert cloud.requests == []


@pytest.mark.anyio
async def test_a_delegation_nobody_waits_for_any_more_is_ended_at_the_server(folder: Path) -> None:
    with ollama("a word " * 2000, scale=1.0) as host:
        config = load_config(cwd=folder, env={"OLLAMA_BASE_URL": host})
        async with open_session(config) as session:
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:

                    def waiting(done: float, total: float | None, said: str) -> None:
                        group.cancel_scope.cancel()

                    order = {"task": "Say it.", "model": "small", "wait_s": 0.0}
                    group.start_soon(hand_over, session, order, waiting)
                listed = await session.call_tool("ollama", "delegation", {})
    assert [one["state"] for one in json.loads(listed.text)["delegations"]] == ["cancelled"]
