"""Agents as tools of another agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..agent import Agent
from ..tools import Progress, no_progress
from ..types import ToolCall, ToolResult, ToolSpec, result
from .ask import Ask, attempt

PREFIX = "ask_"


class AgentTools:
    """A toolbox in which each agent is a tool that takes a prompt. It sees the prompt and nothing of the conversation."""

    def __init__(self, ask: Ask, agents: Mapping[str, Agent]) -> None:
        self.ask = ask
        self.agents = {f"{PREFIX}{name}": agent for name, agent in agents.items()}

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        parameters = {
            "type": "object",
            "properties": {"prompt": {"type": "string", "description": "all it needs to know"}},
            "required": ["prompt"],
        }
        return tuple(
            ToolSpec(
                name=name,
                description=f"Ask {agent.name} ({agent.model}). {agent.system[:200]}".strip(),
                parameters=parameters,
                read_only=agent.tools == () or agent.read_only or None,
            )
            for name, agent in self.agents.items()
        )

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        agent, prompt = self.agents.get(call.name), call.arguments.get("prompt")
        if agent is None:
            return result(call, f"no tool {call.name!r}; there are: {', '.join(self.agents)}", is_error=True)
        if not isinstance(prompt, str) or not prompt.strip():
            return result(call, f"{call.name} wants a prompt, as text", is_error=True)
        said = await attempt(self.ask, replace(agent, role="worker"), prompt)
        return result(
            call, said.text if said.ok else f"{agent.name} failed: {said.error}", is_error=not said.ok
        )
