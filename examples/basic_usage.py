"""Chat, go on with another model, hand something over, ask several, and look at what was said.

python examples/basic_usage.py anthropic:claude-opus-5-5 ollama:qwen3:8b
"""

from __future__ import annotations

import sys

from orchestrator import CodingAgent, load_config


def main(lead: str, local: str) -> None:
    with CodingAgent(model=lead, tools=(), config=load_config(display__format="plain")) as agent:
        agent.chat("What is a receipt, in one sentence?")
        agent.use_model(local)
        agent.chat("Shorter.")
        agent.use_model(lead)
        agent.delegate(local, "Translate into French: a receipt.")
        answers = agent.consult([lead, local], "Is that translation right?")
        print(f"{len(answers)} answers")
        agent.display.show_conversation_summary()


if __name__ == "__main__":
    main(*sys.argv[1:3])
