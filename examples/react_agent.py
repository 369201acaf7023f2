"""Thought, action, observation, until there is an answer: any model, its own tool calls or actions in plain text.

python examples/react_agent.py ollama:qwen3:8b "How far is it from Oslo to Rome in miles?"
"""

from __future__ import annotations

import sys

from orchestrator import Agent, Reply, tool
from orchestrator.events import Streamed, ToolFinished, ToolStarted
from orchestrator.function_tools.calculator import calculate

DISTANCES = {frozenset({"Oslo", "Rome"}): 2009, frozenset({"Oslo", "Paris"}): 1343}
PROMPT = "Think step by step, one tool at a time. This is step {current_step} of {max_steps}."


@tool(read_only=True)
def distance_km(start: str, end: str) -> int:
    """Distance of two cities as the crow flies, in km."""
    return DISTANCES[frozenset({start, end})]


def main(model: str, question: str) -> None:
    with Agent(system_prompt=PROMPT, model=model, tools=[distance_km, calculate]) as agent:
        for item in agent.stream(question):
            match item:
                case Streamed(text=text, thinking=True):
                    print(f"Thought: {text}")
                case ToolStarted(call=call):
                    print(f"Action: {call.name} {dict(call.arguments)}")
                case ToolFinished(result=result):
                    print(f"Observation: {result.text}")
                case Reply():
                    print(f"Answer after {item.iterations} steps: {item.text}")
                case _:
                    pass


if __name__ == "__main__":
    main(*sys.argv[1:3])
