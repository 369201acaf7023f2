"""A loopback HTTP server that answers exactly what a test tells it to, byte by byte: for faults no good server makes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc

TAGS = {
    "models": [{"name": "w:latest", "size": 10_000_000, "digest": "d1", "details": {"context_length": 8192}}]
}
SHOW = {
    "capabilities": ["completion"],
    "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
    "details": {"parameter_size": "3M", "quantization_level": "F16"},
}


@dataclass
class Wire:
    """`answers` maps "POST /api/chat" to what is sent: bytes as they are, or a value as JSON with status 200."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    """(method and path, JSON body) of every request."""
    hung_up: anyio.Event = field(default_factory=anyio.Event)
    """Set when a client closed the connection before its answer was complete."""
    url: str = ""

    def bodies(self, route: str) -> list[Any]:
        return [body for name, body in self.asked if name == route]


def ndjson(*objects: Mapping[str, Any], end: bytes = b"") -> bytes:
    return http(b"".join(json.dumps(o).encode() + b"\n" for o in objects) + end)


def http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body


def said(text: str, **final: Any) -> bytes:
    """A whole chat answer as Ollama sends it."""
    last = {
        "total_duration": 2_000_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": 500,
        "prompt_eval_cached_count": 0,
        "prompt_eval_duration": 500_000_000,
        "eval_count": 51,
        "eval_duration": 1_000_000_000,
        "done_reason": "stop",
        **final,
    }
    piece = {"message": {"role": "assistant", "content": text}, "done": False}
    return ndjson(piece, {"message": {"content": ""}, "done": True, **last})


Slow = Sequence[tuple[float, bytes]]
"""Pieces with the seconds to wait before each."""
Asked = Callable[[Any], Awaitable[bytes]]


@asynccontextmanager
async def wire(**answers: Any) -> AsyncGenerator[Wire]:
    """A server on a free port. Keywords: chat, tags, show, ps, version; a list gives one answer after the other."""
    paths = {"chat": "POST /api/chat", "show": "POST /api/show"}
    found = {"tags": TAGS, "show": SHOW, "ps": {"models": []}, "version": {"version": "0.34.1"}, **answers}
    made = Wire({paths.get(k, f"GET /api/{k}"): v for k, v in found.items()})
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    made.url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, lambda stream: _answer(made, stream))
        yield made
        group.cancel_scope.cancel()


async def _answer(made: Wire, stream: anyio.abc.SocketStream) -> None:
    async with stream:
        try:
            route, body = await _request(stream)
            made.asked.append((route, body))
            answer = made.answers.get(route, http(b'{"error":"not found"}', 404))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            await _send(stream, answer, body)
        except* (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
            made.hung_up.set()


async def _send(stream: anyio.abc.SocketStream, answer: Any, body: Any) -> None:
    if callable(answer):
        answer = await answer(body)
    if isinstance(answer, bytes):
        await stream.send(answer)
    elif isinstance(answer, tuple):
        async with anyio.create_task_group() as group:
            group.start_soon(_until_closed, stream)
            for wait_s, piece in answer:
                await anyio.sleep(wait_s)
                await stream.send(piece)
            group.cancel_scope.cancel()
    else:
        await stream.send(http(json.dumps(answer).encode()))


async def _until_closed(stream: anyio.abc.SocketStream) -> None:
    await stream.receive()  # raises EndOfStream when the client hangs up
    raise anyio.EndOfStream


async def _request(stream: anyio.abc.SocketStream) -> tuple[str, Any]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += await stream.receive()
    method, path = head.split(b" ")[:2]
    return f"{method.decode()} {path.decode()}", json.loads(body) if body else None
