"""R3, R55: one result type, the same after success and after failure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.agent import Agent, run
from orchestrator.errors import OutOfRounds, ProviderError
from orchestrator.events import Appended, Event
from orchestrator.patterns import consult
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.tools import Progress, no_progress
from orchestrator.types import (
    Completion,
    Delta,
    Message,
    Request,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    assistant,
    result,
)

pytestmark = pytest.mark.anyio
LEAD = Agent(name="lead", model="scripted:x", max_rounds=3)
ADD = ToolCall(id="1", name="add", arguments={"a": 1, "b": 2})


class Adds:
    specs = (ToolSpec(name="add", description="", parameters={}),)

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        if call.arguments.get("a") is None:
            raise KeyError("a")
        return result(call, str(call.arguments["a"] + call.arguments["b"]))


def done(*parts: Any) -> Completion:
    return Completion(message=assistant(*parts), usage=Usage(input_tokens=10, output_tokens=2, cost_usd=0.5))


async def test_a_reply_holds_the_answer_the_calls_and_what_they_took() -> None:
    again = ToolCall(id="1", name="add", arguments={"a": 5, "b": 5})  # some models repeat their ids
    script = Scripted(done(ADD), done(again), done("13"))
    reply = await run(LEAD, "sum", provider=script, tools=Adds())
    assert (reply.success, reply.text, reply.output, reply.error, reply.stop) == (
        True,
        "13",
        "13",
        None,
        "end",
    )
    assert [(made.name, made.arguments, made.result) for made in reply.tool_calls] == [
        ("add", {"a": 1, "b": 2}, "3"),
        ("add", {"a": 5, "b": 5}, "10"),
    ]
    assert (reply.iterations, reply.total_tokens, reply.cost) == (3, 36, 1.5)


async def test_what_nobody_reported_is_unknown_and_not_zero() -> None:
    reply = await run(LEAD, "x", provider=Scripted("y"))
    assert reply.total_tokens is None and reply.cost is None and reply.recorded


@pytest.mark.parametrize(
    ("marks", "made"),
    [
        ({}, "measured"),
        ({"recorded": True}, "recorded"),
        ({"recorded": True, "simulated": True}, "simulated"),
    ],
)
async def test_a_reply_and_an_outcome_say_how_their_seconds_came_to_be(
    marks: dict[str, bool], made: str
) -> None:
    class Played(Scripted):
        async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
            async for item in super().stream(request):
                mark = {"recorded": False, "simulated": False, **marks}
                yield replace(item, **mark) if isinstance(item, Completion) else item

    script = Played("yes", "yes")
    assert (await run(LEAD, "x", provider=script)).provenance == made

    async def ask(agent: Agent, prompt: str | Message, *, history: Sequence[Message] = ()) -> Reply:
        return await run(agent, prompt, provider=script, history=history)

    outcome = await consult(ask, [LEAD], "x")
    assert outcome.as_json()["provenance"] == outcome.responses[0].provenance == made


async def test_a_failure_carries_what_was_done_until_then_as_it_is_kept() -> None:
    seen: list[Event] = []
    with pytest.raises(OutOfRounds) as failed:
        await run(LEAD, "sum", provider=Scripted(*[assistant(ADD)] * 3), tools=Adds(), emit=seen.append)
    reply = failed.value.reply
    assert (reply.success, reply.output, reply.iterations, len(reply.tool_calls)) == (False, None, 3, 3)
    assert "still calling tools" in reply.error
    kept = [message for event in seen if isinstance(event, Appended) for message in event.messages]
    assert list(reply.messages) == kept


async def test_what_was_said_before_a_broken_answer_is_in_the_reply() -> None:
    class Breaks:
        name = "b"

        async def stream(self, request: Any) -> Any:
            async for item in Scripted("half an answer").stream(request):
                if not isinstance(item, Completion):
                    yield item
            raise ProviderError("b", "gone")

    with pytest.raises(ProviderError) as failed:
        await run(LEAD, "x", provider=Breaks())
    assert failed.value.reply.text == "half an answer" and failed.value.reply.error == "b: gone"


async def test_a_provider_or_a_tool_that_raises_anything_is_named_and_ends_no_group() -> None:
    class Sick:
        name = "sick"

        async def stream(self, request: Any) -> Any:
            yield {}["nothing"]

    with pytest.raises(ProviderError, match="sick: failed by a fault of its own: KeyError: 'nothing'"):
        await run(LEAD, "x", provider=Sick())
    wrong = ToolCall(id="2", name="add", arguments={})
    script = Scripted(assistant(ADD, wrong), "ok")
    reply = await run(LEAD, "x", provider=script, tools=Adds())
    assert [made.result for made in reply.tool_calls] == ["3", "add failed: KeyError: 'a'"]
