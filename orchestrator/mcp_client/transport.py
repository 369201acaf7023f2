"""The pipes to a server: started by us or forked for us, its lines read one by one, ended with everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import anyio
import mcp_types as types
from anyio.abc import Process
from mcp.shared.message import SessionMessage

from servers.protocol.sdk_private import TransportStreams

if TYPE_CHECKING:
    import httpx2

END_S = 2.0  # after its stdin closes, and again after SIGTERM: how long a server may take to end
MAX_LINE_BYTES = 1 << 28
CONNECT_S, SILENCE_S = 30.0, 300.0  # of a server at an address; a stream of answers may be open for long


class Reads(Protocol):
    """What makes messages of the lines a server writes."""

    def sent(self, message: object) -> None: ...
    def read(self, line: bytes) -> list[SessionMessage | Exception]: ...


class Plain:
    """A line is a message, and taken at its word: for servers that are known."""

    def sent(self, message: object) -> None: ...

    def read(self, line: bytes) -> list[SessionMessage | Exception]:
        try:
            return [SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))]
        except ValueError as exc:
            return [exc]


@asynccontextmanager
async def spawned(
    command: str, args: Sequence[str], env: Mapping[str, str], cwd: str, errlog: TextIO, *, lines: Reads
) -> AsyncGenerator[TransportStreams]:
    """A server started as a process in a group of its own: stdin EOF, 2 s, TERM, 2 s, KILL at the end. POSIX only.

    Raises OSError when it cannot be started.
    """
    their_in, our_in = os.pipe()
    our_out, their_out = os.pipe()
    try:
        process = await anyio.open_process(
            [command, *args],
            stdin=their_in,
            stdout=their_out,
            stderr=errlog,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except BaseException:
        os.close(our_in)
        os.close(our_out)
        raise
    finally:
        os.close(their_in)
        os.close(their_out)
    try:
        async with pipe_transport(our_out, our_in, kill=lambda: _end(process), lines=lines) as streams:
            yield streams
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


@asynccontextmanager
async def reached(
    url: str, headers: Mapping[str, str], *, sse: bool, lines: Reads, auth: httpx2.Auth | None = None
) -> AsyncGenerator[TransportStreams]:
    """A server at an address: streamable HTTP, or the older two-way SSE."""
    import httpx2
    from mcp.client.sse import sse_client
    from mcp.client.streamable_http import streamable_http_client

    from ..providers.connection import reaching

    async with AsyncExitStack() as stack:
        if sse:
            transport: AbstractAsyncContextManager[TransportStreams] = sse_client(
                url, headers=dict(headers), auth=auth
            )
        else:
            wait = httpx2.Timeout(CONNECT_S, read=SILENCE_S)
            client = await stack.enter_async_context(
                httpx2.AsyncClient(headers=dict(headers), timeout=wait, auth=auth, **reaching(url))
            )
            transport = streamable_http_client(url, http_client=client)
        source, sink = await stack.enter_async_context(transport)
        yield await stack.enter_async_context(_read_with_care(source, sink, lines))


@asynccontextmanager
async def _read_with_care(source: Any, sink: Any, lines: Reads) -> AsyncGenerator[TransportStreams]:
    """The streams of an SDK transport, each message as `lines` reads it."""
    inbound, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outbound = anyio.create_memory_object_stream[SessionMessage](0)

    async def receive() -> None:
        async with inbound:
            async for item in source:
                if isinstance(item, Exception):
                    await inbound.send(item)
                    continue
                written = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                for message in lines.read(written.encode()):
                    await inbound.send(message)

    async def send() -> None:
        async with outbound:
            async for item in outbound:
                lines.sent(item.message)
                await sink.send(item)

    async def until_left(work: Callable[[], Awaitable[None]]) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await work()

    async with anyio.create_task_group() as group:
        group.start_soon(until_left, receive)
        group.start_soon(until_left, send)
        try:
            yield read, write
        finally:
            read.close()
            write.close()
            group.cancel_scope.cancel()


async def _end(process: Process) -> None:
    """The process and what it started, asked first; nothing when it has ended."""
    for wanted in (0, signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        if wanted:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, wanted)
        with anyio.move_on_after(END_S if wanted else END_S / 4):
            await process.wait()


async def _nothing() -> None: ...


@asynccontextmanager
async def pipe_transport(
    source: int,
    sink: int,
    *,
    kill: Callable[[], Awaitable[object]] = _nothing,
    lines: Reads | None = None,
) -> AsyncGenerator[TransportStreams]:
    """A server reached over two descriptors, which are closed at the end; `kill` is called if it does not end then.

    On the event loop itself, POSIX only: the SDK's client transport starts the process too, and a
    server forked from the warm process is already running.
    """
    loop, reads = asyncio.get_running_loop(), lines or Plain()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    incoming, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0)
    )
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(sink, "wb", 0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    inbound, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outbound = anyio.create_memory_object_stream[SessionMessage](0)
    ended = anyio.Event()

    async def receive() -> None:
        async with inbound:
            try:
                while line := await reader.readline():
                    for message in reads.read(line):
                        await inbound.send(message)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                while await reader.read(1 << 16):  # we are leaving: let the server finish writing
                    pass
            except (
                ValueError,
                OSError,
            ):  # a line over the limit: the connection ends, and says so as any does
                pass
            finally:
                ended.set()

    async def send() -> None:
        try:
            async with outbound:
                async for item in outbound:
                    reads.sent(item.message)
                    writer.write(
                        item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                    )
                    await writer.drain()
        except (ConnectionError, OSError):
            await inbound.aclose()  # the session must see the end, not wait for answers

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        group.start_soon(send)
        try:
            yield read, write
        finally:
            with anyio.CancelScope(shield=True):
                read.close()
                write.close()
                writer.close()
                with anyio.move_on_after(END_S):
                    await ended.wait()
                if not ended.is_set():
                    await kill()
                incoming.close()
            group.cancel_scope.cancel()
