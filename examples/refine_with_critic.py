"""Let one model write and another review, and see what was taken up, what was dismissed and why.

python examples/refine_with_critic.py ollama:qwen3:8b anthropic:claude-opus-5-5 "Write release notes for 0.1.0."
"""

import sys

import anyio

from orchestrator import load_config, open_session, refine


async def main(author: str, critic: str, task: str) -> None:
    async with open_session(load_config()) as session:
        writer, reviewer = session.agent(author, name="author"), session.agent(critic, name="critic")
        outcome = await refine(session.ask, writer, reviewer, task, iterations=3)
    print(outcome.text)
    print(f"\n{outcome.reason}")
    for point in outcome.details["dismissed"]:
        print(f"not taken up: {point['point']} ({point['reason']})")
    print(f"{outcome.usage.input_tokens or 0} tokens in, {outcome.usage.output_tokens or 0} out")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
