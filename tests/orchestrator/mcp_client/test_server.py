"""Servers as the orchestrator runs them: started in the background, restarted, ended, asked for a yes."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrator.agent import Agent
from orchestrator.config.load import Config, ServerSettings
from orchestrator.events import Event, Notice
from orchestrator.providers.scripted import Scripted
from orchestrator.session.session import open_session
from orchestrator.types import ToolCall, ToolResult, assistant

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("forked_as_users_do")]

FOREIGN = """
import os, sys
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
server = MCPServer("foreign")

@server.tool(name="say.hello world")
def hello(name: str) -> str:
    "Greet."
    return f"hello {name}"

@server.tool()
def leave() -> str:
    "End the process at once."
    print("last words", file=sys.stderr, flush=True)
    os._exit(3)

server.run()
"""


def config(folder: Path, **servers: ServerSettings) -> Config:
    return Config(servers=servers, folder=str(folder))


def ours(name: str, root: Path, *args: str) -> ServerSettings:
    return ServerSettings(command=f"understudy-{name}", args=(str(root), *args), cwd=str(root))


def foreign(folder: Path) -> ServerSettings:
    script = folder / "foreign.py"
    script.write_text(FOREIGN, encoding="utf-8")
    return ServerSettings(command=sys.executable, args=(str(script),), cwd=str(folder))


def children(of: int) -> set[int]:
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[1]) == of:
                found |= {int(entry.name), *children(int(entry.name))}
    return found


async def test_the_tools_of_several_servers_are_one_toolbox_and_nothing_survives_the_session(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.txt").write_text("forty-two\n", encoding="utf-8")
    before = children(os.getpid())
    with anyio.fail_after(60):
        async with open_session(
            config(tmp_path, files=ours("files", tmp_path), other=foreign(tmp_path))
        ) as session:
            names = {spec.name for spec in (await session.toolbox()).specs}
            assert {"files__read_file", "other__say_hello_world"} <= names
            assert "forty-two" in (await session.call_tool("files", "read_file", {"path": "a.txt"})).text
            call = ToolCall(id="1", name="other__say_hello_world", arguments={"name": "Ada"})
            assert (await (await session.toolbox()).call(call)).text == "hello Ada"
            assert children(os.getpid()) > before
    assert children(os.getpid()) == before


async def test_a_server_that_ends_says_why_and_the_next_call_starts_it_again(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_session(config(tmp_path, other=foreign(tmp_path))) as session:
            ended = await session.call_tool("other", "leave", {})
            assert ended.is_error and "last words" in ended.text and "next call" in ended.text
            again = await session.call_tool("other", "say_hello_world", {"name": "Ada"})
            assert again.text == "hello Ada"


async def test_a_killed_server_of_ours_is_started_again_by_the_next_call(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_session(config(tmp_path, files=ours("files", tmp_path))) as session:
            await session.connected()
            for pid in children(os.getpid()):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"servers.protocol.prefork" in command and not children(pid):
                    os.kill(pid, signal.SIGKILL)
            assert (await session.call_tool("files", "list_files", {})).is_error
            assert not (await session.call_tool("files", "list_files", {})).is_error


async def test_servers_start_by_themselves_once_the_process_that_forks_them_is_gone(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_session(config(tmp_path, files=ours("files", tmp_path))) as session:
            await session.connected()
            for pid in children(os.getpid()):
                if b"servers.protocol.prefork" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)  # the server, and what forks servers
            assert (await session.call_tool("files", "list_files", {})).is_error
            assert not (await session.call_tool("files", "list_files", {})).is_error


async def test_a_program_that_does_not_exist_is_one_sentence_and_the_others_go_on(tmp_path: Path) -> None:
    seen: list[Event] = []
    gone = ServerSettings(command="no-such-program-here", cwd=str(tmp_path))
    with anyio.fail_after(60):
        async with open_session(
            config(tmp_path, gone=gone, files=ours("files", tmp_path)), seen.append
        ) as session:
            await session.connected()
            answer = await session.call_tool("gone", "x", {})
            assert answer.is_error and "no-such-program-here" in answer.text
            assert not (await session.call_tool("files", "list_files", {})).is_error
    (notice, *_) = [event for event in seen if isinstance(event, Notice)]
    assert "no-such-program-here" in notice.text and "Traceback" not in notice.text


async def test_a_root_that_does_not_exist_reaches_the_person_in_the_servers_own_words(tmp_path: Path) -> None:
    seen: list[Event] = []
    missing = ServerSettings(command="understudy-files", args=(str(tmp_path / "gone"),), cwd=str(tmp_path))
    with anyio.fail_after(60):
        async with open_session(config(tmp_path, files=missing), seen.append) as session:
            await session.connected()
    assert any(isinstance(event, Notice) and "gone" in event.text for event in seen)


async def test_a_folder_with_its_own_servers_package_does_not_provide_ours(tmp_path: Path) -> None:
    package = tmp_path / "servers" / "files"
    package.mkdir(parents=True)
    for file in (package.parent / "__init__.py", package / "__init__.py", package / "server.py"):
        file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    (package.parent / "warm.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    old = os.getcwd()
    os.chdir(tmp_path)
    try:
        with anyio.fail_after(60):
            async with open_session(config(tmp_path, files=ours("files", tmp_path))) as session:
                assert not (await session.call_tool("files", "list_files", {})).is_error
    finally:
        os.chdir(old)
    assert not (tmp_path / "ran").exists()


async def test_the_first_model_request_does_not_wait_for_servers_seen_before(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("forty-two\n", encoding="utf-8")
    setting = config(tmp_path, files=ours("files", tmp_path))
    with anyio.fail_after(60):
        async with open_session(setting) as session:
            await session.connected()
        async with open_session(setting) as session:
            unready: list[bool] = []

            def first(request: Any) -> Any:
                unready.append(session.hosted["files"].running)
                return assistant(ToolCall(id="1", name="files__read_file", arguments={"path": "a.txt"}))

            lead = Scripted(first, "it is forty-two")
            session.add_provider("scripted", lead)
            await session.ask(Agent(name="lead", model="scripted:x"), "read")
    assert unready == [False]
    assert "files__read_file" in {spec.name for spec in lead.requests[0].tools}
    (result,) = lead.requests[1].messages[-1].parts
    assert isinstance(result, ToolResult) and "forty-two" in result.text


@pytest.mark.parametrize(("choice", "runs"), [("once", True), ("no", False), (None, False)])
async def test_a_confirmation_reaches_the_person_with_its_choices(
    tmp_path: Path, choice: str | None, runs: bool
) -> None:
    asked: list[tuple[str, Sequence[str]]] = []

    async def approve(question: str, choices: Sequence[str]) -> str | None:
        asked.append((question, choices))
        return choice

    (tmp_path / "old").mkdir()
    with anyio.fail_after(60):
        async with open_session(config(tmp_path, shell=ours("shell", tmp_path)), approve=approve) as session:
            answer = await session.call_tool("shell", "run_command", {"command": "rm -r old"})
    assert (tmp_path / "old").exists() is not runs
    ((question, choices),) = asked
    assert "rm -r old" in question and choices[0] == "once"
    assert runs == bool(re.search(r"exit=0", answer.text)), answer.text


async def test_nobody_to_ask_means_a_refusal_that_names_the_rule(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with open_session(config(tmp_path, shell=ours("shell", tmp_path))) as session:
            answer = await session.call_tool("shell", "run_command", {"command": "rm -r old"})
    assert answer.is_error and "--policy" in answer.text
