"""What all four servers promise, over real stdio."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.processes import PATIENCE_S, command_lines_with, until
from tests.stdio import Stdio, connect, start
from tests.tokens import count

SERVERS = {
    "files": {
        "read_file", "list_files", "search_files", "write_file", "edit_file", "apply_patch", "move_file",
        "delete_file", "outline", "read_many", "undo",
    },
    "shell": {"run_command", "job", "run_tests", "lint", "format_code"},
    "git": {
        "git_status", "git_diff", "git_log", "git_show", "git_blame", "git_stage", "git_restore", "git_commit",
        "git_branch", "git_integrate", "git_stash", "git_remote", "git_undo",
    },
    "ollama": {"list_models", "estimate", "delegate", "delegation", "delegate_map", "profile", "rate"},
}  # fmt: skip
every = pytest.mark.parametrize("name", SERVERS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    (folder / "a.txt").write_text("alpha\n", encoding="utf-8")
    return folder


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, root: Path) -> Iterator[Stdio]:
    with start(request.param, str(root)) as running:
        yield running


def gone(pid: int, within_s: float = PATIENCE_S) -> bool:
    """Whether the process has ended, or does within the time."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], within_s)[0])
    finally:
        os.close(process)


@every
@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
def test_a_client_of_the_handshake_era_lists_its_tools(name: str, revision: str, root: Path) -> None:
    with start(name, str(root), revision=revision) as running:
        assert running.hello["protocolVersion"] == revision
        assert running.hello["serverInfo"]["name"] == f"understudy-{name}"
        assert running.hello["serverInfo"]["version"] == version("understudy")
        assert {tool["name"] for tool in running.tools()} == SERVERS[name]


@every
@pytest.mark.anyio
async def test_a_client_of_the_newest_revision_lists_its_tools(name: str, root: Path) -> None:
    with anyio.fail_after(60):
        async with connect(name, str(root), mode="2026-07-28") as client:
            assert isinstance(client, Client)
            assert {tool.name for tool in (await client.list_tools()).tools} == SERVERS[name]


def test_every_tool_says_truthfully_what_it_may_do(server: Stdio) -> None:
    for tool in server.tools():
        hints = tool["annotations"]
        assert {"readOnlyHint", "openWorldHint"} <= hints.keys(), tool["name"]
        assert hints["readOnlyHint"] or "destructiveHint" in hints, tool["name"]
        assert tool["description"].strip()


def test_an_unknown_tool_is_answered_with_the_tools_there_are(server: Stdio) -> None:
    answer = server.call("no_such_tool")
    known = [tool["name"] for tool in server.tools()]
    assert answer.is_error and all(name in answer.text for name in known)


def test_a_wrong_type_is_named_with_what_was_wanted_and_found(server: Stdio) -> None:
    for tool in server.tools():
        for key, schema in tool["inputSchema"]["properties"].items():
            if schema.get("type") == "integer":
                answer = server.call(tool["name"], **{key: "many"})
                assert answer.is_error and "\n" not in answer.text and "pydantic" not in answer.text, (
                    answer.text
                )
                return


def test_an_unknown_parameter_is_refused_with_the_ones_there_are(server: Stdio) -> None:
    tool = server.tools()[0]
    answer = server.call(tool["name"], pathh="x")
    assert answer.is_error and "pathh" in answer.text
    assert all(key in answer.text for key in tool["inputSchema"]["properties"])


def test_lines_that_are_no_messages_are_survived(server: Stdio) -> None:
    for line in (b"not json\n", b"[]\n", b'"x"\n', b"\xff\xfe\n", b"\n", b'{"jsonrpc":"2.0","method":5}\n'):
        os.write(server.stdin, line)
    assert server.tools()


@pytest.mark.parametrize(
    ("line", "code", "why"),
    [
        (b'{"jsonrpc":"2.0","id":"%s","method":"tools/call","params":{"name":"x\\ud800"}}', -32600, "surrogate"),
        (b'{"jsonrpc":"2.0","id":"%s","method":5}', -32600, "no JSON-RPC request"),
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_answered_under_its_id(
    server: Stdio, line: bytes, code: int, why: str
) -> None:
    os.write(server.stdin, line % b"odd" + b"\n")
    answer = server.read()
    assert (answer["id"], answer["error"]["code"]) == ("odd", code) and why in answer["error"]["message"]
    assert server.tools()


@every
def test_closing_stdin_at_rest_ends_it_at_once(name: str, root: Path) -> None:
    with start(name, str(root)) as running:
        running.close()
        assert gone(running.pid)


@every
def test_requests_sent_just_before_stdin_closes_are_still_answered(name: str, root: Path) -> None:
    running = start(name, str(root))
    number = running.send("tools/list", {})
    os.close(running.stdin)
    running.stdin = -1
    assert "result" in running.answer(number)
    with pytest.raises(EOFError):
        running.read()


@every
def test_a_host_that_dies_with_both_pipes_is_an_end_and_no_error(name: str, root: Path) -> None:
    running = start(name, str(root))
    os.close(running.stdin)
    os.close(running.stdout)
    running.stdin = -1
    until(lambda: gone(running.pid), "the end of the server")
    assert "Traceback" not in running.said() and "Error" not in running.said()
    os.close(running.stderr)


def test_a_long_command_ends_with_the_server(root: Path) -> None:
    running = start("shell", str(root))
    marker = root / "started"
    number = running.send(
        "tools/call",
        {"name": "run_command", "arguments": {"command": f"touch {marker}; sleep 300", "wait_s": 40}},
    )
    until(lambda: marker.exists() or select.select([running.stdout], [], [], 0)[0], "the command")
    assert marker.exists(), running.answer(number)
    running.close()
    assert gone(running.pid)
    until(lambda: not command_lines_with(str(marker)), "the end of the command")


@every
def test_sigterm_ends_it(name: str, root: Path) -> None:
    running = start(name, str(root))
    os.kill(running.pid, 15)
    with pytest.raises(EOFError):
        running.read()
    running.close()


def test_stdout_carries_json_alone_whatever_is_called(server: Stdio) -> None:
    for tool in server.tools():
        if tool["annotations"]["readOnlyHint"]:
            server.call(tool["name"])  # raises when a line of stdout is no JSON


@pytest.mark.parametrize("script", [f"understudy-{name}" for name in SERVERS])
def test_help_explains_every_option_and_version_names_the_program(script: str) -> None:
    path = os.path.join(os.path.dirname(sys.executable), script)
    shown = subprocess.run([path, "--help"], check=True, capture_output=True, text=True).stdout
    assert "--log-level" in shown and "root" in shown.lower()
    version = subprocess.run([path, "--version"], check=True, capture_output=True, text=True).stdout
    assert version.startswith(f"{script} 0.")


def test_a_root_that_is_missing_is_one_sentence_on_stderr(tmp_path: Path) -> None:
    for name in SERVERS:
        path = os.path.join(os.path.dirname(sys.executable), f"understudy-{name}")
        done = subprocess.run(
            [path, str(tmp_path / "gone")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0 and done.stdout == ""
        assert "gone" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_requests_may_come_from_a_file_and_nothing_to_read_is_the_end(root: Path) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call",
         "params": {"name": "read_file", "arguments": {"path": "a.txt"}}},
    ]  # fmt: skip
    (root / "asked.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asked), encoding="utf-8")
    for given, said in ((str(root / "asked.jsonl"), "alpha"), (os.devnull, "")):
        with open(given, "rb") as stdin:
            command = [os.path.join(os.path.dirname(sys.executable), "understudy-files"), str(root)]
            done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        assert said in done.stdout and bool(done.stdout) == bool(said)


def test_all_tool_lists_together_cost_a_host_at_most_3600_tokens(root: Path) -> None:
    cost: dict[str, int] = {}
    for name in SERVERS:
        with start(name, str(root)) as running:
            cost[name] = count(json.dumps(running.tools(), separators=(",", ":")))
    assert cost["ollama"] <= 1000, cost
    assert sum(cost.values()) <= 3600, cost
