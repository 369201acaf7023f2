"""The examples of panels, run as a reader would, with scripted models; and the benchmark's verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mcp.json").write_text('{"mcpServers": {}}', encoding="utf-8")
    return tmp_path


def script(folder: Path, name: str, *replies: str) -> str:
    text = "\n".join(json.dumps({"text": reply}) for reply in replies)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return f"scripted:{name}.jsonl"


def printed(folder: Path, example: str, *words: str) -> str:
    command = [sys.executable, str(ROOT / "examples" / example), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_are_consulted_and_one_writes_the_answer(folder: Path) -> None:
    panel = [script(folder, "a", "a queue"), script(folder, "b", "a lock"), "scripted:none.jsonl"]
    judge = script(folder, "j", "A queue [1], for a lock [2] would block.")
    out = printed(folder, "consult_three.py", ",".join(panel), judge, "how?")
    assert "scripted:none.jsonl did not answer: cannot read the script" in out
    assert "A queue [1], for a lock [2] would block.\n[1] scripted:a.jsonl\n[2] scripted:b.jsonl\n" in out


def test_a_draft_is_refined_with_a_critic(folder: Path) -> None:
    author = script(folder, "a", "draft", "final\nPOINTS:\n1: dismissed because nobody asked for it")
    critic = script(folder, "c", "1. No emoji.", "<OK>")
    out = printed(folder, "refine_with_critic.py", author, critic, "write")
    assert out.startswith("final\n\napproved by scripted:c.jsonl in review 2\n")
    assert "not taken up: No emoji. (nobody asked for it)" in out


def test_what_is_planned_is_implemented_under_a_gate_and_reviewed(folder: Path) -> None:
    good = '```python\ndef double(x):\n    """\n    >>> double(2)\n    4\n    """\n    return 2 * x\n```'
    lead = script(folder, "lead", "double(x) doubles", "Nothing must change.")
    worker = script(folder, "worker", good.replace("2 * x", "x"), good)
    out = printed(folder, "plan_implement_review.py", lead, worker, "double a number")
    assert "return 2 * x" in out and out.endswith("Nothing must change.\n")


def test_a_gate_that_never_passes_says_which_stage_failed(folder: Path) -> None:
    lead, worker = script(folder, "lead", "plan"), script(folder, "worker", *["x = 1"] * 3)
    out = printed(folder, "plan_implement_review.py", lead, worker, "double a number")
    assert "stage 'implement' failed: its output is not valid: ValueError: there are no doctests" in out


def test_the_previews_warnings_agree_with_what_is_measured() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "panels.py"), "--questions", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": agrees") == 3
