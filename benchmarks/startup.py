"""How fast Understudy starts and answers, as ratios against a named floor or peer measured in the same run.

    python -m benchmarks.startup [--rounds N] [--json]

| figure | against | aim on a quiet machine |
|---|---|---|
| help | python -c pass | at most 5 |
| first request, tool lists cached | the same command with no servers at all | about 1: it waits for none |
| first request, nothing cached | the same command with no servers at all | for comparison |
| first paint of `chat` | a prompt of prompt_toolkit and nothing else | 0.5 s |
| four servers listed | one plain SDK server, started and listed by the SDK's client | at most 1.3 |
| four console scripts listed by a host, started before | four TypeScript reference servers | at most 1 |
| four console scripts listed by a host, never started | four TypeScript reference servers | at most 1 |
| round trip | the TypeScript reference filesystem server, same client, same file | at most 0.8 |

What is compared with the reference needs node and npm (the package @modelcontextprotocol/server-filesystem, fetched into a
temporary folder); without them those lines say so.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import pty
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import anyio
from mcp import Client, StdioServerParameters, stdio_client

from benchmarks.ratios import Row, ratio, report
from orchestrator.config.load import load_config
from orchestrator.session.session import open_session

BIN = Path(sys.executable).parent
NOT_MEASURED = "not measured: node, npm or the reference package is missing"
AT_MOST = {"help": 5, "four servers listed": 1.3, "four console scripts": 1.0, "round trip": 0.8}
PLAIN = """
from mcp.server import MCPServer
server = MCPServer("plain")
@server.tool()
def hello(name: str) -> str:
    "Say hello."
    return f"hello {name}"
server.run()
"""

BARE_PROMPT = "from prompt_toolkit import PromptSession; PromptSession().prompt('ready> ')"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="runs of each side, taken in turn (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows: dict[str, Row] = {}
    compile_ours()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_HOME"] = str(Path(folder) / "home")
        work = Path(folder) / "work"
        work.mkdir()
        (work / "a.txt").write_text("x" * 1000 + "\n", encoding="utf-8")
        rows["help / python -c pass"] = pair(help_page, bare_python, options.rounds)
        with Model() as model:
            fresh, cached, none = (requester(model, work, kind) for kind in ("fresh", "cached", "none"))
            cached()  # fills the cache
            rows["first request, lists cached / no servers"] = pair(cached, none, options.rounds)
            rows["first request, nothing cached / no servers"] = pair(fresh, none, options.rounds)
        rows["first paint of chat / bare prompt"] = pair(
            lambda: painted([str(BIN / "understudy"), "chat", "--model", "ollama:m"], "you │", work),
            lambda: painted([sys.executable, "-c", BARE_PROMPT], "ready>", work),
            options.rounds,
        )
        rows["four servers listed / one plain SDK server"] = pair(
            lambda: anyio.run(four_listed, work), lambda: anyio.run(one_listed, work), options.rounds
        )
        reference = _reference(Path(folder))
        rows |= by_a_host(reference, work, options.rounds)
        rows["round trip / TypeScript reference"] = anyio.run(round_trips, reference, work, options.rounds)
    report(rows, as_json=options.json, at_most=AT_MOST)


def compile_ours() -> None:
    """Leave our byte code beside the code, as an installer does with it and did with every peer's."""
    for package in ("servers", "orchestrator"):
        compileall.compile_dir(Path(__file__).parents[1] / package, quiet=1)


def pair(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> dict[str, Any]:
    """Medians of both, run in turn so that a busy machine is busy for both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, work in zip(taken, (ours, theirs), strict=True):
            started = perf_counter()
            value = work()
            side.append(value if isinstance(value, float) else perf_counter() - started)
    return ratio(*map(statistics.median, taken))


def help_page() -> None:
    subprocess.run([BIN / "understudy", "--help"], check=True, capture_output=True)


def bare_python() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def painted(command: list[str], mark: str, work: Path) -> float:
    """Seconds from the start of a program in a terminal until `mark` is on its screen."""
    env = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "NO_COLOR": "1"}
    shown, started = b"", perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(work)
        os.execve(command[0], command, env)
    try:
        while mark.encode() not in shown:
            shown += os.read(terminal, 4096)
        return perf_counter() - started
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


class Model:
    """A loopback server that answers like Ollama and remembers when it was first asked."""

    def __enter__(self) -> Self:
        outer = self
        final = {"message": {"role": "assistant", "content": "ok"}, "done": True, "done_reason": "stop"}
        body = json.dumps(final | {"model": "m", "prompt_eval_count": 9000, "eval_count": 1}).encode() + b"\n"
        other = json.dumps(
            {"models": [], "capabilities": ["completion", "tools"], "model_info": {}, "version": "0.33.3"}
        )

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(other.encode())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path == "/api/chat":
                    outer.asked_at = outer.asked_at or perf_counter()
                    self.answer(body)
                else:
                    self.answer(other.encode())

            def answer(self, data: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "application/x-ndjson")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None: ...

        self.asked_at: float | None = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


def requester(model: Model, work: Path, kind: str) -> Callable[[], float]:
    """Seconds from the start of `understudy run` to its first model request."""
    env = {**os.environ, "OLLAMA_HOST": model.url, "OLLAMA_BASE_URL": model.url}
    empty = work.parent / "no-servers.json"
    empty.write_text('{"mcpServers": {}}', encoding="utf-8")
    extra = ["--mcp", str(empty)] if kind == "none" else []

    def run() -> float:
        if kind == "fresh":
            shutil.rmtree(Path(os.environ["UNDERSTUDY_HOME"]) / "tools", ignore_errors=True)
        model.asked_at = None
        started = perf_counter()
        command = [BIN / "understudy", "run", "--quiet", "--model", "ollama:m", *extra, "hello"]
        subprocess.run(command, check=True, cwd=work, env=env, capture_output=True)
        assert model.asked_at is not None
        return model.asked_at - started

    return run


async def four_listed(work: Path) -> float:
    """Our four servers from nothing to four tool lists."""
    shutil.rmtree(Path(os.environ["UNDERSTUDY_HOME"]) / "tools", ignore_errors=True)
    config = load_config(cwd=work)
    started = perf_counter()
    async with open_session(config) as session:
        await session.connected()
        taken = perf_counter() - started
        assert len((await session.toolbox()).specs) > 10
    return taken


async def one_listed(work: Path) -> float:
    started = perf_counter()
    async with Client(
        stdio_client(StdioServerParameters(command=sys.executable, args=["-c", PLAIN]))
    ) as client:
        await client.list_tools()
        return perf_counter() - started


def by_a_host(reference: Path | None, work: Path, rounds: int) -> dict[str, Row]:
    """Four servers started at once by the SDK's client, to four tool lists."""
    again, first = (f"four console scripts, {when} / four of TypeScript" for when in ("again", "first"))
    if reference is None:
        return {again: NOT_MEASURED, first: NOT_MEASURED}
    starts = Path(os.environ["UNDERSTUDY_HOME"]) / "starts"
    commands = [[str(BIN / f"understudy-{name}"), str(work)] for name in ("files", "shell", "git", "ollama")]

    def ours(*, fresh: bool) -> float:
        if fresh:
            shutil.rmtree(starts, ignore_errors=True)
        return anyio.run(all_listed, commands)

    def theirs() -> float:
        return anyio.run(all_listed, [["node", str(reference), str(work)]] * 4)

    ours(fresh=True)
    return {
        again: pair(lambda: ours(fresh=False), theirs, rounds),
        first: pair(lambda: ours(fresh=True), theirs, rounds),
    }


async def all_listed(commands: list[list[str]]) -> float:
    """Until the last has listed its tools; their ends are not counted."""
    started = perf_counter()
    taken: list[float] = []

    async def listed(command: list[str]) -> None:
        where = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
        async with Client(stdio_client(where)) as client:
            await client.list_tools()
            taken.append(perf_counter() - started)

    async with anyio.create_task_group() as group:
        for command in commands:
            group.start_soon(listed, command)
    return max(taken)


async def round_trips(reference: Path | None, work: Path, rounds: int) -> dict[str, Any] | str:
    """Seconds of one read of a 1 KB file, both servers warm, asked in turn."""
    if reference is None:
        return NOT_MEASURED
    ours = StdioServerParameters(
        command=str(BIN / "understudy-files"), args=[str(work)], env=dict(os.environ)
    )
    theirs = StdioServerParameters(command="node", args=[str(reference), str(work)])
    taken: tuple[list[float], list[float]] = ([], [])
    path = str(work / "a.txt")
    async with Client(stdio_client(ours)) as a, Client(stdio_client(theirs)) as b:
        for _ in range(rounds * 30):
            for side, client, tool in zip(taken, (a, b), ("read_file", "read_text_file"), strict=True):
                started = perf_counter()
                answer = await client.call_tool(tool, {"path": path})
                side.append(perf_counter() - started)
                assert not answer.is_error, answer
    return ratio(*(statistics.median(side[5:]) for side in taken))


def _reference(folder: Path) -> Path | None:
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    package = "@modelcontextprotocol/server-filesystem"
    done = subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, package],
        capture_output=True,
        check=False,
    )
    entry = folder / "node_modules" / package / "dist" / "index.js"
    return entry if done.returncode == 0 and entry.exists() else None


if __name__ == "__main__":
    main()
