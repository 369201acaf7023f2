"""Hosts where nobody sits at the screen: they decline by themselves, and send null for what they leave out."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from mcp.types import ElicitResult

from tests.servers.git.repos import Repo
from tests.stdio import connect, start

CALLS = {
    "files": ("write_file", {"path": "Makefile", "content": "all:\n"}, "--allow Makefile"),
    "shell": ("run_command", {"command": "rm -f nothing"}, 'allow = ["rm"]'),
    "git": ("git_remote", {"action": "fetch"}, "--allow-remote fetch"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("server", CALLS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_host_that_declines_by_itself_is_told_the_line_that_permits_it(
    tmp_path: Path, server: str, action: str
) -> None:
    repo = Repo(tmp_path / "work")
    repo.git("remote", "add", "origin", "https://example.org/x.git")

    async def nobody(_: object, __: object) -> ElicitResult:
        return ElicitResult(action=action)  # type: ignore[arg-type]

    tool, arguments, line = CALLS[server]
    with anyio.fail_after(60):
        async with connect(server, str(repo.top), elicitation_callback=nobody) as client:
            result = await client.call_tool(tool, arguments)
    said = str(result.content[0])
    assert result.is_error and "the user declined, or the host declines by itself" in said and line in said


def test_null_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with start("files", str(tmp_path)) as server:
        read = server.call("read_file", path="a.txt", offset=None, limit=None, mode=None, column=None)
        assert not read.is_error and "2\ttwo" in read.text
        assert (
            "a.txt"
            in server.call("list_files", path=None, depth=None, glob=None, sort=None, hidden=None).text
        )
        missing = server.call("read_file", path=None)
        assert missing.is_error and "needs path" in missing.text
    with start("shell", str(tmp_path)) as server:
        assert (
            "exit=0"
            in server.call("run_command", command="true", argv=None, cwd=None, wait_s=None, env=None).text
        )
