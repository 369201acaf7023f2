"""Members of panels that answer from a script, and what they were asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from orchestrator.agent import Agent
from orchestrator.reply import Reply
from orchestrator.types import Message, Usage, user

Line = str | Exception | Callable[[str], Any]


@dataclass
class Members:
    """`ask` of a pattern: each agent's lines by its name, the last one again and again; an exception is raised."""

    lines: dict[str, Sequence[Line]]
    delays: dict[str, float] = field(default_factory=dict[str, float])
    asked: list[tuple[Agent, str]] = field(default_factory=list[tuple[Agent, str]])
    finished: list[str] = field(default_factory=list[str])

    async def __call__(self, agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
        lines = self.lines[agent.name]
        nth = sum(other.name == agent.name for other, _ in self.asked)
        self.asked.append((agent, prompt))
        await anyio.sleep(self.delays.get(agent.name, 0))
        line = lines[min(nth, len(lines) - 1)]
        if isinstance(line, Exception):
            raise line
        said: Any = line if isinstance(line, str) else line(prompt)
        if isinstance(said, Awaitable):
            said = await said
        self.finished.append(agent.name)
        usage = Usage(input_tokens=10, output_tokens=2, cost_usd=0.5)
        return Reply(agent=agent.name, text=said, messages=(user(prompt),), usage=usage, seconds=0.25)

    @property
    def names(self) -> list[str]:
        return [agent.name for agent, _ in self.asked]


def agent(name: str, **more: Any) -> Agent:
    return Agent(name=name, model=more.pop("model", f"m:{name}"), **more)


def agents(names: str) -> list[Agent]:
    return [agent(name) for name in names]
