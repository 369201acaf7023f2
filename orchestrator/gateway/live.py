"""An answer on its way to a client that may leave at any moment: then the model's slot is free at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from time import monotonic

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ..errors import OrchestratorError, ProviderError
from ..types import Completion, Delta, Usage
from .failures import headers_of
from .wire import Asked, Wire

PATIENCE_S = 5.0
"""How long the status waits for the first word, to be the true one; from then on the client is kept awake."""
PING_S = 10.0

Item = Delta | Completion
Ended = Callable[[str, Usage], None]
"""Told once, with the status as the metrics count it."""


class Live:
    """The ASGI response: a JSON object, or a stream of the wire's pieces."""

    def __init__(
        self, wire: Wire, asked: Asked, items: AsyncGenerator[Item], ended: Ended, headers: Mapping[str, str]
    ) -> None:
        self.wire, self.asked, self.items, self.ended, self.headers = wire, asked, items, ended, headers
        self.usage = Usage()
        self.status = "cut"
        self.sent_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(left, receive, group.cancel_scope)
                into, out = anyio.create_memory_object_stream[Item | OrchestratorError](0)
                group.start_soon(self._produce, into)
                async with out:
                    await self._answer(scope, receive, send, out)
                group.cancel_scope.cancel()
        finally:
            self.ended(self.status, self.usage)

    async def _produce(self, into: ObjectSendStream[Item | OrchestratorError]) -> None:
        """One task begins and ends the model's stream, however the rest ends."""
        async with into, aclosing(self.items):
            try:
                async for item in self.items:
                    if isinstance(item, Completion):
                        self.usage = item.usage
                    await into.send(item)
            except OrchestratorError as exc:
                await into.send(exc)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, out: ObjectReceiveStream[Item | OrchestratorError]
    ) -> None:
        first: Item | OrchestratorError | None = None
        with anyio.move_on_after(PATIENCE_S if self.asked.stream else float("inf")):
            first = await out.receive()
        try:
            if self.asked.stream:
                if isinstance(first, OrchestratorError):
                    raise first
                await self._stream(send, _rest(first, out))
            else:
                done = await _last(_rest(first, out))
                whole = JSONResponse(self.wire.whole(self.asked, done), headers=dict(self.headers))
                await whole(scope, receive, send)
                self.status = "200"
        except OrchestratorError as exc:
            status, body = self.wire.refusal(exc)
            self.status = str(status)
            await JSONResponse(body, status, headers_of(exc))(scope, receive, send)

    async def _stream(self, send: Send, items: AsyncIterator[Item]) -> None:
        kept = {"content-type": self.wire.media_type, "cache-control": "no-cache", **self.headers}
        head = [(name.encode(), value.encode()) for name, value in kept.items()]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        async with anyio.create_task_group() as group:
            if self.wire.ping:
                group.start_soon(self._ping, send)
            try:
                async with aclosing(self.wire.stream(self.asked, items)) as pieces:
                    async for piece in pieces:
                        await self._piece(send, piece)
                self.status = "200"
            except OrchestratorError as exc:
                self.status = "broken"
                await self._piece(send, self.wire.broken(exc))
            group.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _piece(self, send: Send, piece: bytes) -> None:
        self.sent_at = monotonic()
        await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _ping(self, send: Send) -> None:
        while True:
            await anyio.sleep(PING_S)
            if monotonic() - self.sent_at >= PING_S:
                await self._piece(send, self.wire.ping)


class Relay:
    """The ASGI response that passes on what another server says, as it says it."""

    def __init__(self, status: int, headers: Mapping[str, str], chunks: AsyncGenerator[bytes]) -> None:
        self.status, self.headers, self.chunks = status, headers, chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        async with aclosing(self.chunks), anyio.create_task_group() as group:
            group.start_soon(left, receive, group.cancel_scope)
            await send({"type": "http.response.start", "status": self.status, "headers": head})
            async for chunk in self.chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            group.cancel_scope.cancel()


async def left(receive: Callable[[], Awaitable[Mapping[str, object]]], scope: anyio.CancelScope) -> None:
    """Cancel when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _rest(
    first: Item | OrchestratorError | None, out: ObjectReceiveStream[Item | OrchestratorError]
) -> AsyncGenerator[Item]:
    if isinstance(first, OrchestratorError):
        raise first
    if first is not None:
        yield first
    async for item in out:
        if isinstance(item, OrchestratorError):
            raise item
        yield item


async def _last(items: AsyncIterator[Item]) -> Completion:
    async for item in items:
        if isinstance(item, Completion):
            return item
    raise ProviderError("gateway", "the model's answer ended before it was whole")
