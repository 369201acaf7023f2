"""`understudy completion`: what it prints completes, in a shell that really reads it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.cli import COMMANDS, main

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
ASK = """\
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
$(complete -p understudy | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "completion.bash"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers in place of the last word."""
    folder = script.parent / "here"
    folder.mkdir(exist_ok=True)
    (folder / "two words.yaml").touch()
    line = ["bash", "--norc", "-c", ASK, "bash", str(script), "understudy", *words]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return set(done.stdout.splitlines()) - {""}


@needs_bash
def test_bash_completes_every_command(script: Path) -> None:
    assert set(COMMANDS) <= completed(script, "")
    assert completed(script, "co") == {name for name in COMMANDS if name.startswith("co")}


@needs_bash
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["run", "--max"], {"--max-rounds"}),
        (["run", "--max-rounds", "3", "--qu"], {"--quiet"}),
        (["run", "--format", ""], {"rich", "plain", "json", "markdown"}),
        (["run", "--format", "=", "ri"], {"rich"}),
        (["run", "--format", "="], {"rich", "plain", "json", "markdown"}),
        (["run", "--config", "tw"], {"two words.yaml"}),
        (["run", "--model", "x"], set()),
        (["audit", "ver"], {"verify"}),
        (["config", "s"], {"show"}),
        (["completion", ""], {"bash", "zsh", "fish", "two words.yaml"}),
        (["--ver"], {"--version"}),
    ],
)
def test_bash_completes_options_values_and_files(script: Path, words: list[str], offered: set[str]) -> None:
    assert completed(script, *words) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_read_theirs_and_find_every_command_in_it(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}" in said for name in COMMANDS) and "%(" not in said
    if (program := shutil.which(shell)) is not None:
        (tmp_path / "script").write_text(said, encoding="utf-8")
        subprocess.run([program, "-n", str(tmp_path / "script")], timeout=60, check=True)
