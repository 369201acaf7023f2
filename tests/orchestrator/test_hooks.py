"""Hooks around model calls and tool calls change, decline or stop; a run out of rounds sums up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Agent, Hooks, Stopped, load_config, tool
from orchestrator.errors import ConfigError, OutOfRounds, ProviderError, RunError
from orchestrator.providers.scripted import Scripted
from orchestrator.types import Completion, Request, ToolCall, ToolResult, Usage, assistant, result

ran: list[int] = []


@tool
def double(x: int) -> int:
    """Twice a number."""
    ran.append(x)
    return 2 * x


CALL = ToolCall(id="1", name="double", arguments={"x": 4})
Make = Callable[..., tuple[Agent, Scripted]]


@pytest.fixture
def make(tmp_path: Path, own_state: Path) -> Iterator[Make]:
    made: list[Agent] = []
    ran.clear()

    def agent(*lines: Any, rounds: int = 15, **hooks: Any) -> tuple[Agent, Scripted]:
        config = load_config(cwd=tmp_path, env={}).model_copy(update={"max_rounds": rounds})
        one = Agent(model="fake:m", tools=[double], config=config, hooks=Hooks(**hooks))
        made.append(one)
        script = Scripted(*lines, name="fake")
        one.add_provider("fake", script)
        return one, script

    yield agent
    for one in made:
        one.close()


def test_a_request_is_changed_before_it_is_sent_and_the_conversation_keeps_its_own(make: Make) -> None:
    def brief(request: Request) -> Request:
        return replace(request, system="Be brief.", messages=(*request.messages[:-1], assistant("x")))

    agent, script = make("yes", before_model=brief)
    assert agent.chat("secret") == "yes"
    assert script.requests[0].system == "Be brief."
    assert [m.text for m in agent.history] == ["secret", "yes"]


def test_an_answer_is_changed_before_it_is_kept(make: Make) -> None:
    async def redact(request: Request, done: Completion) -> Completion:
        return replace(done, message=assistant(done.message.text.replace("4711", "****")))

    agent, _ = make("the pin is 4711", after_model=redact)
    assert agent.chat("pin?") == "the pin is ****" == agent.history[-1].text


@pytest.mark.parametrize(
    ("decision", "read", "numbers"),
    [
        (None, "8", [4]),
        (True, "8", [4]),
        (False, "double was not run: it was declined", []),
        ("", "double was not run: it was declined", []),
        ("too large", "double was not run: too large", []),
        (ToolCall(id="other", name="double", arguments={"x": 5}), "10", [5]),
        (ToolCall(id="other", name="nope", arguments={}), "no tool 'nope'; there are: double", []),
        (result(ToolCall(id="z", name="q", arguments={}), "from a cache"), "from a cache", []),
    ],
)
def test_a_call_is_approved_declined_changed_or_answered(
    make: Make, decision: Any, read: str, numbers: list[int]
) -> None:
    agent, script = make(assistant(CALL), "done", before_tool=lambda call: decision)  # pyright: ignore[reportUnknownLambdaType]
    assert agent.chat("go") == "done"
    (answer,) = script.requests[1].messages[-1].parts
    assert isinstance(answer, ToolResult)
    assert (answer.call_id, answer.name, answer.text) == ("1", "double", read)
    assert ran == numbers


def test_a_result_is_changed_before_the_model_reads_it(make: Make) -> None:
    def shout(call: ToolCall, answer: ToolResult) -> str:
        return f"{call.arguments['x']} -> {answer.text}!"

    agent, _ = make(assistant(CALL), "done", after_tool=shout)
    assert agent.reply("go").tool_calls[0].result == "4 -> 8!"


@pytest.mark.parametrize("place", ["before_model", "after_model", "before_tool", "after_tool"])
def test_a_hook_stops_the_run_and_the_conversation_goes_on_later(make: Make, place: str) -> None:
    calls: list[str] = []

    def stop(*given: Any) -> None:
        calls.append(place)
        if len(calls) == 1:
            raise Stopped("enough")

    agent, script = make(assistant(CALL, replace(CALL, id="2")), "after", **{place: stop})
    failed = agent.try_reply("go")
    assert (failed.success, failed.error) == (False, "enough")
    script.lines[:] = ["again"]
    assert agent.chat("go on") == "again"
    asked = script.requests[-1].messages
    open_calls = {call.id for message in asked for call in message.tool_calls}
    answered = {p.call_id for message in asked for p in message.parts if isinstance(p, ToolResult)}
    assert open_calls == answered


def test_a_guard_that_fails_or_returns_nonsense_lets_nothing_pass(make: Make) -> None:
    def broken(call: ToolCall) -> bool:
        return {}["x"]

    agent, _ = make(assistant(CALL), "done", before_tool=broken)
    with pytest.raises(RunError, match="the hook before_tool failed: KeyError: 'x'"):
        agent.chat("go")
    agent, _ = make(assistant(CALL), "done", before_tool=lambda call: 3)  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(RunError, match="before_tool returned int; wanted ToolCall or ToolResult"):
        agent.chat("go")

    def listed(call: ToolCall) -> ToolCall:
        odd: Any = [1]
        return replace(call, arguments=odd)

    agent, _ = make(assistant(CALL), "done", before_tool=listed)
    with pytest.raises(RunError, match="gave arguments that are no dict: list"):
        agent.chat("go")
    assert ran == []


def test_what_was_done_and_paid_for_before_a_hook_failed_is_kept(make: Make) -> None:
    def broken(*given: Any) -> None:
        raise ValueError("mine")

    paid = Completion(message=assistant("said"), usage=Usage(input_tokens=9, output_tokens=2))
    agent, _ = make(paid, after_model=broken)
    reply = agent.try_reply("go")
    assert (reply.usage.output_tokens, reply.iterations, reply.success) == (2, 1, False)
    agent, _ = make(assistant(CALL), after_tool=broken)
    (call,) = agent.try_reply("go").tool_calls
    assert call.result == "it was run; the run ended before a hook had let pass what it said" and ran == [4]


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit(1), GeneratorExit])
def test_a_hook_that_would_end_its_thread_ends_the_run_and_the_agent_goes_on(make: Make, raised: Any) -> None:
    def leaves(request: Request) -> None:
        if request.messages[-1].text == "go":
            raise raised

    agent, _ = make("later", before_model=leaves)
    assert "the hook before_model failed" in (agent.try_reply("go").error or "")
    assert agent.chat("again") == "later"


def test_what_cannot_be_a_hook_is_refused_at_once(make: Make) -> None:
    with pytest.raises(ConfigError, match="the hook after_model: wanted a function or None, found 3"):
        make("x", after_model=3)
    with pytest.raises(ConfigError, match=r"hooks: wanted Hooks\(before_model=\.\.\., \.\.\.\), found dict"):
        Agent(hooks={"after_model": print})  # pyright: ignore[reportArgumentType]


def test_a_tool_that_asks_its_own_agent_is_told_so_instead_of_waiting_for_ever(make: Make) -> None:
    asked: list[Agent] = []

    @tool
    def inner() -> str:
        return asked[0].chat("inner")

    agent, script = make(assistant(ToolCall(id="1", name="inner", arguments={})), "done")
    agent.tools = (inner,)
    asked.append(agent)
    (call,) = agent.reply("go").tool_calls
    assert "this agent is within a turn" in (call.result or "") and len(script.requests) == 2


def test_out_of_rounds_it_sums_up_without_tools_and_that_is_kept(make: Make) -> None:
    agent, script = make(assistant(CALL), assistant(CALL), "8 found; 9 is missing.", rounds=2)
    with pytest.raises(OutOfRounds, match="after 2 rounds") as ended:
        agent.chat("go")
    reply = ended.value.reply
    assert (reply.text, reply.success, reply.iterations) == ("8 found; 9 is missing.", False, 3)
    assert script.requests[2].tools == () and "still missing" in script.requests[2].messages[-1].text
    last = agent.history[-1].text
    assert last.startswith("8 found; 9 is missing.") and "2 rounds" in last
    assert [m.role for m in agent.history] == ["user", *["assistant", "tool"] * 2, "assistant"]


def test_a_summary_that_fails_leaves_the_cause(make: Make) -> None:
    agent, _ = make(assistant(CALL), ProviderError("fake", "gone"), rounds=1)
    failed = agent.try_reply("go")
    assert "after 1 rounds" in (failed.error or "") and failed.text == ""
