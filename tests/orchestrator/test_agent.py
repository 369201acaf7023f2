from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agent import Agent, run
from orchestrator.errors import (
    ContextTooLong,
    OrchestratorError,
    OutOfRounds,
    OutOfTime,
    Overloaded,
    ProviderError,
)
from orchestrator.events import (
    Appended,
    Event,
    Notice,
    RunEnded,
    RunStarted,
    Streamed,
    ToolFinished,
    ToolProgress,
)
from orchestrator.patterns import consult, delegate
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.tools import Merged, NoTools, Progress, no_progress
from orchestrator.types import (
    Completion,
    Delta,
    Message,
    Request,
    Stop,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    assistant,
    result,
    user,
)

pytestmark = pytest.mark.anyio
LEAD = Agent(name="lead", model="scripted:x", max_rounds=3)


def call(name: str, id: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(id=id, name=name, arguments=arguments)


class Box:
    """A toolbox of one function; what it is asked is kept."""

    def __init__(self, name: str = "echo") -> None:
        self.specs = (ToolSpec(name=name, description="", parameters={"type": "object"}),)
        self.asked: list[ToolCall] = []

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        self.asked.append(call)
        progress(1, 2, "half")
        await anyio.lowlevel.checkpoint()
        return result(call, f"echo {call.arguments}")


async def test_the_loop_runs_tools_until_the_model_answers() -> None:
    provider = Scripted(assistant("look", call("echo", x=1)), "it said 1")
    reply = await run(LEAD, "go", provider=provider, tools=Box())
    assert reply.text == "it said 1"
    assert [m.role for m in reply.messages] == ["user", "assistant", "tool", "assistant"]
    assert provider.requests[1].messages == reply.messages[:3]
    assert [spec.name for spec in provider.requests[0].tools] == ["echo"]


async def test_parallel_calls_are_answered_in_the_order_they_were_asked() -> None:
    class Slow(Box):
        async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
            if call.arguments["n"] == 0:
                await self.second.wait()
            else:
                self.second.set()
            return result(call, str(call.arguments["n"]))

        second = anyio.Event()

    provider = Scripted(assistant(call("echo", "a", n=0), call("echo", "b", n=1)), "done")
    with anyio.fail_after(60):
        reply = await run(LEAD, "go", provider=provider, tools=Slow())
    parts = reply.messages[2].parts
    assert [(p.call_id, p.text) for p in parts if isinstance(p, ToolResult)] == [("a", "0"), ("b", "1")]


async def test_two_calls_with_the_same_id_both_get_their_own_result() -> None:
    provider = Scripted(assistant(call("echo", "same", n=0), call("echo", "same", n=1)), "done")
    reply = await run(LEAD, "go", provider=provider, tools=Box())
    assert ["0" in p.text for p in reply.messages[2].parts if isinstance(p, ToolResult)] == [True, False]


async def test_an_unknown_tool_is_answered_with_what_there_is() -> None:
    provider = Scripted(assistant(call("nope")), "sorry")
    await run(LEAD, "go", provider=provider, tools=Merged(Box("echo"), Box("other")))
    (answer,) = provider.requests[1].messages[-1].parts
    assert isinstance(answer, ToolResult) and answer.is_error
    assert "echo" in answer.text and "other" in answer.text


async def test_arguments_that_are_no_json_object_never_reach_a_tool() -> None:
    box = Box()
    broken = ToolCall(id="1", name="echo", arguments={}, raw='{"path": "a.t')
    provider = Scripted(assistant(broken), "sorry")
    await run(LEAD, "go", provider=provider, tools=box)
    (answer,) = provider.requests[1].messages[-1].parts
    assert isinstance(answer, ToolResult) and answer.is_error and '"a.t' in answer.text
    assert box.asked == []


async def test_a_paused_answer_is_gone_on_with() -> None:
    paused = Completion(message=assistant("One half, "), usage=Usage(output_tokens=3), stop="pause")
    provider = Scripted(paused, "and the other.")
    reply = await run(LEAD, "go", provider=provider)
    assert (reply.text, reply.stop) == ("One half, and the other.", "end")
    assert [m.role for m in provider.requests[1].messages] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("stop", "why"), [("length", "max_tokens"), ("context", "full"), ("refusal", "safety")]
)
async def test_an_unfinished_answer_says_why_it_ends(stop: Stop, why: str) -> None:
    seen: list[Event] = []
    cut = Completion(message=assistant("One half"), usage=Usage(), stop=stop)
    reply = await run(LEAD, "go", provider=Scripted(cut), emit=seen.append)
    assert (reply.text, reply.stop) == ("One half", stop)
    assert [why in e.text for e in seen if isinstance(e, Notice)] == [True]


async def test_endless_tool_calls_stop_at_max_rounds() -> None:
    seen: list[Event] = []
    with pytest.raises(OutOfRounds, match="3 rounds"):
        await run(
            LEAD, "loop", provider=Scripted(*[assistant(call("echo"))] * 3), tools=Box(), emit=seen.append
        )
    history = [m for e in seen if isinstance(e, Appended) for m in e.messages]
    assert [m.role for m in history] == ["user", *["assistant", "tool"] * 3, "assistant"]
    assert "3 rounds" in history[-1].text


class Hanging:
    name = "hanging"
    closed = False

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        try:
            yield Delta(text="one ")
            await anyio.sleep_forever()
        finally:
            self.closed = True


async def test_a_run_that_takes_too_long_ends_cleanly_and_closes_its_stream() -> None:
    provider, seen = Hanging(), list[Event]()
    slow = Agent(name="slow", model="hanging:x", timeout_s=0.01)
    with pytest.raises(OutOfTime, match=r"0\.01 s"):
        await run(slow, "hi", provider=provider, emit=seen.append)
    assert provider.closed
    assert isinstance(seen[-1], RunEnded) and "0.01 s" in (seen[-1].error or "")


async def test_a_cancelled_run_says_so_and_keeps_the_question_and_what_was_said() -> None:
    seen: list[Event] = []

    def stop_at_the_first_word(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Streamed):
            scope.cancel()

    with anyio.fail_after(60), anyio.CancelScope() as scope:
        await run(LEAD, "hi", provider=Hanging(), emit=stop_at_the_first_word)
    assert scope.cancelled_caught
    (closed,) = [event for event in seen if isinstance(event, Appended)]
    assert [m.text for m in closed.messages] == ["hi", "one\n\n[interrupted: stopped by the person]"]
    assert closed.cause == "stopped by the person"
    assert isinstance(seen[-1], RunEnded) and seen[-1].error == "cancelled"


async def test_a_run_stopped_among_its_tools_keeps_the_finished_results_and_closes_the_open_calls() -> None:
    seen: list[Event] = []

    class Half(Box):
        async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
            if call.id == "c2":
                await anyio.sleep_forever()
            return result(call, "done")

    def stop_after_the_first(event: Event) -> None:
        seen.append(event)
        if isinstance(event, ToolFinished):
            scope.cancel()

    calls = assistant(call("echo"), ToolCall(id="c2", name="echo", arguments={}))
    with anyio.fail_after(60), anyio.CancelScope() as scope:
        await run(LEAD, "go", provider=Scripted(calls), tools=Half(), emit=stop_after_the_first)
    history = [m for e in seen if isinstance(e, Appended) for m in e.messages]
    assert [m.role for m in history] == ["user", "assistant", "tool", "assistant"]
    assert [(p.text, p.is_error) for p in history[2].parts if isinstance(p, ToolResult)] == [
        ("done", False),
        ("stopped by the person", True),
    ]


async def test_a_question_that_fits_no_model_joins_nothing() -> None:
    seen: list[Event] = []
    with pytest.raises(ContextTooLong):
        await run(LEAD, "x", provider=Scripted(ContextTooLong("scripted", "too long")), emit=seen.append)
    assert not any(isinstance(event, Appended) for event in seen)


async def test_a_stream_without_a_completion_is_an_error() -> None:
    class Cut:
        name = "cut"

        async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
            yield Delta(text="half")

    with pytest.raises(ProviderError, match="without a completion"):
        await run(LEAD, "hi", provider=Cut())


async def test_steps_and_variables_are_filled_into_the_system_prompt_each_round() -> None:
    agent = Agent(
        name="a",
        model="s:x",
        system="{current_step}/{max_steps} for {who} {untouched}",
        variables={"who": "Ada"},
    )
    provider = Scripted(assistant(call("echo")), "done")
    await run(agent, "go", provider=provider, tools=Box())
    assert [r.system for r in provider.requests] == ["1/15 for Ada {untouched}", "2/15 for Ada {untouched}"]


async def test_progress_of_a_tool_is_an_event_of_its_call() -> None:
    seen: list[Event] = []
    await run(LEAD, "go", provider=Scripted(assistant(call("echo")), "x"), tools=Box(), emit=seen.append)
    (progress,) = [e for e in seen if isinstance(e, ToolProgress)]
    assert (progress.call_id, progress.done, progress.total, progress.message) == ("c1", 1, 2, "half")


async def test_a_run_inside_a_tool_knows_its_parent() -> None:
    seen: list[Event] = []

    class Team(Box):
        async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
            await run(Agent(name="inner", model="i:m"), "sub", provider=Scripted("ok"), emit=seen.append)
            return result(call, "done")

    await run(LEAD, "go", provider=Scripted(assistant(call("echo")), "x"), tools=Team(), emit=seen.append)
    outer, inner = [e for e in seen if isinstance(e, RunStarted)]
    assert (outer.parent, inner.parent) == (None, outer.run)


steps = st.lists(st.sampled_from(["tool", "two", "error", "text"]), max_size=6)


@given(steps)
def test_after_any_script_every_call_in_the_history_has_its_result(script: list[str]) -> None:
    lines: dict[str, Any] = {
        "tool": assistant(call("echo", "a")),
        "two": assistant("both", call("echo", "a"), call("nope", "b")),
        "error": Overloaded("scripted", "503"),
        "text": "answer",
    }
    seen: list[Event] = []

    async def go() -> None:
        provider = Scripted(*[lines[step] for step in script])
        with suppress(OrchestratorError):
            await run(LEAD, "go", provider=provider, tools=Box(), emit=seen.append)

    anyio.run(go)
    history = [message for event in seen if isinstance(event, Appended) for message in event.messages]
    for message, following in zip(history, [*history, None][1:], strict=True):
        asked = [c.id for c in message.tool_calls]
        if asked:
            assert following is not None and following.role == "tool"
            assert [p.call_id for p in following.parts if isinstance(p, ToolResult)] == asked
    assert isinstance(seen[-1], RunEnded)


counts = st.none() | st.integers(0, 10**9)
usages = st.builds(Usage, input_tokens=counts, cached_tokens=counts, output_tokens=counts)


@given(usages, usages, usages)
def test_usage_adds_like_numbers_and_unknown_is_the_identity(a: Usage, b: Usage, c: Usage) -> None:
    assert a + Usage() == a == Usage() + a
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)


def asker(answers: dict[str, str | Exception]) -> Any:
    async def ask(agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
        answer = answers[agent.name]
        if isinstance(answer, Exception):
            raise answer
        return Reply(
            agent=f"{agent.name} {agent.role}",
            text=f"{answer}: {prompt}",
            messages=(user(prompt),),
            usage=Usage(),
        )

    return ask


async def test_a_worker_sees_the_task_and_the_chosen_context_alone() -> None:
    reply = await delegate(asker({"w": "ok"}), Agent(name="w", model="m:m"), "do it", context="background")
    assert (reply.agent, reply.text) == ("w worker", "ok: background\n\ndo it")


async def test_one_sick_adviser_does_not_sink_the_others() -> None:
    ask = asker({"a": "yes", "b": ProviderError("b", "down"), "c": "no"})
    outcome = await consult(ask, [Agent(name=n, model="m:m") for n in "abc"], "ok?")
    assert [(said.agent, said.error or said.text) for said in outcome.responses] == [
        ("a", "yes: ok?"),
        ("b", "b: down"),
        ("c", "no: ok?"),
    ]
    assert outcome.ok and outcome.reason == "2 of 3 answered"


async def test_no_tools_say_so() -> None:
    answer = await NoTools().call(call("x"))
    assert answer.is_error and "there are none" in answer.text
