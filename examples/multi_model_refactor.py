"""One model says how a file should change, a local one changes it, a third reviews before anything is written.

python examples/multi_model_refactor.py anthropic:claude-opus-5-5 ollama:qwen3:8b openai:gpt-6 src/money.py
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from pydantic import BaseModel

from orchestrator import Agent


class Verdict(BaseModel):
    approved: bool
    reason: str


def refactor(lead: str, worker: str, reviewer: str, path: str, tries: int = 2) -> bool:
    """Whether the file was changed."""
    file = Path(path)
    before = file.read_text(encoding="utf-8")
    with Agent(model=lead) as architect, Agent(model=reviewer) as critic:
        todo = architect.chat(f"Say in numbered points how to make this file simpler.\n\n{before}")
        for _ in range(tries):
            after = architect.delegate(
                worker, f"{todo}\n\nReply with the whole new file alone.", context=before
            )
            try:
                ast.parse(after)
            except SyntaxError as exc:
                todo += f"\n\nA first try was no Python: {exc}"
                continue
            prompt = (
                f"Does the second do what the first does, and is it simpler?\n\n{before}\n\n----\n\n{after}"
            )
            verdict = critic.chat(prompt, output_type=Verdict)
            print(f"{reviewer}: {'yes' if verdict.approved else 'no'}, {verdict.reason}")
            if verdict.approved:
                file.write_text(after, encoding="utf-8")
                return True
            todo += f"\n\nA reviewer said of a first try: {verdict.reason}"
    return False


if __name__ == "__main__":
    print("changed" if refactor(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]) else "left as it was")
