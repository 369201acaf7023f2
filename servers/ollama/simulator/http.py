"""A simulated Ollama on a loopback port: the native API over HTTP, for tests, benchmarks and demonstrations.

Durations come from a Machine; `scale` is how long a simulated second really takes, 0 answers at once. The
version it reports ends in "-simulated", and nothing it says comes from a model.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import anyio.lowlevel
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .api import Order, Played, Refused, World, check, chunk, loaded_only, play
from .models import delete, ps, pull, show, tags

MAX_BODY_BYTES = 64 << 20
_KEPT_REQUESTS = 100
_STEP_S = 0.05
"""With real waits, lines are sent this far apart at least."""
_KEPT_OPEN_S = 3600
"""A connection without a request: a client must not meet its end half way through the next one."""


@asynccontextmanager
async def simulated(
    world: World | None = None, *, scale: float = 0.0, parallel: int = 1, port: int = 0
) -> AsyncGenerator[str]:
    """The base URL of a server that runs as long as the context is open.

    uvicorn's protocol without uvicorn's server, which takes signals and a fifth of a second to end.
    """
    app = _Server(world or World(), scale, parallel).app()
    config = Config(
        app, log_config=None, log_level="critical", lifespan="off", timeout_keep_alive=_KEPT_OPEN_S
    )
    config.load()
    state = ServerState()
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
        server = await asyncio.get_running_loop().create_server(
            lambda: H11Protocol(config=config, server_state=state, app_state={}), sock=bound
        )
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.close()
            for connection in list(state.connections):
                connection.shutdown()
            for task in (running := list(state.tasks)):
                task.cancel()
            with anyio.CancelScope(shield=True):
                if running:
                    await asyncio.wait(running)
                await anyio.lowlevel.checkpoint()  # in which connections close


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

    def app(self) -> Starlette:
        world = self.world

        async def deleted(request: Request) -> Response:
            delete(world, await _json(request))
            return PlainTextResponse("")

        async def embed(request: Request) -> Response:
            raise Refused(501, "This server does not support embeddings. Start it with `--embeddings`")

        async def pulled(request: Request) -> Response:
            lines = pull(world, await _json(request))
            return Response(_lines(lines), media_type="application/x-ndjson")

        def told(tell: Callable[[World], object]) -> Callable[[Request], Response]:
            def answer(_: Request) -> Response:
                return JSONResponse(tell(world))

            return answer

        async def shown(request: Request) -> Response:
            return JSONResponse(show(world, await _json(request)))

        routes = [
            Route("/", PlainTextResponse("Ollama is running"), methods=["GET"]),
            Route("/api/version", told(lambda world: {"version": world.version})),
            Route("/api/tags", told(tags)),
            Route("/api/ps", told(ps)),
            Route("/api/show", shown, methods=["POST"]),
            Route("/api/chat", self.run, methods=["POST"]),
            Route("/api/generate", self.run, methods=["POST"]),
            Route("/api/pull", pulled, methods=["POST"]),
            Route("/api/delete", deleted, methods=["DELETE"]),
            Route("/api/embed", embed, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={Refused: _refusal, HTTPException: _odd})

    async def run(self, request: Request) -> Response:
        world, body = self.world, await _json(request)
        world.requests = [*world.requests[1 - _KEPT_REQUESTS :], body]
        order = check(world, body, generate=request.url.path == "/api/generate")
        return _Run(lambda wire: self._run(wire, order))

    async def _run(self, wire: _Wire, order: Order) -> None:
        world, name = self.world, order.model.name
        arrived, arrived_real = self.running.get(name, world.machine.clock), time.monotonic()
        async with self._counted(name), self.slots[name]:
            if order.load_only:
                took, last = loaded_only(world, order)
                await anyio.sleep(took * self.scale)
                return await wire.whole(last)
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
            return await wire.whole(_whole(order, played, final))
        ran, pieces = played.ran, list(played.pieces)
        if order.fault in ("abort", "error", "hang-up"):
            pieces = pieces[: len(pieces) // 2]
        await wire.begin()
        await anyio.sleep((ran.total_s - ran.write_s) * self.scale)
        step = ran.write_s * self.scale / max(ran.tokens_out - 1, 1)
        group = max(math.ceil(_STEP_S / step), 1) if step else 200
        for start in range(0, len(pieces), group):
            batch = pieces[start : start + group]
            await wire.lines([chunk(order, piece) for piece in batch])
            await anyio.sleep(step * len(batch))
        if order.fault == "hang-up":
            return  # an answer that is not ended breaks the connection
        if order.fault == "error":
            text = "an error was encountered while running the model: simulated failure"
            await wire.lines([{"error": text}])
        elif order.fault != "abort":
            await wire.lines([final])
        await wire.end()


class _Wire:
    """An answer on its way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send

    async def whole(self, body: Mapping[str, Any]) -> None:
        await JSONResponse(body)(self._scope, self._receive, self._send)

    async def begin(self) -> None:
        kind = (b"content-type", b"application/x-ndjson")
        await self._send({"type": "http.response.start", "status": 200, "headers": [kind]})

    async def lines(self, items: Sequence[Mapping[str, Any]]) -> None:
        await self._send({"type": "http.response.body", "body": _lines(items), "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


class _Run(Response):
    """A run that ends when the client closes the connection, which frees the slot."""

    def __init__(self, tell: Callable[[_Wire], Awaitable[None]]) -> None:
        super().__init__()
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await self._tell(_Wire(scope, receive, send))
            group.cancel_scope.cancel()


def _refusal(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refused)
    return JSONResponse({"error": exc.error}, status_code=exc.status)


def _odd(_: Request, exc: Exception) -> Response:
    """A path or a method that the API does not have."""
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    return PlainTextResponse({404: "404 page not found", 405: "405 method not allowed"}[status], status)


def _lines(items: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(item, separators=(",", ":")).encode() + b"\n" for item in items)


async def _json(request: Request) -> Mapping[str, Any]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise Refused(413, "http: request body too large")
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
