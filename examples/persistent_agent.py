"""An agent with a name remembers after a restart, and calls a Python function. Run: python examples/persistent_agent.py MODEL"""

from __future__ import annotations

import sys

from orchestrator import Agent, tool


@tool
def say_hello(name: str) -> str:
    """Greet somebody.

    Args:
        name: whom to greet
    """
    return f"Hello {name}!"


def main(model: str) -> None:
    with Agent("greeter", "You are kind.", model, tools=[say_hello], reset=True) as agent:
        print(agent.tool_call("Greet Ann."))
    with Agent("greeter", "You are kind.", model, tools=[say_hello]) as again:
        print(again.chat("Whom did you greet?"))


if __name__ == "__main__":
    main(sys.argv[1])
