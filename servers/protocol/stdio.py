"""stdin and stdout as streams of JSON-RPC messages, on the event loop itself. POSIX.

The SDK's transport costs three thread hops a message; this one costs none. stdout is kept on a private
descriptor, so that nothing but messages ever reaches it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from . import front
from .front import AT_START, Beginning

MAX_MESSAGE_BYTES = 16 << 20
_ENDS_BYTES = 64 << 10
MAX_DEPTH = 150  # the parser gives up somewhat beyond

log = logging.getLogger(__name__)


class Stream:
    """What both directions share: the SDK enters them, and closes them itself."""

    async def aclose(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.aclose()


class Inbound(Stream):
    """Messages from stdin. At its end, answers under way get `answer_s` seconds; `at_end` is called before that."""

    def __init__(
        self, reader: asyncio.StreamReader, out: Outbound, answer_s: float, at_end: Callable[[], None]
    ) -> None:
        self.reader, self.out, self.answer_s, self.at_end = reader, out, answer_s, at_end

    async def receive(self) -> SessionMessage | Exception:
        while True:
            line, dropped = await self._line()
            if dropped:
                log.error("dropped a message of more than %d bytes", MAX_MESSAGE_BYTES)
                self.out.write(_error(_id_at_either_end(line, dropped), -32600, _TOO_LONG))
                continue
            if not line:
                self.at_end()
                await self.out.answered(self.answer_s)
                raise anyio.EndOfStream
            if not line.strip():
                continue
            try:
                message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                self.out.write(_rejection(line))
                continue
            if isinstance(message, types.JSONRPCRequest):
                self.out.asked(message)
            return SessionMessage(message)

    async def _line(self) -> tuple[bytes, bytes]:
        """(a line, nothing); of one longer than the limit its beginning and its end. Empty when there is no more."""
        begin = end = b""
        while True:
            try:
                rest = await self.reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as exc:
                piece = await self.reader.readexactly(exc.consumed)
                begin, end = begin or piece[:_ENDS_BYTES], (end + piece)[-_ENDS_BYTES:]
                continue
            except asyncio.IncompleteReadError as exc:
                rest = exc.partial
            return (begin, (end + rest)[-_ENDS_BYTES:]) if begin else (rest, b"")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class Outbound(Stream):
    """Messages to stdout. `waiting` holds the ids of requests without an answer."""

    def __init__(self, writer: asyncio.StreamWriter, gone: Callable[[], None], begun: Beginning) -> None:
        self.writer, self.gone, self.begun = writer, gone, begun
        self.waiting: set[types.RequestId] = set()
        self._first: dict[
            types.RequestId, tuple[str, str]
        ] = {}  # method and key of questions of the beginning
        self._answer = asyncio.Event()

    def asked(self, request: types.JSONRPCRequest) -> None:
        self.waiting.add(request.id)
        if request.method in AT_START and (key := self.begun.key(request.method, request.params or {})):
            self._first[request.id] = request.method, key

    async def send(self, item: SessionMessage, /) -> None:
        if not self._said_before(item.message):
            self.write(_line(item.message))
        if (
            isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError)
            and item.message.id is not None
        ):
            self.waiting.discard(item.message.id)
            self._answer.set()
        try:
            await self.writer.drain()
        except ConnectionError:  # nobody reads any more
            self.gone()

    def _said_before(self, message: types.JSONRPCMessage) -> bool:
        """Whether the host has this answer from the last time. What it is now is kept for the next."""
        if not isinstance(message, types.JSONRPCResponse):
            return isinstance(message, types.JSONRPCError) and message.id in self.begun.said
        if (first := self._first.pop(message.id, None)) is not None:
            method, key = first
            answer = json.loads(message.model_dump_json(by_alias=True, exclude_unset=True))["result"]
            self.begun.agreed(method, answer)
            if self.begun.memory is not None:
                self.begun.memory.learn(key, answer)
        known = message.id in self.begun.said
        self.begun.said.discard(message.id)
        return known

    def write(self, line: bytes) -> None:
        self.writer.write(line)

    async def answered(self, within_s: float) -> None:
        """Wait until no request waits for its answer, at most `within_s`, and what was written is out or unwanted."""
        with suppress(ConnectionError), anyio.move_on_after(within_s):  # a host that died reads no more
            while self.waiting:
                self._answer.clear()
                await self._answer.wait()
            self.writer.transport.set_write_buffer_limits(0)
            await self.writer.drain()


async def open_wire(
    answer_s: float, at_end: Callable[[], None], gone: Callable[[], None]
) -> tuple[Inbound, Outbound]:
    """Take stdin and stdout for messages. From then on a stray print lands on stderr, and a child reads nothing."""
    loop = asyncio.get_running_loop()
    source, sink = _claim()
    begun = front.beginning
    reader = asyncio.StreamReader(limit=MAX_MESSAGE_BYTES)
    reader.feed_data(begun.read)
    source = _waitable(source)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0))
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(sink, "wb", 0)
    )
    outbound = Outbound(asyncio.StreamWriter(transport, protocol, None, loop), gone, begun)
    return Inbound(reader, outbound, answer_s, at_end), outbound


def _claim() -> tuple[int, int]:
    import fcntl  # not on Windows, where this module is imported but not used

    source = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    sink = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return source, sink


def _waitable(source: int) -> int:
    """`source`, or a pipe that a thread fills from it: the event loop cannot wait for files, nor for /dev/null."""
    found = os.fstat(source)
    if not stat.S_ISREG(found.st_mode) and not os.path.samestat(found, os.stat(os.devnull)):
        return source
    end, into = os.pipe()

    def copy() -> None:
        with suppress(BrokenPipeError), os.fdopen(source, "rb", 0) as given, os.fdopen(into, "wb", 0) as pipe:
            shutil.copyfileobj(given, pipe)

    threading.Thread(target=copy, daemon=True).start()
    return end


def _line(message: types.JSONRPCMessage) -> bytes:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
    except ValueError:  # half a character, which no JSON can carry; the client still waits for an answer
        if not isinstance(message, types.JSONRPCResponse):
            raise
        log.exception("an answer could not be written")
        return _error(message.id, -32603, "the answer holds text that is no Unicode; the log has the details")


def _rejection(line: bytes) -> bytes:
    """What is wrong with a line that is no message, under its own id where it has one."""
    try:
        found = json.loads(line)
    except ValueError:
        return _error(None, -32700, "this line is not a JSON-RPC message")
    except RecursionError:
        return _error(_id_in(line), -32600, _TOO_DEEP)
    number = found.get("id") if isinstance(found, dict) else None
    if isinstance(number, bool) or not isinstance(number, int | str):
        number = None
    if _depth(found) > MAX_DEPTH:
        return _error(number, -32600, _TOO_DEEP)
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        why = "a string holds half of a surrogate pair; send whole characters"
    else:
        why = "this is no JSON-RPC request, notification or answer"
    return _error(number, -32600, why)


def _depth(found: object) -> int:
    """How deep lists and objects are nested, counted no further than one more than is allowed."""
    level, depth = [found], 0
    while depth <= MAX_DEPTH:
        level = [
            inner
            for one in level
            if isinstance(one, list | dict)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            break
        depth += 1
    return depth


def _id_in(line: bytes) -> types.RequestId | None:
    """The id of a request too deep to parse: that of its outermost object, wherever in it it stands."""
    depth = 0
    for token in _TOKEN.finditer(line):
        if token["id"] is not None and depth == 1:
            found = json.loads(token["id"])
            return found if isinstance(found, int | str) else None
        first = token[0][:1]
        depth += (first in (b"[", b"{")) - (first in (b"]", b"}"))
    return None


def _id_at_either_end(begin: bytes, end: bytes) -> types.RequestId | None:
    """The id of a request of which only both ends are known: clients write it before or after the parameters."""
    if (id := _id_in(begin)) is not None:
        return id
    last = _LAST_ID.search(end)
    found = json.loads(last["id"]) if last else None
    return found if isinstance(found, int | str) else None


def _error(number: types.RequestId | None, code: int, why: str) -> bytes:
    said = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": why}}
    return json.dumps(said).encode() + b"\n"


_TOKEN = re.compile(
    rb'"id"\s*:\s*(?P<id>-?\d{1,18}(?![\d.eE])|"(?:[^"\\\\]|\\\\.){0,200}")|"(?:[^"\\\\]|\\\\.)*+"|[\[\]{}]'
)
_TOO_DEEP = f"the message is nested too deep; at most {MAX_DEPTH} lists and objects may stand in one another"
_LAST_ID = re.compile(
    rb'"id"\s*:\s*(?P<id>-?\d{1,18}|"(?:[^"\\\\]|\\\\.){0,200}")\s*(?:,\s*"(?:jsonrpc|method)"\s*:\s*"[^"]{0,200}"\s*)*\}\s*$'
)
_TOO_LONG = "a message may have at most 16 MiB; send less at once, or name a file by its path"
