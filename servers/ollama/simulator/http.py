"""A simulated Ollama on a loopback port: the native API over HTTP, for tests, benchmarks and demonstrations.

Durations come from a Machine; `scale` is how long a simulated second really takes, 0 answers at once. The
version it reports ends in "-simulated", and nothing it says comes from a model.
"""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import anyio.abc
from anyio.from_thread import start_blocking_portal

from .api import Order, Played, Refused, World, check, chunk, loaded_only, play
from .models import delete, ps, pull, show, tags

MAX_HEAD_BYTES = 64 << 10
MAX_BODY_BYTES = 64 << 20
_KEPT_REQUESTS = 100
_STEP_S = 0.05
"""With real waits, lines are sent this far apart at least."""
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Too Large",
    500: "Error",
    501: "Not Implemented",
    503: "Busy",
}


@asynccontextmanager
async def simulated(
    world: World | None = None, *, scale: float = 0.0, parallel: int = 1, port: int = 0
) -> AsyncGenerator[str]:
    """The base URL of a server that runs as long as the context is open."""
    server = _Server(world or World(), scale, parallel)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.connected)
        yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


@contextmanager
def simulated_in_thread(
    world: World | None = None, *, scale: float = 0.0, parallel: int = 1, port: int = 0
) -> Generator[str]:
    """`simulated` for callers without an event loop."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(simulated(world, scale=scale, parallel=parallel, port=port)) as url,
    ):
        yield url


class _Server:
    def __init__(self, world: World, scale: float, parallel: int) -> None:
        self.world, self.scale = world, scale
        self.slots = {name: anyio.Semaphore(parallel) for name in world.machine.models}
        self.running: dict[str, float] = {}
        """When, on the virtual clock, the run that holds a model's slot began."""
        self.here = Counter[str]()
        """Requests for each model that run or wait."""

    async def connected(self, stream: anyio.abc.SocketStream) -> None:
        wire = _Wire(stream)
        try:
            async with stream:
                while (request := await wire.request()) is not None:
                    await self.answer(wire, *request)
        except* (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
            pass  # the client has gone

    async def answer(self, wire: _Wire, method: str, path: str, body: bytes) -> None:
        try:
            await self._route(wire, method, path.partition("?")[0].rstrip("/") or "/", body)
        except Refused as exc:
            text = {"error": exc.error} if exc.status != 405 else exc.error
            await wire.send(exc.status, text)

    async def _route(self, wire: _Wire, method: str, path: str, body: bytes) -> None:
        match method, path:
            case (("GET" | "HEAD"), "/"):
                await wire.send(200, "Ollama is running" if method == "GET" else "")
            case (("GET" | "HEAD"), "/api/version"):
                await wire.send(200, {"version": self.world.version})
            case "GET", "/api/tags":
                await wire.send(200, tags(self.world))
            case "GET", "/api/ps":
                await wire.send(200, ps(self.world))
            case "POST", "/api/show":
                await wire.send(200, show(self.world, _json(body)))
            case "POST", ("/api/chat" | "/api/generate"):
                await self._run(wire, _json(body), generate=path == "/api/generate")
            case "POST", "/api/pull":
                await wire.begin_stream()
                await wire.lines(pull(self.world, _json(body)))
                await wire.end_stream()
            case "DELETE", "/api/delete":
                delete(self.world, _json(body))
                await wire.send(200, "")
            case "POST", "/api/embed":
                raise Refused(501, "This server does not support embeddings. Start it with `--embeddings`")
            case _, (
                "/" | "/api/version" | "/api/tags" | "/api/ps" | "/api/show" | "/api/chat" | "/api/generate"
            ):
                raise Refused(405, "405 method not allowed")
            case _:
                await wire.send(404, "404 page not found")

    async def _run(self, wire: _Wire, body: Mapping[str, Any], *, generate: bool) -> None:
        world = self.world
        world.requests = [*world.requests[1 - _KEPT_REQUESTS :], body]
        order = check(world, body, generate=generate)
        name = order.model.name
        arrived, arrived_real = self.running.get(name, world.machine.clock), time.monotonic()
        async with wire.watched() as gone, self._counted(name), self.slots[name]:
            if order.load_only:
                took, last = loaded_only(world, order)
                await anyio.sleep(took * self.scale)
                return await wire.send(200, last)
            waited = (
                (time.monotonic() - arrived_real) / self.scale
                if self.scale
                else world.machine.clock - arrived
            )
            self.running[name] = world.machine.clock
            played = play(world, order)
            final = {**played.final, "total_duration": played.final["total_duration"] + round(waited * 1e9)}
            try:
                await self._tell(wire, order, played, final)
            finally:
                self.running.pop(name, None)
        if gone.cancelled_caught:
            raise anyio.EndOfStream

    @asynccontextmanager
    async def _counted(self, name: str) -> AsyncGenerator[None]:
        self.here[name] += 1
        self.world.most_at_once = max(self.world.most_at_once, self.here[name])
        try:
            yield
        finally:
            self.here[name] -= 1

    async def _tell(self, wire: _Wire, order: Order, played: Played, final: Mapping[str, Any]) -> None:
        """The answer at its time, line by line unless asked otherwise; a planned fault ends it half way."""
        if order.body.get("stream") is False:
            await anyio.sleep(played.ran.total_s * self.scale)
            return await wire.send(200, _whole(order, played, final))
        ran, pieces = played.ran, list(played.pieces)
        if order.fault in ("abort", "error", "hang-up"):
            pieces = pieces[: len(pieces) // 2]
        await wire.begin_stream()
        await anyio.sleep((ran.total_s - ran.write_s) * self.scale)
        step = ran.write_s * self.scale / max(ran.tokens_out - 1, 1)
        group = max(math.ceil(_STEP_S / step), 1) if step else 200
        for start in range(0, len(pieces), group):
            batch = pieces[start : start + group]
            await wire.lines([chunk(order, piece) for piece in batch])
            await anyio.sleep(step * len(batch))
        if order.fault == "hang-up":
            raise anyio.EndOfStream
        if order.fault == "error":
            text = "an error was encountered while running the model: simulated failure"
            await wire.lines([{"error": text}])
        elif order.fault != "abort":
            await wire.lines([final])
        await wire.end_stream()


class _Wire:
    """HTTP/1.1 on one connection: enough for any client of the API."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self.stream = stream
        self.buffer = bytearray()

    async def request(self) -> tuple[str, str, bytes] | None:
        """(method, path, body) of the next request; None when the client closed between two."""
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > MAX_HEAD_BYTES or not await self._more():
                return None
        head = self.buffer[:end].decode("latin-1").split("\r\n")
        del self.buffer[: end + 4]
        words = head[0].split(" ")
        fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        if len(words) != 3:
            await self.send(400, "400 bad request")
            return None
        if fields.get("expect", "").lower() == "100-continue":
            await self.stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = (
            await self._chunked()
            if "chunked" in fields.get("transfer-encoding", "")
            else await self._sized(fields)
        )
        return words[0], words[1], body

    async def send(self, status: int, body: object) -> None:
        """A whole answer: JSON, or text for a string."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json; charset=utf-8"
        first = f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}"
        head = f"{first}\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
        await self.stream.send(head.encode() + data)

    async def begin_stream(self) -> None:
        await self.stream.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

    async def lines(self, items: Sequence[Mapping[str, Any]]) -> None:
        data = b"".join(json.dumps(item, separators=(",", ":")).encode() + b"\n" for item in items)
        await self.stream.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def end_stream(self) -> None:
        await self.stream.send(b"0\r\n\r\n")

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[anyio.CancelScope]:
        """Cancels what runs inside when the client closes the connection; that frees the slot."""
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:

                async def watch() -> None:
                    while await self._more():
                        if len(self.buffer) > MAX_BODY_BYTES:
                            break
                    scope.cancel()

                group.start_soon(watch)
                yield scope
            group.cancel_scope.cancel()

    async def _more(self) -> bool:
        try:
            self.buffer += await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        return True

    async def _sized(self, fields: Mapping[str, str]) -> bytes:
        text = fields.get("content-length", "0")
        size = int(text) if text.isdigit() else 0
        if size > MAX_BODY_BYTES:
            raise anyio.EndOfStream
        return await self._take(size)

    async def _chunked(self) -> bytes:
        body = bytearray()
        while True:
            while (end := self.buffer.find(b"\r\n")) < 0:
                if not await self._more():
                    raise anyio.EndOfStream
            size = int(bytes(self.buffer[:end]).split(b";")[0] or b"0", 16)
            del self.buffer[: end + 2]
            body += await self._take(size)
            await self._take(2)
            if size == 0:
                return bytes(body)

    async def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not await self._more():
                raise anyio.EndOfStream
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data


def _json(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        raise Refused(400, "missing request body")
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, f"invalid request: {exc}") from None
    if not isinstance(found, dict):
        raise Refused(400, "json: cannot unmarshal into Go value of type api.ChatRequest")
    return found


def _whole(order: Order, played: Played, final: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of `stream: false`: every piece in one object."""
    text = {key: "".join(p.get(key, "") for p in played.pieces) for key in ("content", "thinking")}
    done = {"done": False} if order.fault else {}
    if order.generate:
        return {
            **final,
            "response": text["content"],
            **({"thinking": text["thinking"]} if text["thinking"] else {}),
            **done,
        }
    message = {
        **final["message"],
        "content": text["content"],
        **({"thinking": text["thinking"]} if text["thinking"] else {}),
    }
    return {**final, "message": message, **done}
