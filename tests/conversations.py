"""Conversations of every kind, for laws: tools that answer, fail and ask workers, thoughts, failures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
from hypothesis import strategies as st

from orchestrator.agent import Agent, run
from orchestrator.errors import OrchestratorError, Overloaded
from orchestrator.events import Event
from orchestrator.providers.scripted import Scripted
from orchestrator.types import Message, Thinking, ToolCall, ToolResult, ToolSpec, assistant, result


class Box:
    """One tool that answers, one that fails, one that asks a worker."""

    specs = tuple(
        ToolSpec(name=name, description="", parameters={"type": "object"})
        for name in ("echo", "fail", "worker")
    )

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self.emit = emit

    async def call(self, call: ToolCall, progress: Any = None) -> ToolResult:
        if call.name != "worker":
            return result(call, f"{call.name} says:\n- {call.arguments}", is_error=call.name == "fail")
        worker = Agent(name="helper", model="scripted:w", role="worker")
        reply = await run(
            worker, "help", provider=Scripted(assistant(Thinking(text="hm"), "so")), emit=self.emit
        )
        return result(call, reply.text)


words = st.text(st.sampled_from("ab \n*`#|─é"), max_size=30)
calls = st.lists(st.sampled_from(["echo", "fail", "worker", "nope"]), max_size=2)
rounds = st.lists(st.tuples(words, words, calls), max_size=3)
ends = st.sampled_from(["", "The end.", "# All\n\n```py\nx = 1\n```\nDone", None])
turns: st.SearchStrategy[list[Any]] = st.lists(st.tuples(rounds, ends), min_size=1, max_size=2)


def script(turn: list[tuple[str, str, list[str]]], end: str | None) -> Scripted:
    lines: list[Message | Exception] = []
    for n, (thought, text, names) in enumerate(turn):
        made = [ToolCall(id=f"{n}-{m}", name=name, arguments={"n": m}) for m, name in enumerate(names)]
        if made:
            lines.append(assistant(*([Thinking(text=thought)] if thought else []), text, *made))
    lines.append(Overloaded("scripted", "no room") if end is None else assistant(end))
    return Scripted(*lines, *["again"] * 3)


def turn_of(turn: Any, emit: Callable[[Event], None]) -> None:
    """Let one of `turns` happen."""
    lead = Agent(name="lead", model="scripted:s", max_rounds=3)

    async def happen() -> None:
        await run(lead, "go\non", provider=script(*turn), tools=Box(emit), emit=emit)

    with suppress(OrchestratorError):
        anyio.run(happen)


def whole(history: list[Message]) -> None:
    """Every call has its result right behind it, and an answer stands at the end."""
    for message, following in zip(history, [*history[1:], None], strict=True):
        if asked := [call.id for call in message.tool_calls]:
            assert following is not None
            assert [p.call_id for p in following.parts if isinstance(p, ToolResult)] == asked
    assert history[-1].role == "assistant" and not history[-1].tool_calls
