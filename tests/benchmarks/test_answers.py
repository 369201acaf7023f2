"""Right and wrong answers to everyday tasks, given to gates by one command without a model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent.parent
TASKS = json.loads((TREE / "benchmarks" / "data" / "answers.json").read_text(encoding="utf-8"))
REMOVALS = [task for task in TASKS if task["kind"] == "remove"]


def test_every_answer_of_a_kind_is_counted_once_under_what_came_of_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.answers", "--kinds", "remove"],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    kind, *counts = ran.stdout.splitlines()[-1].split()
    found = [int(count) for count in counts]
    assert kind == "all" and sum(found[:3]) == sum(len(task["right"]) for task in REMOVALS)
    assert sum(found[3:]) == sum(len(task["wrong"]) for task in REMOVALS)


def test_every_task_has_a_name_of_its_own_and_no_answer_that_is_both_right_and_wrong() -> None:
    assert len({task["task"] for task in TASKS}) == len(TASKS)
    assert not [task["task"] for task in TASKS if {*task["right"]} & {*task["wrong"]}]
