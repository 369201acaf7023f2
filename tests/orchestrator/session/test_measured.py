"""What is known of models steers patterns; nobody goes on with a run twice; a chain of models ends across processes."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from orchestrator import Agent, CodingAgent, load_config
from orchestrator.agent import Agent as Plain
from orchestrator.agent import run
from orchestrator.errors import ConfigError, OrchestratorError, Overloaded, RunError
from orchestrator.providers.scripted import Scripted
from orchestrator.session.alone import alone
from orchestrator.session.measured import far_stronger
from orchestrator.store.recorder import open_conversation
from orchestrator.store.store import Store
from orchestrator.types import Completion, Delta, Request
from tests.orchestrator.session.test_pattern_tools import UNDERSTUDY, configured, script
from tests.wire.stub import Stub

TASK = "fix the parser of dates"


@pytest.fixture
def history(own_state: Path) -> None:
    """Four runs of each at such tasks: `x:good` did all, `x:bad` none."""
    store = Store()
    try:
        recorder = open_conversation(store)
        for model, line in (("x:good", "done"), ("x:bad", Overloaded("x", "busy"))):
            for n in range(4):
                agent = Plain(name="lead", model=model)
                with suppress(OrchestratorError):
                    anyio.run(lambda: run(agent, f"{TASK} {n}", provider=Scripted(line), emit=recorder))  # noqa: B023
    finally:
        store.close()


@pytest.mark.usefixtures("history")
def test_a_route_goes_by_measured_odds_and_says_so(tmp_path: Path) -> None:
    with Agent(model="x:lead", config=load_config(cwd=tmp_path, env={})) as agent:
        agent.add_provider("x", Scripted(*["fixed"] * 2, name="x"))
        both = {"a": {"model": "x:bad"}, "b": {"model": "x:good"}}
        found = agent.together("route", TASK, specialists=both)
        assert found.details["chosen"] == "x:good" and "gets 83% right" in found.reason
        assert [one["odds"] for one in found.details["candidates"]] == [
            pytest.approx(5 / 6),
            pytest.approx(1 / 6),
        ]
        told = {"a": {"model": "x:bad", "odds": 0.99}, "b": {"model": "x:good", "odds": 0.1}}
        assert (
            agent.together("route", TASK, specialists=told).details["chosen"] == "x:bad"
        )  # who says so is believed


@pytest.mark.usefixtures("history")
def test_a_panel_is_warned_where_one_is_far_stronger(tmp_path: Path) -> None:
    warning = far_stronger(["x:bad", "x:good", "x:new"], TASK)
    assert warning and warning.startswith("x:good did 83% of such tasks here and x:bad, the next, 17%")
    assert (
        far_stronger(["x:good", "x:new"], TASK) is None and far_stronger(["x:good", "x:good"], TASK) is None
    )
    with Agent(model="x:lead", config=load_config(cwd=tmp_path, env={})) as agent:
        agent.add_provider("x", Scripted(*["ANSWER: y"] * 3, name="x"))
        assert warning in agent.vote(["x:bad", "x:good", "x:good"], TASK).warnings


def test_ballots_are_compared_by_an_embedding_where_one_is_named(stub: Stub, tmp_path: Path) -> None:
    config = load_config(cwd=tmp_path, env={"OLLAMA_BASE_URL": stub.url("ollama")})
    with CodingAgent(model="x:a", tools=(), config=config) as agent:
        agent.add_provider("x", Scripted("a car", "the vehicle", "a banana", name="x"))
        asked: dict[str, Any] = {"models": ["x:a"], "samples": 3, "embed": "ollama:stub-embed"}
        found = agent.together("vote", "what?", **asked)
        assert found.agreement == pytest.approx(2 / 3) and found.text in ("a car", "the vehicle", "a banana")
        assert found.details["compared_by"] == "embedding ollama:stub-embed, cosine at least 0.85"
        agent.add_provider("x", Scripted("ANSWER: a car", name="x"))
        agent.add_provider("y", Scripted("ANSWER: the vehicle", name="y"))
        argued = agent.together("debate", "what?", models=["x:a", "y:b"], embed="ollama:stub-embed")
        assert argued.details["converged"] and argued.details["rounds"] == 0, (
            "they say the same in other words"
        )
        with pytest.raises(ConfigError, match="by a judge or by an embedding"):
            agent.together("vote", "what?", **asked, judge="x:a")


def test_a_run_is_gone_on_with_by_one_process_at_a_time(own_state: Path) -> None:
    with alone("r"):
        with (
            pytest.raises(RunError, match=f"the run r is being gone on with by process {os.getpid()}"),
            alone("r"),
        ):
            pass
        with alone("other"):
            pass
    with alone("r"):
        pass
    assert not list((own_state / "understudy" / "runs").iterdir())


@pytest.mark.anyio
@pytest.mark.parametrize(("above", "answered"), [("2", True), ("3", False)])
async def test_a_chain_of_models_ends_in_the_process_where_it_is_too_long(
    tmp_path: Path, above: str, answered: bool
) -> None:
    configured(tmp_path)
    given = StdioServerParameters(
        command=UNDERSTUDY, args=["serve"], cwd=tmp_path, env={**os.environ, "UNDERSTUDY_DEPTH": above}
    )
    async with Client(stdio_client(given)) as client:
        asked = await client.call_tool("ask", {"model": script(tmp_path, "a", "here"), "prompt": "?"})
    text: str = asked.content[0].text  # type: ignore[union-attr]
    assert ("here" in text) if answered else "in a chain of delegations; 3 are allowed" in text


def test_our_servers_are_told_how_many_models_stand_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSTUDY_DEPTH", "1")
    server = {"command": UNDERSTUDY, "args": ["serve"]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"team": server}}), encoding="utf-8")
    config = load_config(cwd=tmp_path, env={}, approve=lambda *given: True)
    with CodingAgent(model="x:a", tools=["team"], config=config) as agent:
        agent.add_provider("x", Scripted("hi", name="x"))
        agent.chat("hello")
        assert agent._open.hosted["team"].env["UNDERSTUDY_DEPTH"] == "2"  # pyright: ignore[reportPrivateUsage]


class Waits:
    """A model that says who asks it, and never answers."""

    name = "x"

    def __init__(self) -> None:
        self.asked, self.left = 0, 0
        self.all_asked, self.all_left = anyio.Event(), anyio.Event()

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        self.asked += 1
        if self.asked == 3:
            self.all_asked.set()
        try:
            await anyio.sleep_forever()
            yield Delta(text="")
        finally:
            self.left += 1
            if self.left == 3:
                self.all_left.set()


@pytest.mark.anyio
@pytest.mark.parametrize("use", ["consult", "vote", "debate", "parallel"])
async def test_cancelling_a_panel_stops_every_member(use: str, tmp_path: Path) -> None:
    from orchestrator import open_session
    from orchestrator.config.pattern_parameters import of_models, settings_of
    from orchestrator.session.panels import run_pattern

    model = Waits()
    async with open_session(configured(tmp_path)) as session, anyio.create_task_group() as group:
        session.add_provider("x", model)
        settings = settings_of({"use": use, **of_models(use, ["x:a", "x:b", "x:c"])})
        group.start_soon(run_pattern, session, settings, "?")
        with anyio.fail_after(60):
            await model.all_asked.wait()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await model.all_left.wait()
    assert model.left == 3
