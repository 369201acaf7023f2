"""R61: where the loop is can be looked at while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import Agent, Hooks, load_config, tool
from orchestrator.errors import Overloaded, ProviderError
from orchestrator.providers.scripted import Scripted
from orchestrator.types import ToolCall, assistant


def test_goal_phase_iteration_history_and_context_are_told_at_any_moment(tmp_path: Path) -> None:
    seen: list[tuple[Any, ...]] = []

    def look(*given: Any) -> None:
        now = agent.state
        running = [name for _, name in now.running]
        seen.append((now.goal, now.phase, now.iteration, len(now.history), len(now.context), running))

    @tool
    def double(x: int) -> int:
        look()
        return 2 * x

    call = assistant(ToolCall(id="1", name="double", arguments={"x": 4}))
    config = load_config(cwd=tmp_path, env={})
    hooks = Hooks(before_model=look, after_tool=look)
    patient = {"num_retries": 0}
    with Agent(model="fake:m", tools=[double], hooks=hooks, config=config, chat_kwargs=patient) as agent:
        agent.add_provider("fake", Scripted("hi", call, "eight", Overloaded("fake", "busy"), name="fake"))
        assert agent.state.phase == "idle"
        agent.chat("hello")
        agent.chat("twice four")
        assert seen == [
            ("hello", "perceive", 1, 0, 0, []),
            ("twice four", "perceive", 1, 2, 0, []),
            ("twice four", "act", 1, 2, 2, ["double"]),
            ("twice four", "act", 1, 2, 2, ["double"]),
            ("twice four", "reflect", 2, 2, 3, []),
        ]
        assert (agent.state.phase, agent.state.iteration, len(agent.state.context)) == ("done", 2, 4)
        with pytest.raises(ProviderError):
            agent.chat("again")
        assert (agent.state.phase, agent.state.error, len(agent.state.history)) == ("failed", "fake: busy", 6)
