"""Right and wrong answers to everyday tasks, given to gates by a worker that recites them: what is accepted, what refused?

    python -m benchmarks.answers [--kinds rename,fix] [-v] [--json]

The 147 tasks of data/answers.json and their answers were written without sight of the gates: right ones as a model words them, wrong ones
as small models really go wrong. Gates have been mended after most of them were read, so this says what gates see now,
not what they would see of other tasks; that is benchmarks.real's. Needs node for some checks. -v prints what is refused
although right, and accepted although wrong.

    accepted     its gate passed and leaves nothing open      unchecked    handed over, and nothing claimed of it
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from benchmarks.ratios import figure, report
from servers.ollama.engines.replay import Recited
from servers.ollama.server import build
from servers.protocol.lifecycle import configure_logging
from servers.shell.policy.rules import Policy, load

DATA = Path(__file__).parent / "data" / "answers.json"
OUTCOMES = {"accepted": "accepted", "answered": "unchecked", "written": "unchecked", "escalate": "refused"}
COLUMNS = [(good, outcome) for good in (True, False) for outcome in ("accepted", "unchecked", "refused")]


@dataclass(frozen=True, kw_only=True)
class Given:
    """One answer to a task, and what came of it."""

    task: str
    kind: str
    answer: str
    good: bool
    outcome: str
    reason: str | None


def main() -> int:
    """Print the table; 1 when more than 2 % of the right answers are refused, or 5 % of the wrong ones accepted."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--kinds", type=lambda text: text.split(","), default=None)
    args.add_argument(
        "-v", action="store_true", dest="shows", help="print refused right and accepted wrong answers"
    )
    args.add_argument("--json", action="store_true", help="print one JSON object")
    given = args.parse_args()
    configure_logging("error")
    tasks: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))
    found = anyio.run(
        measured, [task for task in tasks if given.kinds is None or task["kind"] in given.kinds]
    )
    counted = Counter((one.good, one.outcome) for one in found)
    refused, wrong = counted[True, "refused"], counted[False, "accepted"]
    if given.json:
        right, bad = (
            sum(counted[good, o] for o in ("accepted", "unchecked", "refused")) for good in (True, False)
        )
        figures = {
            f"right answers refused, of {right}": figure(refused, "answers"),
            f"wrong answers accepted, of {bad}": figure(wrong, "answers"),
        }
        report(figures, as_json=True, at_most={})
        return 0
    print("\n".join(_table(found)))
    if given.shows:
        print(
            "\n".join(
                _shown(one)
                for one in found
                if (one.good, one.outcome) in ((True, "refused"), (False, "accepted"))
            )
        )
    return int(
        refused > 0.02 * sum(one.good for one in found) or wrong > 0.05 * sum(not one.good for one in found)
    )


async def measured(tasks: Sequence[Mapping[str, Any]]) -> list[Given]:
    """What comes of every answer, one after the other."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["UNDERSTUDY_HOME"] = home
        rules = _rules(Path(home))
        return [
            await _one(task, answer, good, rules)
            for task in tasks
            for good, answers in ((True, task["right"]), (False, task["wrong"]))
            for answer in answers
        ]


def _rules(home: Path) -> Policy:
    policy = home / "policy.toml"
    policy.write_text('allow = ["python3", "python", "node"]\n')
    return load(policy)


async def _one(task: Mapping[str, Any], answer: str, good: bool, policy: Policy) -> Given:
    with tempfile.TemporaryDirectory() as folder:
        tree, worker = _laid_out(Path(folder), task, answer)
        async with Client(build([str(tree)], worker, policy=policy)) as client:
            result = await client.call_tool("delegate", {**task["call"], "max_output": 2000, "wait_s": 50})
    receipt = dict(result.structured_content or {})
    if receipt.get("outcome") not in OUTCOMES:
        raise SystemExit(f"{task['task']}: {result.content}")
    outcome = OUTCOMES[receipt["outcome"]]
    return Given(
        task=task["task"],
        kind=task["kind"],
        answer=answer,
        good=good,
        outcome=outcome,
        reason=receipt.get("reason"),
    )


def _laid_out(folder: Path, task: Mapping[str, Any], answer: str) -> tuple[Path, Recited]:
    """The task's files in a folder, and a worker that gives this answer, also the second time."""
    tree, script = folder / "tree", folder / "said.json"
    for name, text in task["files"].items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text, encoding="utf-8", newline="")
    tree.mkdir(exist_ok=True)
    said = {"text": _as_written(answer, task["call"].get("write"))}
    script.write_text(json.dumps({"models": [{"name": "w"}], "answers": [said] * 2}), encoding="utf-8")
    return tree, Recited(str(script))


def _as_written(answer: str, write: str | None) -> str:
    """A whole file as workers write it: in a block of code."""
    return answer if not write or write.endswith(".md") or answer.startswith("```") else f"```\n{answer}\n```"


def _table(found: Sequence[Given]) -> list[str]:
    heads = [f"{'right' if good else 'wrong'} {outcome}" for good, outcome in COLUMNS]
    lines = ["".join([f"{'kind':14}", *(f"{head:>17}" for head in heads)])]
    for kind in [*sorted({one.kind for one in found}), "all"]:
        counted = Counter((one.good, one.outcome) for one in found if kind in (one.kind, "all"))
        lines.append("".join([f"{kind:14}", *(f"{counted[column]:>17}" for column in COLUMNS)]))
    return lines


def _shown(one: Given) -> str:
    verdict = "refused although right" if one.good else "accepted although wrong"
    return f"\n{one.task}: {verdict}" + (f": {one.reason}" if one.reason else "") + f"\n{one.answer}"


if __name__ == "__main__":
    sys.exit(main())
