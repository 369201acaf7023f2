"""The command as a person or a script uses it: real processes, real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.command import understudy
from tests.processes import command_lines_with, until
from tests.results import described

UNDERSTUDY = os.path.join(os.path.dirname(sys.executable), "understudy")


def script(path: Path, *lines: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return f"scripted:{path}"


def tool(name: str, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "greet.py").write_text('print("helo")\n', encoding="utf-8")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Greet"]):
        subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *words], cwd=folder, check=True)
    subprocess.run(["git", "config", "user.name", "Ada"], cwd=folder, check=True)
    subprocess.run(["git", "config", "user.email", "ada@example.org"], cwd=folder, check=True)
    return folder


def test_a_scripted_lead_changes_and_commits_a_real_file(clone: Path, tmp_path: Path) -> None:
    lead = script(
        tmp_path / "lead.jsonl",
        {"text": "I look.", "tool_calls": [tool("files__read_file", path="greet.py")]},
        {
            "expect": ["helo"],
            "tool_calls": [
                tool("files__edit_file", path="greet.py", edits=[{"old": "helo", "new": "hello"}])
            ],
        },
        {"expect": ["syntax ok"], "tool_calls": [tool("git__git_stage", paths=["greet.py"])]},
        {"tool_calls": [tool("git__git_commit", message="Spell hello"), tool("git__git_status")]},
        {"text": "Done."},
    )
    done = understudy("run", "--model", lead, "--json", "Fix the spelling.", cwd=clone)
    assert done.returncode == 0, done.stderr
    report = described("run", done.stdout)
    assert report["ok"] and report["text"] == "Done." and report["recorded"]
    assert report["provenance"] == "recorded"
    assert [(call["name"], call["is_error"]) for call in report["tool_calls"]] == [
        ("files__read_file", False),
        ("files__edit_file", False),
        ("git__git_stage", False),
        ("git__git_commit", False),
        ("git__git_status", False),
    ]
    shown = subprocess.run(
        ["git", "show", "HEAD"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout
    assert "Ada <ada@example.org>" in shown and '+print("hello")' in shown


def test_every_line_of_a_scripted_model_says_scripted(clone: Path, tmp_path: Path) -> None:
    lead = script(
        tmp_path / "lead.jsonl",
        {"text": "one\ntwo", "tool_calls": [tool("files__list_files")]},
        {"text": "end"},
    )
    done = understudy("run", "--model", lead, "go", cwd=clone)
    spoken = [line for line in done.stdout.splitlines() if "│" in line]
    assert {"one", "two", "end"} <= {line.split("│")[1].strip() for line in spoken}
    assert all("scripted" in line.split("│")[0] for line in spoken), done.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "usage"),
        (["dmo"], 2, "did you mean demo?"),
        (["run", "hi"], 2, "--model"),
        (["run", "--model", "nobody:x", "hi"], 2, "nobody"),
        (["run", "--model", "scripted:gone.jsonl", "hi"], 2, "gone.jsonl"),
        (["run", "--model", "ollama:m", " "], 2, "the task is empty"),
        (["call", "files", "read_file", "path"], 2, "KEY=VALUE"),
        (["call", "nowhere", "x"], 2, "there are files, shell, git, ollama"),
        (["call", "files", "no_such"], 2, "read_file"),
        (["call", "files", "read_file", "path=gone.txt"], 1, "gone.txt"),
        (["call", "files", "read_file", "path=greet.py", "limit=many"], 1, "limit"),
        (["run", "--config", "gone.yaml", "--model", "ollama:m", "hi"], 2, "gone.yaml"),
        (["init", "--host", "vscode", "--root", "gone"], 2, "not a folder"),
        (["trust", "gone.json"], 2, "gone.json"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    words: Sequence[str], code: int, said: str, clone: Path
) -> None:
    done = understudy(*words, cwd=clone)
    assert done.returncode == code, done.stderr
    assert said in done.stderr + done.stdout and "Traceback" not in done.stderr


def test_errors_are_json_where_json_is_asked_for(clone: Path) -> None:
    done = understudy("run", "--model", "nobody:x", "--json", "hi", cwd=clone)
    report = described("run", done.stdout)
    assert report["ok"] is False and "nobody" in report["error"] and done.returncode == 2


def test_a_tool_is_called_as_a_model_would_and_answers_in_json(clone: Path) -> None:
    done = understudy(
        "call", "--json", "files", "write_file", "path=notes.txt", "content=-", cwd=clone, stdin="a\nb\n"
    )
    assert (
        described("call", done.stdout)["ok"] and (clone / "notes.txt").read_text(encoding="utf-8") == "a\nb\n"
    )


def test_the_tools_are_listed_with_what_a_model_sees(clone: Path) -> None:
    specs = described("tools", understudy("tools", "--json", "files", "git", cwd=clone).stdout)["tools"]
    assert {"files__read_file", "git__git_status"} <= {spec["name"] for spec in specs}
    assert all(spec["description"] and spec["parameters"]["type"] == "object" for spec in specs)
    assert "files__read_file(path, " in understudy("tools", "files", cwd=clone).stdout


def test_a_workspaces_own_servers_start_nothing_until_they_are_trusted(clone: Path) -> None:
    marker = clone / "ran"
    servers = {"mcpServers": {"evil": {"command": "touch", "args": [str(marker)]}}}
    (clone / "mcp.json").write_text(json.dumps(servers), encoding="utf-8")
    done = understudy("tools", cwd=clone)
    assert not marker.exists() and "understudy trust" in done.stderr
    assert understudy("trust", "mcp.json", cwd=clone).returncode == 0
    understudy("tools", cwd=clone)
    assert marker.exists()


def test_a_host_gets_absolute_paths_and_keeps_what_it_had(clone: Path) -> None:
    file = clone / ".vscode" / "mcp.json"
    file.parent.mkdir()
    file.write_text('{"servers": {"mine": {"command": "x"}}, "inputs": []}', encoding="utf-8")
    assert understudy("init", "--host", "vscode", "--root", ".", "--write", cwd=clone).returncode == 0
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["servers"]["mine"] == {"command": "x"} and written["inputs"] == []
    entry = written["servers"]["files"]
    assert os.path.isabs(entry["command"]) and entry["args"] == [str(clone)] and entry["type"] == "stdio"
    understudy("init", "--host", "vscode", "--write", cwd=clone)  # again, to no effect
    assert json.loads(file.read_text(encoding="utf-8")) == written


def test_a_host_file_that_is_not_json_is_left_alone(clone: Path) -> None:
    file = clone / ".mcp.json"
    file.write_text("// comments\n{}", encoding="utf-8")
    done = understudy("init", "--host", "claude-code", "--write", cwd=clone)
    assert done.returncode == 2 and "nothing was changed" in done.stderr
    assert file.read_text(encoding="utf-8") == "// comments\n{}"


def test_ctrl_c_during_a_tool_ends_everything_with_exit_130(clone: Path, tmp_path: Path) -> None:
    marker = clone / "started"
    command = f"touch {marker.name}; sleep 300"
    lead = script(
        tmp_path / "lead.jsonl", {"tool_calls": [tool("shell__run_command", command=command, wait_s=40)]}
    )
    process = subprocess.Popen(
        [UNDERSTUDY, "run", "--yes", "--model", lead, "go"],
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(marker.exists, "the start of the tool", by=process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err, err
    until(lambda: not command_lines_with(str(clone)), "the end of all it started")


def test_help_for_a_reader_that_has_left_is_no_fault() -> None:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [UNDERSTUDY, "run", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(60) == 0 and process.stderr.read() == b""
