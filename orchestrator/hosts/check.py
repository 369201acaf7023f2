"""What a host would see of its servers: each is started as that host would start it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from servers.protocol.front import FRESH
from servers.protocol.registry import SERVER_COMMANDS

from ..errors import first_of
from .install import CARRIED, ENGINE, entries_of, is_ours, program
from .table import Host, Server

START_S = 30.0
"""What hosts allow a server at most, before they give it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    name: str
    command: str
    tools: int | None = None  # None: it did not start, or was not started
    problem: str | None = None  # one sentence
    notes: tuple[str, ...] = ()  # what works otherwise than here, or why it was not started


async def seen_by(host: Host, root: Path, *, all_servers: bool = False) -> list[Seen]:
    """Each server of the host's file as it runs there; empty where it names none. Raises ConfigError.

    `all_servers`: those of others are started too, whatever the file says to run.
    """
    found = entries_of(host, host.file(root))
    seen: dict[str, Seen] = {}

    async def look(name: str, entry: Any) -> None:
        server = host.server(entry)
        command = server.command if server else ""
        if server is None:
            why = "it is no program that a host starts, and was not looked at"
        elif entry.get("enabled") is False or entry.get("disabled") is True:
            why = "it is switched off"
        elif not all_servers and not is_ours(server):
            why = "it is none of ours and was not started"
        elif not all_servers and not _as_written_by_us(host, root, server):
            why = "it runs what a file of this folder says, and was not started"
        else:
            seen[name] = await _started(host, root, name, server)
            return
        seen[name] = Seen(name=name, command=command, notes=(why,))

    async with anyio.create_task_group() as group:
        for name, entry in found.items():
            group.start_soon(look, name, entry)
    return [seen[name] for name in found]


def _as_written_by_us(host: Host, root: Path, server: Server) -> bool:
    """Whether looking runs nothing but an installed server: a project's file may come from anybody."""
    if host.shared:
        return True
    bare = Path(server.command).name == server.command
    outside = os.path.isabs(server.command) and not Path(server.command).is_relative_to(root)
    return (bare or outside or server.command == program(Path(server.command).stem)) and (
        set(server.env) <= {*CARRIED, *ENGINE}
    )


async def _started(host: Host, root: Path, name: str, server: Server) -> Seen:
    env, notes = environment(host, server), list[str]()
    if Path(server.command).stem == SERVER_COMMANDS["ollama"]:
        notes += [
            f"{key} is set here and does not reach it"
            for key in ENGINE
            if os.environ.get(key) and key not in env
        ]
    if is_ours(server) and os.environ.get("UNDERSTUDY_HOME") != env.get("UNDERSTUDY_HOME"):
        notes.append("it keeps its state elsewhere: UNDERSTUDY_HOME is set differently here")
    tools, problem = await _tools(server, env, host.cwd or str(root))
    return Seen(name=name, command=server.command, tools=tools, problem=problem, notes=tuple(notes))


def environment(host: Host, server: Server) -> dict[str, str]:
    """The variables a server gets from this host, were the host started here."""
    passed = {key: value for key, value in os.environ.items() if host.passes is None or key in host.passes}
    return passed | dict(server.env)


async def _tools(server: Server, env: Mapping[str, str], cwd: str) -> tuple[int | None, str | None]:
    from mcp import Client, StdioServerParameters, stdio_client

    parameters = StdioServerParameters(
        command=server.command, args=list(server.args), env={**env, FRESH: "1"}, cwd=cwd
    )
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        try:
            with anyio.fail_after(START_S):
                async with Client(stdio_client(parameters, errlog=said)) as client:
                    return len((await client.list_tools()).tools), None
        except Exception as exc:  # noqa: BLE001  # whatever keeps a server from starting is what is asked for
            said.seek(0)
            words = [line.strip() for line in said if line.strip()]
            return None, _why(first_of(exc), server, words)


def _why(exc: BaseException, server: Server, words: list[str]) -> str:
    if isinstance(exc, FileNotFoundError):
        return f"there is no program {server.command}; `understudy init --write --replace` names this installation's"
    if isinstance(exc, TimeoutError):
        return f"it listed no tools within {START_S:g} s"
    return words[-1] if words else f"it ended before it listed its tools: {exc or type(exc).__name__}"
