"""Delegating through the real server process, its worker recited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stdio import Stdio, start

TIMES = {
    "total_duration": 1_300_000_000,
    "load_duration": 2_000_000,
    "prompt_eval_count": 300,
    "prompt_eval_duration": 500_000_000,
    "eval_count": 31,
    "eval_duration": 750_000_000,
}
BROKEN = "def add(a, b):\n    return a - b\n"
FIXED = "def add(a, b):\n    return a + b\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "calc.py").write_text(BROKEN, encoding="utf-8")
    return tmp_path / "tree"


def recite(tree: Path, *answers: str | dict[str, Any], models: tuple[str, ...] = ("worker",)) -> Stdio:
    """A server whose models say these answers, in turn."""
    script = {
        "models": [{"name": name} for name in models],
        "answers": [
            {"text": a, "final": TIMES} if isinstance(a, str) else {"final": TIMES, **a} for a in answers
        ],
    }
    path = tree.parent / "recitation.json"
    path.write_text(json.dumps(script), encoding="utf-8")
    return start("ollama", str(tree), "--host", f"recited:{path}")


def test_a_file_is_rewritten_and_only_a_receipt_returns(tree: Path) -> None:
    with recite(tree, f"```python\n{FIXED}```") as server:
        receipt = server.call(
            "delegate", task="Fix add", files=["calc.py"], write="calc.py", gate="syntax"
        ).structured
    assert (tree / "calc.py").read_text(encoding="utf-8") == FIXED
    assert receipt["outcome"] == "accepted" and receipt["gate"]["passed"] is True
    assert receipt["files"] == [{"path": "calc.py", "added": 1, "removed": 1}]
    assert receipt["profile"]["decode_tokens_per_s"] == 40.0 and receipt["profile"]["recorded"] is True
    assert "scripted" in receipt["note"]


def test_code_that_does_not_parse_never_reaches_the_tree(tree: Path) -> None:
    with recite(tree, "```python\ndef add(:\n```") as server:
        receipt = server.call("delegate", task="Fix add", files=["calc.py"], write="calc.py").structured
    assert (tree / "calc.py").read_text(encoding="utf-8") == BROKEN
    assert receipt["outcome"] == "escalate" and receipt["gate"]["passed"] is False
    assert receipt["tried"][0]["why"].startswith("syntax: calc.py: line 1")


def test_the_next_rung_is_told_why_the_last_one_failed(tree: Path) -> None:
    small = {"model": "small", "text": "def add(:"}
    big = {"model": "big", "when": "syntax: calc.py: line 1", "text": FIXED}
    with recite(tree, small, big, models=("small", "big")) as server:
        receipt = server.call(
            "delegate",
            task="Fix add",
            model="small",
            ladder=["big"],
            files=["calc.py"],
            write="calc.py",
            gate="syntax",
        ).structured
    assert receipt["outcome"] == "accepted" and receipt["model"] == "big"
    assert [rung["model"] for rung in receipt["tried"]] == ["small"]
    assert (tree / "calc.py").read_text(encoding="utf-8") == FIXED


def test_an_answer_nobody_checked_is_not_called_accepted(tree: Path) -> None:
    with recite(tree, "It subtracts.") as server:
        receipt = server.call("delegate", task="What does it do?", files=["calc.py"]).structured
    assert receipt["outcome"] == "answered" and "unchecked" in receipt["reason"]
    assert "It subtracts." in receipt["answer"] and receipt["answer"].startswith("<<data ")


def test_every_run_reaches_the_ledger(tree: Path) -> None:
    with recite(tree, "def add(:", FIXED) as server:
        server.call("delegate", task="Fix add", files=["calc.py"], write="calc.py", gate="syntax")
        seen = server.call("profile").structured
    assert [run["gate_passed"] for run in seen["runs"]] == [True, False]
    assert seen["odds"]["worker"][0]["passed"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"files": ["calk.py"]}, "there is no 'calk.py'; near it: calc.py"),
        ({"files": ["../x"]}, "outside the root"),
        ({"write": "../x"}, "outside the root"),
        ({"write": ".git/hooks/pre-commit"}, "protected"),
        ({"files": ["calc.py"], "gate": "sytnax"}, "gate 'sytnax' is unknown; a gate is"),
        ({"write": "edits"}, "`files`; it has none"),
        ({"model": "other"}, "no model 'other' here; there are worker"),
        ({"schema": {"type": "strange"}}, "not valid JSON Schema"),
        ({"task": "  "}, "the task is empty"),
    ],
)
def test_what_cannot_work_is_refused_before_a_model_runs(
    tree: Path, arguments: dict[str, Any], words: str
) -> None:
    with recite(tree, "never said") as server:
        result = server.call("delegate", **{"task": "x", **arguments})
        assert result.is_error and words in result.text
        assert server.call("profile").structured["runs"] == []


@pytest.mark.parametrize(
    "content", ["{", '{"models": []}', '{"models": [{"name": "w"}], "answers": [{"txt": "x"}]}']
)
def test_a_wrong_recitation_is_one_sentence(tmp_path: Path, content: str) -> None:
    from servers.ollama.engines.open import open_runtime
    from servers.ollama.engines.protocol import EngineError

    (tmp_path / "r.json").write_text(content, encoding="utf-8")
    with pytest.raises(EngineError, match=r"the recitation .* is wrong at"):
        open_runtime(f"recited:{tmp_path / 'r.json'}")
