"""Ask several models the same and let one write the answer, citing whose it is.

python examples/consult_three.py ollama:qwen3:8b,openai:gpt-6,google:gemini-3-pro anthropic:claude-opus-5-5 "..."
"""

import sys

import anyio

from orchestrator import load_config, open_session, synthesise


async def main(models: str, judge: str, question: str) -> None:
    async with open_session(load_config()) as session:
        panel = [session.agent(model, name="adviser") for model in models.split(",")]
        writer = session.agent(judge, name="judge")
        outcome = await synthesise(session.ask, panel, question, judge=writer)
    for failed in outcome.failures:
        print(f"{failed.model} did not answer: {failed.error}")
    print(outcome.text)
    for number, model in outcome.details.get("sources", {}).items():
        print(f"[{number}] {model}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
