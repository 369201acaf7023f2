"""What many starts, kills and calls leave behind: nothing should.

    python benchmarks/soak.py [--starts 50] [--parallel 200] [--calls 10000] [--idle MINUTES]

| figure | aim |
|---|---|
| processes, sockets and temporary files left by servers that were closed, terminated or killed at any moment | 0 |
| failures among parallel calls of all four servers | 0 |
| growth of memory and descriptors of a server over many calls, first tenth left out | at most 5 % and 2 |
| growth of memory, descriptors and processes of all four and their warm process while nobody calls | at most 5 %, 0 and 0 |
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import anyio
import psutil
from mcp import Client, StdioServerParameters, stdio_client

BIN = Path(sys.executable).parent
SERVERS = ("files", "shell", "git", "ollama")
CALLS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "files": [
        ("read_file", {"path": "a.txt"}),
        ("list_files", {}),
        ("search_files", {"pattern": "x"}),
        ("outline", {"path": "a.py"}),
    ],
    "shell": [("run_command", {"command": "cat a.txt"}), ("job", {})],
    "git": [("git_status", {}), ("git_log", {}), ("git_diff", {})],
    "ollama": [("delegation", {}), ("profile", {})],
}
GONE_S = 10.0
"""How long after its end everything a server started may still be seen; the promise is 2 s on a quiet machine."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--starts", type=int, default=50)
    parser.add_argument("--parallel", type=int, default=200)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--idle", type=int, default=0, metavar="MINUTES")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak") as name:
        folder = Path(name)
        env = _prepared(folder)
        good: list[bool] = []
        if options.starts:
            good.append(left_behind(folder, env, options.starts))
        if options.parallel:
            good.append(anyio.run(at_once, folder, env, options.parallel))
        if options.calls:
            good += [anyio.run(grown, server, folder, env, options.calls) for server in SERVERS]
        if options.idle:
            good.append(anyio.run(idle, folder, env, options.idle))
    return 0 if all(good) else 1


def _prepared(folder: Path) -> dict[str, str]:
    for part in ("work", "home", "tmp", "run"):
        (folder / part).mkdir(mode=0o700)
    work = folder / "work"
    (work / "a.txt").write_text("x\n" * 100, encoding="utf-8")
    (work / "a.py").write_text("def f() -> int:\n    return 1\n", encoding="utf-8")
    line = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*line, *command], cwd=work, check=True)
    return os.environ | {
        "UNDERSTUDY_HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "OLLAMA_HOST": "127.0.0.1:9",
    }


def left_behind(folder: Path, env: dict[str, str], starts: int) -> bool:
    chance = random.Random(7)
    for number in range(starts):
        server = SERVERS[number % len(SERVERS)]
        _one_life(server, folder, env, chance, ("close", "terminate", "kill")[number % 3])
    deadline = monotonic() + GONE_S
    while (left := _of(folder)) and monotonic() < deadline:
        sleep(0.1)
    files = [path for part in ("tmp", "run") for path in (folder / part).rglob("*")]
    sockets = [path for path in (folder / "home").rglob("*") if path.is_socket()]
    print(
        f"{starts} starts: {len(left)} processes, {len(sockets)} sockets, {len(files)} temporary files left"
    )
    for process in left:
        print(f"  {process.pid} {' '.join(process.cmdline())[:150]}")
    for path in [*sockets, *files]:
        print(f"  {path}")
    return not (left or files or sockets)


def _one_life(server: str, folder: Path, env: dict[str, str], chance: random.Random, end: str) -> None:
    process = subprocess.Popen(
        [BIN / f"understudy-{server}", str(folder / "work")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder / "work",
        env=env,
    )
    assert process.stdin is not None and process.stdout is not None
    name, arguments = chance.choice(CALLS[server])
    if server == "shell":
        name, arguments = "run_command", {"command": "sleep 60 & sleep 60", "wait_s": 0.2}
    hello = '{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"soak","version":"0"}}'
    said = [
        f'{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{hello}}}',
        '{"jsonrpc":"2.0","method":"notifications/initialized"}',
        '{"jsonrpc":"2.0","id":2,"method":"tools/list"}',
        f'{{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{{"name":"{name}","arguments":{json.dumps(arguments)}}}}}',
    ]
    for line in said[: chance.randint(0, len(said))]:
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        if '"id"' in line and chance.random() < 0.7:
            process.stdout.readline()
    if end == "terminate":
        process.terminate()
    elif end == "kill":
        process.send_signal(signal.SIGKILL)
    process.stdin.close()
    process.wait(60)
    process.stdout.close()


def _of(folder: Path) -> list[psutil.Process]:
    """Processes that work in the folder or were told of it, this one left out."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            words = [process.cwd(), *process.cmdline(), process.environ().get("UNDERSTUDY_HOME", "")]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in words):
            found.append(process)
    return found


async def at_once(folder: Path, env: dict[str, str], calls: int) -> bool:
    failed: list[str] = []

    async def call(client: Client, name: str, arguments: dict[str, Any]) -> None:
        answer = await client.call_tool(name, arguments)
        if answer.is_error:
            failed.append(f"{name}: {str(answer.content)[:200]}")

    async def through(server: str) -> None:
        async with _connected(server, folder, env) as client, anyio.create_task_group() as group:
            for number in range(calls // len(SERVERS)):
                group.start_soon(call, client, *CALLS[server][number % len(CALLS[server])])

    async with anyio.create_task_group() as group:
        for server in SERVERS:
            group.start_soon(through, server)
    print(f"{calls} calls at once: {len(failed)} failed")
    for text in failed[:5]:
        print(f"  {text}")
    return not failed


async def grown(server: str, folder: Path, env: dict[str, str], calls: int) -> bool:
    before: tuple[int, int] = (0, 0)
    async with _connected(server, folder, env) as client:
        (process,) = [one for one in _of(folder) if f"understudy-{server}" in " ".join(one.cmdline())]
        for number in range(calls):
            name, arguments = CALLS[server][number % len(CALLS[server])]
            await client.call_tool(name, arguments)
            if number == calls // 10:
                before = process.memory_info().rss, process.num_fds()
        after = process.memory_info().rss, process.num_fds()
        children = len(process.children(recursive=True))
    growth = after[0] / before[0] - 1
    print(
        f"{calls:,} calls of {server}: memory {growth:+.1%} of {before[0] >> 20} MB, descriptors {after[1] - before[1]:+d}, "
        f"{children} children"
    )
    return growth <= 0.05 and after[1] - before[1] <= 2


async def idle(folder: Path, env: dict[str, str], minutes: int) -> bool:
    """Every minute's memory, descriptors and processes of four servers that a host has started, used once and left open."""
    samples: list[tuple[int, int, int]] = []
    async with AsyncExitStack() as stack:
        for server in SERVERS:
            client = await stack.enter_async_context(_connected(server, folder, env))
            for name, arguments in CALLS[server]:
                await client.call_tool(name, arguments)
        for minute in range(minutes + 1):
            samples.append(_sample(folder))
            memory, descriptors, processes = samples[-1]
            print(
                f"minute {minute}: {memory >> 20} MB, {descriptors} descriptors, {processes} processes",
                flush=True,
            )
            if minute < minutes:
                await anyio.sleep(60)
    first, last = samples[0], samples[-1]
    growth = last[0] / first[0] - 1
    print(
        f"{minutes} idle minutes: memory {growth:+.1%} of {first[0] >> 20} MB, descriptors {last[1] - first[1]:+d}, "
        f"processes {last[2] - first[2]:+d}"
    )
    return growth <= 0.05 and last[1] <= first[1] and last[2] <= first[2]


def _sample(folder: Path) -> tuple[int, int, int]:
    """Private memory, so that what forks share counts once at most; open descriptors; processes."""
    memory = descriptors = processes = 0
    for process in _of(folder):
        try:
            memory += process.memory_full_info().uss
            descriptors += process.num_fds()
        except psutil.Error:
            continue
        processes += 1
    return memory, descriptors, processes


def _connected(server: str, folder: Path, env: dict[str, str]) -> Client:
    command = str(BIN / f"understudy-{server}")
    parameters = StdioServerParameters(
        command=command, args=[str(folder / "work")], env=env, cwd=str(folder / "work")
    )
    return Client(stdio_client(parameters))


if __name__ == "__main__":
    sys.exit(main())
