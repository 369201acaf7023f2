"""Hosts where nobody sits at the screen: they decline by themselves, and send null for what they leave out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.types import ElicitResult, ErrorData

from orchestrator.cli import main
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


@pytest.mark.anyio
@pytest.mark.parametrize("server", CALLS)
async def test_a_host_that_cannot_ask_after_all_gets_an_error_and_nothing_is_done(
    tmp_path: Path, server: str
) -> None:
    repo = Repo(tmp_path / "work")
    repo.git("remote", "add", "origin", "https://example.org/x.git")

    async def broken(_: object, __: object) -> ErrorData:
        return ErrorData(code=-32603, message="no screen")

    tool, arguments, _ = CALLS[server]
    with anyio.fail_after(60):
        async with connect(server, str(repo.top), mode="legacy", elicitation_callback=broken) as client:
            result = await client.call_tool(tool, arguments)
    said = str(result.content[0])
    assert result.is_error and "did nothing" in said and "(no screen)" in said
    assert not (repo.top / "Makefile").exists()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "done"),
    [({"change": "true"}, True), ({"change": "perhaps"}, False), ({}, False), (None, False)],
)
async def test_a_yes_counts_only_where_it_is_one(tmp_path: Path, content: Any, done: bool) -> None:
    async def answer(_: object, __: object) -> ElicitResult:
        return ElicitResult(action="accept", content=content)

    with anyio.fail_after(60):
        async with connect("files", str(tmp_path), elicitation_callback=answer) as client:
            result = await client.call_tool("write_file", {"path": "Makefile", "content": "all:\n"})
    assert result.is_error == (not done) and (tmp_path / "Makefile").exists() == done


@pytest.mark.anyio
@pytest.mark.parametrize("server", CALLS)
async def test_a_host_that_asks_before_each_call_is_not_asked_again_once_the_user_said_so(
    tmp_path: Path, own_state: Path, server: str
) -> None:
    repo = Repo(tmp_path / "work")
    other = Repo(repo.top / "inside")
    other.commit("there")
    repo.git("remote", "add", "origin", str(other.top))
    tool, arguments, line = CALLS[server]
    with anyio.fail_after(60):
        async with connect(server, str(repo.top)) as client:  # it has no dialogue of ours
            refused = await client.call_tool(tool, arguments)
            said = refused.content[0].text  # type: ignore[union-attr]
            if server != "files":  # what is protected there needs a yes in every case
                assert refused.is_error and line in said and "understudy trust --host 'mcp'" in said
            assert main(["trust", "--host", "mcp"]) == 0
            done = await client.call_tool(tool, arguments)
            assert not done.is_error, done.content
            assert main(["trust", "--undo", "--host", "mcp"]) == 0
            assert (await client.call_tool(tool, arguments)).is_error


@pytest.mark.anyio
async def test_the_question_shows_the_first_lines_of_the_change(tmp_path: Path) -> None:
    asked: list[str] = []

    async def answer(_: object, params: object) -> ElicitResult:
        asked.append(params.message)  # type: ignore[attr-defined]
        return ElicitResult(action="accept", content={"change": True})

    content = "all:\n" + "".join(f"\techo {n}\n" for n in range(40)) + "\tcurl evil\u202e\n"
    patch = "--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-all:\n+none:\n"
    with anyio.fail_after(60):
        async with connect("files", str(tmp_path), elicitation_callback=answer) as client:
            for tool, arguments in (
                ("write_file", {"path": "Makefile", "content": content}),
                ("edit_file", {"path": "Makefile", "edits": [{"old": "echo 0", "new": "rm \u202e-rf"}]}),
                ("apply_patch", {"patch": patch}),
                ("delete_file", {"path": "Makefile"}),
            ):
                assert not (await client.call_tool(tool, arguments)).is_error
    assert [question.split("?")[0] for question in asked] == ["Let the model change Makefile"] * 4
    write, edit, patched, delete = asked
    assert "\n+all:\n+" in write and "echo 10" in write and "and 30 lines more" in write
    assert edit.endswith("\n-echo 0\n+rm \\u202e-rf")
    assert "\n-all:\n+none:" in patched and delete.endswith("(deleted)")


NEEDED = {
    "files": {
        "read_file": {"path": "a.txt"}, "search_files": {"pattern": "one"}, "outline": {"path": "a.py"},
        "write_file": {"path": "a.txt", "content": "x"}, "edit_file": {"path": "a.txt", "edits": []},
        "apply_patch": {"patch": ""}, "move_file": {"src": "gone", "dst": "b"}, "delete_file": {"path": "gone"},
        "read_many": {"paths": ["a.txt"]},
    },
    "shell": {
        "run_command": {"command": "echo $PWD"}, "lint": {"paths": ["a.py"]}, "format_code": {"paths": ["a.py"]},
    },
    "git": {
        "git_stage": {"paths": ["gone"]}, "git_commit": {"message": ""}, "git_blame": {"path": "a.txt"},
        "git_restore": {"paths": ["gone"]}, "git_stash": {"action": "list"}, "git_integrate": {"action": "abort"},
    },
    "ollama": {
        "delegate": {}, "delegate_map": {}, "delegation": {"id": "d1"}, "rate": {"delegation": "d1", "verdict": "good"},
    },
}  # fmt: skip
"""What each tool needs at least; here nothing that changes anything."""


@pytest.mark.parametrize("name", NEEDED)
def test_null_is_the_default_of_every_parameter_of_every_tool(tmp_path: Path, name: str) -> None:
    repo = Repo(tmp_path / "work")
    repo.commit("first", a__txt="one\ntwo\n", a__py="def f():\n    pass\n")
    with start(name, str(repo.top)) as server:
        for tool in server.tools():
            schema = tool["inputSchema"]
            needed = {
                key: value
                for key, value in NEEDED[name].get(tool["name"], {}).items()
                if key in schema["properties"]
            }
            plain = server.call(tool["name"], **needed)
            nulls = server.call(tool["name"], **{**dict.fromkeys(schema["properties"]), **needed})
            assert steady(nulls.text) == steady(plain.text), tool["name"]
            assert nulls.is_error == plain.is_error
            for key in schema.get("required", ()):
                missing = server.call(tool["name"], **{**needed, key: None})
                assert missing.is_error and " needs " in missing.text


@pytest.mark.parametrize("name", NEEDED)
def test_a_host_that_shows_the_text_alone_or_the_structure_alone_shows_the_whole_answer(
    tmp_path: Path, name: str
) -> None:
    repo = Repo(tmp_path / "work")
    repo.commit("first", a__txt="one\ntwo\n", a__py="def f():\n    pass\n")
    with start(name, str(repo.top)) as server:
        for tool in server.tools():
            given = {
                key: value
                for key, value in NEEDED[name].get(tool["name"], {}).items()
                if key in tool["inputSchema"]["properties"]
            }
            answer = server.call(tool["name"], **given)
            assert answer.text.strip(), tool["name"]
            if answer.structured is not None and not answer.is_error:
                assert told(json.loads(answer.text)) == told(answer.structured), tool["name"]


def told(value: object) -> object:
    """Without what is empty, which says nothing."""
    if isinstance(value, dict):
        return {key: told(inner) for key, inner in value.items() if inner not in (None, [], {}, "")}
    return [told(inner) for inner in value] if isinstance(value, list) else value


def steady(text: str) -> str:
    """Without what differs from call to call: marks of fences, ids, durations."""
    return re.sub(r"[0-9a-f]{8,}|j\d+|\d+\.\d+", "#", text)
