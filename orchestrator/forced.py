"""One forced tool call: the question alone goes out, the tools' answers come back, the record is whole."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from time import monotonic
from typing import Any

import anyio

from .agent import Agent
from .errors import ConfigError, OutOfTime
from .events import Appended, Emit, RunEnded, RunStarted, ToolFinished, ToolStarted, ignore
from .providers import Provider, complete
from .tools import Toolbox
from .types import Message, Request, ToolCall, ToolResult, Usage, user


async def forced_call(
    agent: Agent, prompt: str, *, provider: Provider, tools: Toolbox, emit: Emit = ignore
) -> str:
    """What the tools answered that the model chose for `prompt`; its own words when it chose none all the same.

    One model call, without history: the cheapest way to have a model pick a tool and its arguments.
    Raises ConfigError when there are no tools, ProviderError when the model cannot answer, OutOfTime after
    `agent.timeout_s`.
    """
    if not tools.specs:
        raise ConfigError(f"{agent.name} has no tools to call; configure servers, or name them in `tools`")
    run, started, usage, error = secrets.token_hex(4), monotonic(), Usage(), "cancelled"
    emit(
        RunStarted(run=run, parent=None, agent=agent.name, model=agent.model, prompt=prompt, role=agent.role)
    )
    try:
        question = user(prompt)
        with anyio.move_on_after(agent.timeout_s):
            settings: dict[str, Any] = {"tool_choice": "any", **agent.settings}
            request = Request(
                model=agent.model, system=agent.system, messages=(question,), tools=tools.specs, **settings
            )
            done = await complete(provider, request)
            results = await _called(done.message.tool_calls, tools, run, emit)
            answers = [Message(role="tool", parts=results)] if results else []
            usage, error = done.usage, None
            messages = (question, done.message, *answers)
            emit(Appended(run=run, messages=messages, usage=usage, recorded=done.recorded))
            return "\n".join(answer.text for answer in results) if results else done.message.text
        raise OutOfTime(f"{agent.name}: no answer within {agent.timeout_s:g} s")
    except Exception as exc:
        error = str(exc)
        raise
    finally:
        emit(RunEnded(run=run, usage=usage, seconds=monotonic() - started, error=error))


async def _called(calls: Sequence[ToolCall], tools: Toolbox, run: str, emit: Emit) -> tuple[ToolResult, ...]:
    results: list[ToolResult] = []
    for call in calls:
        emit(ToolStarted(run=run, call=call))
        began = monotonic()
        results.append(await tools.call(call))
        emit(ToolFinished(run=run, result=results[-1], seconds=monotonic() - began))
    return tuple(results)
