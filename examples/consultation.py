"""Several models answer one question at once; then the lead says which answer is best."""

from __future__ import annotations

import sys

from orchestrator import Agent


def main(lead: str, *advisers: str) -> None:
    with Agent(model=lead) as agent:
        answers = agent.consult(advisers, "Tabs or spaces?")
        for model, answer in answers.items():
            print(f"{model}: {answer}")
        told = "\n\n".join(f"{model} says: {answer}" for model, answer in answers.items())
        print(agent.chat(f"Which is best, and why?\n\n{told}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
