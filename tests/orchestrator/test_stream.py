"""R19: a turn can be iterated over as it happens, from plain and from async programs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import CodingAgent, load_config, tool
from orchestrator.errors import OrchestratorError, ProviderError
from orchestrator.events import Notice, Streamed, ToolFinished, ToolStarted
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.types import Thinking, ToolCall, assistant
from tests.processes import PATIENCE_S

CALL = assistant(Thinking(text="hm"), "I look. ", ToolCall(id="1", name="two", arguments={}))


@tool
def two() -> int:
    return 2


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[CodingAgent]:
    config = load_config(cwd=tmp_path, env={}, display__quiet=True)
    with CodingAgent(model="fake:m", config=config, tools=[two]) as made:
        yield made


def kinds(items: list[Any]) -> list[str]:
    found = [f"thinking {i.thinking}" if isinstance(i, Streamed) else type(i).__name__ for i in items]
    return list(dict.fromkeys(found))


def test_a_turn_is_iterated_as_it_happens_and_ends_with_the_reply(agent: CodingAgent) -> None:
    agent.add_provider("fake", Scripted(CALL, "It is two.", name="fake"))
    items = list(agent.stream("which?"))
    assert kinds(items) == ["thinking True", "thinking False", "ToolStarted", "ToolFinished", "Reply"]
    said = "".join(i.text for i in items if isinstance(i, Streamed) and not i.thinking)
    assert said == "I look. It is two."
    last = items[-1]
    assert isinstance(last, Reply) and last.text == "It is two." and last.tool_calls[0].result == "2"
    assert [i.call.name for i in items if isinstance(i, ToolStarted)] == ["two"]
    assert [i.result.text for i in items if isinstance(i, ToolFinished)] == ["2"]


@pytest.mark.anyio
async def test_the_same_from_an_async_program_beside_other_work(agent: CodingAgent) -> None:
    agent.add_provider("fake", Scripted(CALL, "It is two.", name="fake"))
    items = [item async for item in agent.stream("which?")]
    assert kinds(items)[-1] == "Reply" and items[-1].text == "It is two."


def test_nothing_begins_before_the_first_step_and_leaving_early_stops_the_turn(agent: CodingAgent) -> None:
    ended: list[bool] = []

    class Endless(Scripted):
        async def stream(self, request: Any) -> Any:
            try:
                async for item in Scripted("one ").stream(request):
                    yield item
                    await asyncio.Event().wait()
            finally:
                ended.append(True)

    agent.add_provider("fake", Endless(name="fake"))
    agent.stream("never iterated")
    for item in agent.stream("count"):
        assert isinstance(item, Streamed)
        break
    assert ended == [True] and agent.history[0].text == "count"
    agent.add_provider("fake", Scripted("back", name="fake"))
    assert agent.chat("and now?") == "back"


@pytest.mark.anyio
async def test_cancelling_an_async_reader_stops_the_turn(agent: CodingAgent) -> None:
    class Silent(Scripted):
        async def stream(self, request: Any) -> Any:
            await asyncio.Event().wait()
            yield

    agent.add_provider("fake", Silent(name="fake"))

    async def read() -> None:
        async for _item in agent.stream("count"):
            pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(), 0.1)
    agent.add_provider("fake", Scripted("back", name="fake"))
    assert await asyncio.to_thread(agent.chat, "and now?") == "back"


def test_a_failure_is_raised_in_the_place_of_the_reply(agent: CodingAgent) -> None:
    agent.add_provider("fake", Scripted(CALL, ProviderError("fake", "down"), name="fake"))
    items: list[Any] = []
    with pytest.raises(ProviderError) as failed:
        items.extend(agent.stream("which?"))
    assert failed.value.reply.iterations == 1 and failed.value.reply.error == "fake: down"
    agent.add_provider("fake", Scripted("", name="fake"))
    assert any(isinstance(item, Notice) and "is empty" in item.text for item in agent.stream("again"))


def test_a_stream_gives_its_turn_once_and_a_with_ends_it(agent: CodingAgent) -> None:
    agent.add_provider("fake", Scripted("one", "two", name="fake"))
    stream = agent.stream("x")
    assert kinds(list(stream))[-1] == "Reply" and list(stream) == []
    with agent.stream("y") as other:
        next(iter(other))
    assert [m.role for m in agent.history] == ["user", "assistant"] * 2


@pytest.mark.anyio
async def test_an_agent_and_its_stream_are_async_contexts_too(tmp_path: Path) -> None:
    config = load_config(cwd=tmp_path, env={}, display__quiet=True)
    async with CodingAgent(model="fake:m", config=config, tools=()) as made:
        made.add_provider("fake", Scripted("one", name="fake"))
        async with made.stream("x") as stream:
            assert [type(item).__name__ async for item in stream] == ["Streamed", "Reply"]
    with pytest.raises(OrchestratorError, match="this agent is closed"):
        made.chat("y")


FORKS = """
import os
from orchestrator import CodingAgent

class Says:
    def chat(self, messages, model):
        return "said"

    def list_models(self):
        return ["m"]

agent = CodingAgent(model="fake:m", tools=())
agent.add_provider("fake", Says())
assert agent.chat("x") == "said"
if not (child := os.fork()):
    os._exit(0 if "forked" in (agent.try_reply("y").error or "") else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert agent.chat("z") == "said"
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_an_agent_of_before_a_fork_says_so_in_the_child(tmp_path: Path) -> None:
    path = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONWARNINGS": "ignore",
    }  # of a fork beside threads
    ran = subprocess.run(
        [sys.executable, "-c", FORKS],
        cwd=tmp_path,
        env={**os.environ, **path},
        timeout=PATIENCE_S,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
