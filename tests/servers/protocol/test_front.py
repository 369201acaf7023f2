"""A server that was started before answers a host's first questions from memory, and is then the same server as ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the servers are imported at once there")
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
NEWER = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


class Host:
    """A server as a host starts it by its console script."""

    def __init__(self, server: str, root: Path, *options: str) -> None:
        code = f"from servers.protocol.front import {server}; {server}()"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, str(root), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=root.parent,
            umask=0o027,
        )
        self.number, self.said = 0, ""

    def ask(self, method: str, params: dict[str, Any] | None = None) -> Any:
        self.number += 1
        self.tell(method, params or {}, id=self.number)
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        assert answer["id"] == self.number
        return answer["result"]

    def tell(self, method: str, params: dict[str, Any], **more: Any) -> None:
        assert self.process.stdin is not None
        message = {"jsonrpc": "2.0", **more, "method": method, "params": params}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def loaded(self) -> bool:
        """Whether the SDK has been imported."""
        return "pydantic_core" in Path(f"/proc/{self.process.pid}/maps").read_text()

    def end(self) -> int:
        """Close its stdin; its exit code."""
        self.said = self.process.communicate(timeout=60)[1].decode()
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    started: list[Host] = []
    (tmp_path / "root").mkdir()

    def begun(server: str = "files", *options: str) -> Host:
        started.append(Host(server, tmp_path / "root", *options))
        return started[-1]

    yield begun
    for host in started:
        host.process.kill()
        host.process.communicate()


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first start of which nothing is known beforehand."""
    monkeypatch.setenv("UNDERSTUDY_ANYTHING", "1")


def older(host: Host) -> list[Any]:
    hello = host.ask("initialize", HELLO)
    host.tell("notifications/initialized", {})
    return [hello, host.ask("tools/list")]


def newer(host: Host) -> list[Any]:
    asked = ("server/discover", "tools/list", "prompts/list", "resources/list")
    return [host.ask(method, NEWER) for method in asked]


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize(("server", "talk"), [("files", older), ("ollama", newer)])
def test_the_first_answers_are_those_of_the_last_start_and_the_server_stands_behind_them(
    server: str, talk: Callable[[Host], list[Any]], start: Callable[..., Host]
) -> None:
    first, second = start(server), None
    answers = talk(first)
    assert first.end() == 0
    second = start(server)
    assert talk(second) == answers
    call = {"name": "list_files" if server == "files" else "delegation", "arguments": {}}
    done = second.ask("tools/call", call | (NEWER if talk is newer else {}))
    assert not done.get("isError"), done
    assert second.ask("tools/list", NEWER if talk is newer else {})["tools"] == answers[1]["tools"]
    assert second.end() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_is_imported_before_the_tools_are_listed_and_an_early_end_is_an_end(
    start: Callable[..., Host],
) -> None:
    older(start())
    for stop in (None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if stop is not None and signal.getsignal(stop) == signal.SIG_IGN:
            continue  # whoever started the tests has switched it off, for what they start too
        host = start()
        host.ask("initialize", HELLO)
        host.tell("notifications/initialized", {})
        assert not host.loaded()
        if stop is not None:
            host.process.send_signal(stop)
            assert host.process.wait(60) == 0
        assert host.end() == 0 and host.said == ""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("server", "talk"), [("git", older), ("ollama", newer)])
def test_the_very_first_start_is_answered_before_anything_is_imported(
    server: str, talk: Callable[[Host], list[Any]], start: Callable[..., Host]
) -> None:
    host = start(server)
    listed = talk(host)[1]
    assert not host.loaded() and listed["tools"]
    assert host.ask("tools/list", NEWER | {"cursor": None} if talk is newer else {"cursor": None}) == listed
    assert host.end() == 0


def test_options_are_asked_of_the_server_itself(start: Callable[..., Host]) -> None:
    assert "write_file" not in str(older(start("files", "--read-only")))
    host = start("files", "--no-warm")
    host.ask("initialize", HELLO)
    assert host.loaded() or sys.platform != "linux"


def test_commands_make_files_with_the_rights_that_the_host_gives_files(start: Callable[..., Host]) -> None:
    host = start("shell")
    older(host)
    done = host.ask("tools/call", {"name": "run_command", "arguments": {"command": "umask"}})
    assert "0027" in done["content"][0]["text"]
    assert host.end() == 0


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_a_pipe_that_the_host_has_closed_is_an_end_and_no_error(closed: str, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("understudy-files")), str(tmp_path)]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"") and b"Traceback" not in done.stderr, done.stderr


def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("understudy-git"))]
    here = "mkdir gone; cd gone; rmdir ../gone; exec "
    done = subprocess.run(
        ["sh", "-c", f'{here} "$@"', "sh", *command],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    assert (
        done.stderr
        == "understudy-git: the folder it was started in is gone; start it in another or name one\n"
    )


@pytest.mark.usefixtures("unknown")
def test_an_answer_that_has_changed_is_told_the_next_time(
    start: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = older(start())
    (kept,) = (Path(os.environ["UNDERSTUDY_HOME"]) / "starts").iterdir()
    held = json.loads(kept.read_text())
    (key,) = (key for key in held["answers"] if key.startswith("tools/list"))
    held["answers"][key]["tools"] = []
    kept.write_text(json.dumps(held))
    host = start()
    assert older(host)[1]["tools"] == []
    host.ask("tools/call", {"name": "list_files", "arguments": {}})
    assert host.ask("tools/list") == truth[1]  # by the server itself
    assert json.loads(kept.read_text())["answers"][key] == truth[1]
    kept.write_text("[")
    assert older(start()) == truth


def test_what_was_remembered_of_another_folder_or_of_one_that_is_gone_counts_for_nothing(
    start: Callable[..., Host], tmp_path: Path
) -> None:
    assert older(start())
    (tmp_path / "root").rmdir()
    gone = start()
    gone.tell("initialize", HELLO, id=1)
    assert gone.end() == 2
