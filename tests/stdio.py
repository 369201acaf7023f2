"""Our servers as real processes over real stdio, for tests.

They are forked from one warm process, as the orchestrator starts them: 30 to 80 ms instead of a second each.
`start` speaks plain JSON-RPC lines, as any foreign client would; `connect` gives the SDK's own client.
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import anyio
from mcp import Client

from orchestrator.mcp_client.transport import pipe_transport
from tests.preforked import TEMPLATE

WAIT_S = 120.0


def op_of(text: str) -> str:
    """The operation an answer names, for undo."""
    return text.split("op=")[1].split(maxsplit=1)[0]


@dataclass(frozen=True)
class Result:
    text: str
    structured: Any
    is_error: bool
    raw: dict[str, Any]


class Stdio:
    """One server process. `revision` is the protocol revision the handshake asks for."""

    def __init__(self, pid: int, stdin: int, stdout: int, stderr: int, revision: str = "2025-06-18") -> None:
        self.pid, self.stdin, self.stdout, self.stderr = pid, stdin, stdout, stderr
        self.buffer, self.number = b"", 0
        self.notices: list[dict[str, Any]] = []  # notifications and server requests that came in between
        hello = {
            "protocolVersion": revision,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        }
        self.hello = self.request("initialize", hello)["result"]
        self.notify("notifications/initialized", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def call(self, tool: str, /, **arguments: Any) -> Result:
        return as_result(self.request("tools/call", {"name": tool, "arguments": arguments}))

    def tools(self) -> list[dict[str, Any]]:
        return self.request("tools/list", {})["result"]["tools"]

    def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send and wait for the answer."""
        number = self.send(method, params)
        return self.answer(number)

    def send(self, method: str, params: Mapping[str, Any]) -> int:
        """Send a request and return its id without waiting."""
        self.number += 1
        self.write({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        return self.number

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        self.write({"jsonrpc": "2.0", "method": method, "params": params})

    def write(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        with suppress(BrokenPipeError):  # it has ended, which whoever waits for its answer is told
            while data:
                data = data[os.write(self.stdin, data) :]

    def answer(self, number: int) -> dict[str, Any]:
        for seen in self.notices:
            if seen.get("id") == number and "method" not in seen:
                self.notices.remove(seen)
                return seen
        while True:
            message = self.read()
            if message.get("id") == number and "method" not in message:
                return message
            self.notices.append(message)

    def read(self) -> dict[str, Any]:
        """The next line of stdout, which must be JSON."""
        while b"\n" not in self.buffer:
            if not select.select([self.stdout], [], [], WAIT_S)[0]:
                raise TimeoutError(f"no answer within {WAIT_S} s")
            data = os.read(self.stdout, 1 << 20)
            if not data:
                raise EOFError(f"the server closed stdout; it said: {self.said()}")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def said(self) -> str:
        """What the server wrote to stderr so far."""
        os.lseek(self.stderr, 0, os.SEEK_SET)
        return os.read(self.stderr, 1 << 20).decode("utf-8", "replace")

    def close(self) -> None:
        """Close stdin and wait until the server has ended: its stdout closes."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1
            while select.select([self.stdout], [], [], WAIT_S)[0] and os.read(self.stdout, 1 << 20):
                pass
            os.close(self.stdout)
            os.close(self.stderr)


def as_result(answer: Mapping[str, Any]) -> Result:
    if "error" in answer:
        return Result(answer["error"]["message"], None, True, dict(answer))
    body = answer["result"]
    text = "\n".join(part["text"] for part in body["content"] if part["type"] == "text")
    return Result(text, body.get("structuredContent"), bool(body.get("isError")), dict(answer))


def start(
    server: str,
    /,
    *args: str,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    revision: str = "2025-06-18",
) -> Stdio:
    """A running server, handshake done. Use it in a `with`."""
    return Stdio(*_spawn(server, args, cwd, env), revision=revision)


@asynccontextmanager
async def connect(
    server: str, /, *args: str, cwd: str | None = None, env: Mapping[str, str] | None = None, **client: Any
) -> AsyncIterator[Client]:
    """The SDK's client on a running server; keywords such as mode and elicitation_callback go to it."""
    _pid, stdin, stdout, stderr = await anyio.to_thread.run_sync(_spawn, server, args, cwd, env)
    os.close(stderr)
    async with Client(pipe_transport(stdout, stdin), **client) as connected:
        yield connected


def _spawn(
    server: str, args: tuple[str, ...], cwd: str | None, env: Mapping[str, str] | None
) -> tuple[int, int, int, int]:
    their_in, our_in = os.pipe()
    our_out, their_out = os.pipe()
    stderr = os.memfd_create("stderr") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
    order = {
        "server": server,
        "args": list(args),
        "cwd": cwd or os.getcwd(),
        "env": {**os.environ, **(env or {})},
    }
    try:
        answer = TEMPLATE.ask(order, [their_in, their_out, stderr], WAIT_S)
    except BaseException:
        for fd in (our_in, our_out, stderr):
            os.close(fd)
        raise
    finally:
        os.close(their_in)
        os.close(their_out)
    return answer["pid"], our_in, our_out, stderr
