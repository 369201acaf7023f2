"""The one power a pattern has: `ask`. What it may ask for goes through here, so that one failure sinks nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Protocol

import anyio

from ..agent import Agent
from ..errors import OrchestratorError, Paused, reason
from ..events import Role
from ..reply import Reply
from ..types import Message, Usage
from .outcome import Response

GRACE_S = 1.0  # an agent ends itself at its timeout_s; what does not is ended so much later


class Ask(Protocol):
    """Put a prompt to an agent. A pattern cannot print, open a file or pick a provider: a test needs no more than this."""

    async def __call__(self, agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply: ...


def reader(agent: Agent, role: Role) -> Agent:
    """The agent as one who may look but change nothing: no tool that writes is offered."""
    return replace(agent, role=role, read_only=True)


async def attempt(
    ask: Ask,
    agent: Agent,
    prompt: str,
    *,
    step: str = "answer",
    history: Sequence[Message] = (),
    timeout_s: float | None = None,
) -> Response:
    """What the agent answers, or why it does not: a failure, an empty answer and a lapse of time are values too.

    `timeout_s` stands in place of the agent's own where it is shorter. Only Paused is raised.
    """
    if timeout_s is not None:
        own = agent.timeout_s
        agent = replace(agent, timeout_s=timeout_s if own is None else min(own, timeout_s))
    limit = float("inf") if agent.timeout_s is None else agent.timeout_s + GRACE_S
    started, reply, error = monotonic(), None, f"no answer within {agent.timeout_s} s"
    with anyio.move_on_after(limit):
        try:
            reply = await ask(agent, prompt, history=history)
            error = reply.error or (None if reply.text.strip() else "the answer is empty")
        except Paused:
            raise
        except OrchestratorError as exc:
            reply, error = exc.reply, str(exc) or reason(exc)
        except Exception as exc:  # noqa: BLE001  (a fault of one member is its outcome, not the end of the group)
            error = reason(exc)
    return Response(
        agent=agent.name,
        model=agent.model,
        step=step,
        text=reply.text if reply is not None and error is None else "",
        error=error,
        usage=reply.usage if reply is not None else Usage(),
        seconds=monotonic() - started if reply is None else reply.seconds or monotonic() - started,
        provenance=reply.provenance if reply is not None else "measured",
    )


async def together(
    work: Sequence[Callable[[], Awaitable[Response]]], *, max_concurrent: int | None = None
) -> tuple[Response, ...]:
    """All at once, at most `max_concurrent` at a time; the responses in the order of `work`, whoever came first."""
    found: dict[int, Response] = {}
    limiter = anyio.CapacityLimiter(max_concurrent or max(len(work), 1))

    async def one(place: int, job: Callable[[], Awaitable[Response]]) -> None:
        async with limiter:
            found[place] = await job()

    async with anyio.create_task_group() as group:
        for place, job in enumerate(work):
            group.start_soon(one, place, job)
    return tuple(found[place] for place in range(len(work)))


async def ask_all(
    ask: Ask,
    agents: Sequence[Agent],
    prompt: str | Sequence[str],
    *,
    role: Role = "adviser",
    step: str = "answer",
) -> tuple[Response, ...]:
    """Every agent at once, none with a tool that writes: with the same prompt, or each with its own."""
    prompts = [prompt] * len(agents) if isinstance(prompt, str) else prompt
    return await together(
        [
            partial(attempt, ask, reader(agent, role), text, step=step)
            for agent, text in zip(agents, prompts, strict=True)
        ]
    )
