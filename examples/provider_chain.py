"""One vendor's model plans, another's carries the plan out, a third writes code, but only where code is wanted.

python examples/provider_chain.py anthropic:claude-opus-5-5 openai:gpt-6 ollama:qwen3:8b "Parse 1h30m into seconds."
"""

from __future__ import annotations

import sys

import anyio

from orchestrator import Stage, load_config, open_session, pipeline

PLAN = "Plan this in at most five steps. Write CODE: yes where a program is wanted, else CODE: no.\n\n{input}"
WORK = "Work these steps out; no program yet.\n\n{question}\n\n{plan}"
CODE = "Write the Python function for this.\n\n{question}\n\n{work}"


async def main(planner: str, executor: str, coder: str, task: str) -> None:
    async with open_session(load_config()) as session:
        stages = [
            Stage(name="plan", agent=session.agent(planner, name="planner"), prompt=PLAN),
            Stage(name="work", agent=session.agent(executor, name="executor"), prompt=WORK),
            Stage(
                name="code",
                agent=session.agent(coder, name="coder"),
                prompt=CODE,
                when=lambda given, outputs: "CODE: yes" in outputs["plan"],
            ),
        ]
        outcome = await pipeline(session.ask, stages, task)
    print(outcome.text or outcome.error)
    print(f"stages: {', '.join(outcome.details['partial_outputs'])}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
