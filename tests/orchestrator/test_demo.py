"""The demonstration, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

UNDERSTUDY = os.path.join(os.path.dirname(sys.executable), "understudy")


def demo(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [UNDERSTUDY, "demo", *words],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(autouse=True)
def no_ollama(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # nothing answers there


def test_the_whole_path_ends_in_a_commit_whose_tests_pass() -> None:
    done = demo("--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["accepted"] and "cents.ljust" in report["diff"]
    assert "Read one digit of cents as tens" in report["commit"] and report["tests"].startswith("exit=0")
    assert report["tool_calls"][0] == "files__read_file" and "ollama__delegate" in report["tool_calls"]


def test_the_screen_says_on_every_line_who_speaks_and_what_was_not_measured() -> None:
    done = demo("--format", "plain")
    assert done.returncode == 0, done.stderr
    talk, _, closing = done.stdout.partition("── the change ──")
    for line in talk.splitlines():
        if line.startswith("lead"):
            assert line.startswith("lead scripted:"), line
    assert "recorded" in talk or "embedded" in talk
    for part in ("── the commit ──", "── the tests", "── the ledger", "understudy chat", "understudy init"):
        assert part in closing


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    assert demo(TMPDIR=str(folder)).returncode == 0
    left = [entry.name for entry in folder.iterdir() if not entry.name.startswith("understudy-gates-")]
    assert left == []  # the slots for gate copies are kept for the next gate, like a cache


def test_without_git_one_sentence_says_what_is_needed(tmp_path: Path) -> None:
    done = demo(PATH=str(tmp_path))
    assert done.returncode == 2 and "git" in done.stderr and "Traceback" not in done.stderr


def test_a_worker_that_is_not_there_is_named() -> None:
    done = demo("--worker", "qwen3:8b")
    assert done.returncode == 2 and "qwen3:8b" in done.stderr and "ollama serve" in done.stderr
