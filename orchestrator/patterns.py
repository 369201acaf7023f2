"""Ways for agents to work together. Each is a small async function over `ask`.

`ask(agent, prompt)` is the only power a pattern has: it cannot print, open a file or pick a
provider, so a test needs nothing but a fake `ask`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from .agent import Agent
from .errors import OrchestratorError
from .reply import Reply
from .types import Message


class Ask(Protocol):
    async def __call__(self, agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An agent that could not answer. In a group this is an outcome, not the end of the group."""

    agent: str
    error: str


async def delegate(ask: Ask, worker: Agent, task: str, *, context: str = "") -> Reply:
    """One worker does one task, seeing only `task` and `context`."""
    return await ask(replace(worker, role="worker"), f"{context}\n\n{task}" if context else task)


async def consult(ask: Ask, advisers: Sequence[Agent], question: str) -> list[Reply | Failed]:
    """The same question to several agents at once; outcomes in the order of `advisers`.

    An adviser that fails, or needs longer than its own timeout_s, is a Failed among the replies.
    """
    outcomes: dict[int, Reply | Failed] = {}

    async def one(place: int, adviser: Agent) -> None:
        try:
            outcomes[place] = await ask(replace(adviser, role="adviser"), question)
        except OrchestratorError as exc:
            outcomes[place] = Failed(agent=adviser.name, error=str(exc))

    async with anyio.create_task_group() as group:
        for place, adviser in enumerate(advisers):
            group.start_soon(one, place, adviser)
    return [outcomes[place] for place in range(len(advisers))]
