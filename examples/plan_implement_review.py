"""A frontier model plans, a local one implements under a gate, the frontier model reviews.

    python examples/plan_implement_review.py anthropic:claude-opus-5-5 ollama:qwen3:8b "A function that parses 1h30m."

The gate runs the doctests of what was written; what fails goes back to the local model, with what was wrong.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio

from orchestrator import Stage, load_config, open_session, pipeline

PLAN = "Plan this Python module in a few lines: names, behaviour, and doctests that must pass.\n\n{input}"
IMPLEMENT = "Write the module. Reply with the code alone, doctests included.\n\n{question}\n\n{input}"
REVIEW = "Review this module for the task. Say what must change, or that nothing must.\n\n{question}\n\n{implement}"


def doctests_pass(answer: str) -> None:
    """Raises ValueError with what failed."""
    fenced = re.search(r"```(?:python)?\n(.*?)```", answer, re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "candidate.py")
        module.write_text(fenced[1] if fenced else answer, encoding="utf-8")
        command = [sys.executable, "-I", "-m", "doctest", str(module)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode or ">>>" not in answer:
        raise ValueError((done.stdout + done.stderr)[-800:] or "there are no doctests")


async def main(frontier: str, local: str, task: str) -> None:
    async with open_session(load_config()) as session:
        lead, worker = session.agent(frontier, name="planner"), session.agent(local, name="worker")
        stages = [
            Stage(name="plan", agent=lead, prompt=PLAN),
            Stage(name="implement", agent=worker, prompt=IMPLEMENT, validate_output=doctests_pass, tries=3),
            Stage(name="review", agent=lead, prompt=REVIEW),
        ]
        outcome = await pipeline(session.ask, stages, task)
    print(outcome.details["partial_outputs"].get("implement", ""))
    print(outcome.text or outcome.error)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
