"""Commands whose standard streams are full, closed or gone, or whose state folder cannot be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli import main

UNDERSTUDY = Path(sys.executable).parent / "understudy"
COMMANDS = (
    ["--help"],
    ["run", "--help"],
    ["audit", "verify"],
    ["bench", "scripted:none.jsonl", "x"],
    ["completion", "bash"],
    ["config", "show", "--json"],
    ["cost"],
    ["doctor", "--json"],
    ["init", "--host", "cursor"],
    ["memory"],
    ["metrics"],
    ["patterns"],
    ["run", "--no-tools", "--model", "scripted:none.jsonl", "x"],
    ["sessions", "--json"],
    ["trust", "none.json"],
    ["vote", "--models", "scripted:none.jsonl", "x"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_behind_standard_output_is_one_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = ended(words)
        monkeypatch.undo()
    said = capsys.readouterr().err
    assert code in (1, 2) and "understudy: " in said and "Traceback" not in said


@pytest.mark.parametrize("words", COMMANDS[2:], ids=" ".join)
def test_a_state_folder_that_cannot_be_is_at_most_a_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "file" / "state"))
    assert ended(words) in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_with_every_stream_closed_a_command_ends_as_it_would() -> None:
    closed = subprocess.run(
        ["sh", "-c", f"{UNDERSTUDY} completion bash <&- >&-"], capture_output=True, text=True, check=False
    )
    assert (closed.returncode, closed.stderr) == (0, "")


def test_help_that_cannot_be_written_is_no_success() -> None:
    full = subprocess.run(
        ["sh", "-c", f"{UNDERSTUDY} chat --help >/dev/full"], capture_output=True, text=True, check=False
    )
    assert full.returncode == 1 and full.stderr.startswith("understudy: the output: No space left")


def ended(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as end:
        return int(end.code or 0)
