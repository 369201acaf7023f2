"""The four servers over streamable HTTP, as console scripts: for whom they answer, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

pytestmark = pytest.mark.anyio
SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def repository(tmp_path: Path) -> str:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return str(tmp_path)


@contextmanager
def running(name: str, *args: str, token: str = "") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """(address, process) of a server; it must have ended by itself within 2 s of SIGTERM."""
    process = subprocess.Popen(
        [str(SCRIPTS / f"understudy-{name}"), *args],
        env={**os.environ, "UNDERSTUDY_TOKEN": token},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        said = process.stderr.readline()
        assert said.startswith("listening at "), said + process.stderr.read()
        yield said.removeprefix("listening at ").strip(), process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("name", "tool"),
    [("files", "list_files"), ("shell", "job"), ("git", "git_status"), ("ollama", "delegation")],
)
async def test_clients_of_both_protocols_use_one_server_at_once(
    name: str, tool: str, repository: str
) -> None:
    said: dict[Any, bool] = {}
    with running(name, repository, "--http", "0") as (url, _), anyio.fail_after(60):

        async def use(mode: Any) -> None:
            async with Client(url, mode=mode) as client:
                assert tool in {listed.name for listed in (await client.list_tools()).tools}
                said[mode] = bool((await client.call_tool(tool, {})).is_error)

        async with anyio.create_task_group() as group:
            group.start_soon(use, "auto")
            group.start_soon(use, "legacy")
    assert said == {"auto": False, "legacy": False}


def test_beyond_loopback_nobody_answers_without_a_token(tmp_path: Path) -> None:
    without = subprocess.run(
        [str(SCRIPTS / "understudy-files"), str(tmp_path), "--http", "0.0.0.0:0"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert without.returncode == 2 and "set UNDERSTUDY_TOKEN" in without.stderr


async def test_beyond_loopback_the_token_is_wanted_and_opens(tmp_path: Path) -> None:
    with running("files", str(tmp_path), "--http", "0.0.0.0:0", token="sesame") as (url, _):
        url = url.replace("0.0.0.0", "127.0.0.1")
        async with httpx2.AsyncClient() as client:
            for headers in ({}, {"authorization": "Bearer wrong"}):
                refused = await client.post(url, json={}, headers=headers)
                assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        async with (
            httpx2.AsyncClient(headers={"authorization": "Bearer sesame"}) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            assert not (await client.call_tool("list_files", {})).is_error


async def test_web_pages_are_refused(tmp_path: Path) -> None:
    with running("files", str(tmp_path), "--http", "127.0.0.1:0") as (url, _):
        async with httpx2.AsyncClient() as client:
            for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
                assert (await client.post(url, json={}, headers=headers)).status_code == 403


@pytest.mark.parametrize("where", ["", "x", "127.0.0.1:99999", "nowhere.invalid:1"])
def test_an_address_that_cannot_be_is_one_sentence(where: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(SCRIPTS / "understudy-files"), str(tmp_path), "--http", where],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.startswith("--http: ") and done.stderr.count("\n") == 1
