"""R3, R55: however a run ends without an answer, its Reply tells the same things, returned or carried by the exception."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator import CodingAgent, Hooks, load_config, tool
from orchestrator.errors import (
    InvalidAnswer,
    OrchestratorError,
    OutOfBudget,
    OutOfRounds,
    OutOfTime,
    ProviderError,
    Refused,
    Stopped,
)
from orchestrator.providers.scripted import Scripted
from orchestrator.reply import Reply
from orchestrator.types import Completion, Delta, Request, ToolCall, Usage, assistant

USED = Usage(input_tokens=10, output_tokens=2)


@tool
def look() -> str:
    """Looks."""
    return "seen"


def done(*parts: Any, stop: Any = "tool") -> Completion:
    return Completion(message=assistant(*parts), usage=USED, stop=stop)


CALL = done("I look.", ToolCall(id="1", name="look", arguments={}))


class Waits(Scripted):
    """One answer, then none."""

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        if len(self.requests):
            await anyio.sleep_forever()
        async for item in super().stream(request):
            yield item


def stopped_at_second() -> Hooks:
    calls: list[Request] = []

    def before(request: Request) -> None:
        calls.append(request)
        if len(calls) % 2 == 0:
            raise Stopped("enough")

    return Hooks(before_model=before)


def refused_tool(call: ToolCall) -> None:
    raise Stopped("not this tool")


ENDS: dict[str, tuple[type[OrchestratorError], Callable[[], Scripted], dict[str, Any], dict[str, Any]]] = {
    "rounds": (
        OutOfRounds,
        lambda: Scripted(CALL, done("So far.", stop="end"), name="fake"),
        {"max_rounds": 1},
        {},
    ),
    "time": (OutOfTime, lambda: Waits(CALL, name="fake"), {"run_timeout_s": 0.3}, {}),
    "budget": (OutOfBudget, lambda: Scripted(CALL, "never", name="fake"), {"budget_usd": 0.000003}, {}),
    "provider": (ProviderError, lambda: Scripted(CALL, ProviderError("fake", "gone"), name="fake"), {}, {}),
    "refused": (Refused, lambda: Scripted(CALL, Refused("fake", "not safe"), name="fake"), {}, {}),
    "hook": (Stopped, lambda: Scripted(CALL, "never", name="fake"), {}, {"hooks": stopped_at_second}),
    "tool hook": (
        Stopped,
        lambda: Scripted(CALL, name="fake"),
        {},
        {"hooks": lambda: Hooks(before_tool=refused_tool)},
    ),
}


def agent_of(folder: Path, flags: dict[str, Any], more: dict[str, Any]) -> CodingAgent:
    config = load_config(cwd=folder, env={}, display__quiet=True, retries=0, **flags)
    price = {"fake:m": {"price": {"input_usd": 0.0, "output_usd": 1.0}, "max_tokens": 2}}
    config = type(config).model_validate({**config.model_dump(), "models": price})
    return CodingAgent(
        model="fake:m", config=config, tools=[look], **{key: make() for key, make in more.items()}
    )


@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_ends_without_an_answer_tells_what_was_done(tmp_path: Path, end: str) -> None:
    kind, script, flags, more = ENDS[end]
    found: list[Reply] = []
    for way in ("try", "raise"):
        with agent_of(tmp_path, flags, more) as agent:
            agent.add_provider("fake", script())
            if way == "try":
                found.append(agent.try_reply("go"))
            else:
                with pytest.raises(kind) as failed:
                    agent.reply("go")
                assert isinstance(failed.value.reply, Reply) and failed.value.reply.error == str(failed.value)
                found.append(failed.value.reply)
            assert found[-1].messages == agent.history
            assert agent.usage()["fake:m"].output_tokens == found[-1].usage.output_tokens
    calls = 2 if end == "rounds" else 1
    for reply in found:
        assert (reply.success, reply.output, reply.iterations) == (False, None, calls)
        assert (reply.total_tokens, reply.cost) == (12 * calls, pytest.approx(2e-6 * calls))
        assert reply.seconds > 0 and reply.error and "Traceback" not in reply.error
        assert reply.messages[0].text == "go"
        (made,) = reply.tool_calls
        assert made.name == "look" and (made.result == "seen" or end == "tool hook")
        assert (reply.text, reply.stop) == (("So far.", "end") if end == "rounds" else ("", "tool"))
    assert found[0].error == found[1].error


def test_an_answer_of_a_type_keeps_its_earlier_tries_whatever_ends_it(tmp_path: Path) -> None:
    ends: list[tuple[Any, type[OrchestratorError], int]] = [
        (["a", "b", "c"], InvalidAnswer, 3),
        (["a", ProviderError("fake", "gone")], ProviderError, 1),
        ([ProviderError("fake", "gone")], ProviderError, 0),
    ]
    for said, kind, answered in ends:
        lines = [done(one, stop="end") if isinstance(one, str) else one for one in said]
        for way in ("try", "raise"):
            with agent_of(tmp_path, {}, {}) as agent:
                agent.tools = ()
                agent.add_provider("fake", Scripted(*lines, name="fake"))
                if way == "try":
                    reply = agent.try_reply("n?", output_type=int)
                else:
                    with pytest.raises(kind) as failed:
                        agent.reply("n?", output_type=int)
                    reply = failed.value.reply
                assert (reply.success, reply.output, reply.iterations) == (False, None, answered)
                assert reply.total_tokens == (12 * answered or None)
                assert reply.messages == agent.history and reply.error


def test_what_was_never_begun_is_a_reply_too(tmp_path: Path) -> None:
    with agent_of(tmp_path, {}, {}) as agent:
        reply = agent.try_reply("hi")
    assert (reply.success, reply.text, reply.messages, reply.iterations, reply.cost) == (
        False,
        "",
        (),
        0,
        None,
    )
    assert reply.error and "fake" in reply.error
