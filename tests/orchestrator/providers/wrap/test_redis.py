"""A cache in Redis, through the real client against a loopback server that speaks its protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from orchestrator.events import Event
from orchestrator.providers import complete
from orchestrator.providers.scripted import Scripted
from orchestrator.providers.wrap.cached import Cached
from orchestrator.providers.wrap.caches import RedisCache
from orchestrator.types import Request, user

pytest.importorskip("redis")
pytestmark = pytest.mark.anyio

ASK = Request(model="scripted:m", messages=(user("Hi"),))


@asynccontextmanager
async def redis_server(kept: dict[bytes, list[bytes]]) -> AsyncGenerator[int]:
    """GET and SET of the Redis protocol; every other command is unknown, as to an old server."""

    async def talk(stream: SocketStream) -> None:
        reader = BufferedByteReceiveStream(stream)

        async def line() -> bytes:
            return await reader.receive_until(b"\r\n", 65_536)

        try:
            while True:
                words: list[bytes] = []
                for _ in range(int((await line())[1:])):
                    words.append(await reader.receive_exactly(int((await line())[1:])))
                    await line()
                match words:
                    case [b"GET", key]:
                        value = kept.get(key, [b""])[0]
                        answer = b"$%d\r\n%b\r\n" % (len(value), value) if value else b"$-1\r\n"
                    case [b"SET", key, *rest]:
                        kept[key] = rest
                        answer = b"+OK\r\n"
                    case _:
                        answer = b"-ERR unknown command\r\n"
                await stream.send(answer)
        except (
            anyio.EndOfStream,
            anyio.IncompleteRead,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
        ):
            await stream.aclose()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, talk)
        yield listener.extra(SocketAttribute.local_port)
        group.cancel_scope.cancel()


async def test_answers_are_kept_in_redis_for_as_long_as_asked() -> None:
    kept: dict[bytes, list[bytes]] = {}
    with anyio.fail_after(60):
        async with redis_server(kept) as port:
            told: list[Event] = []
            store = RedisCache(f"redis://127.0.0.1:{port}/0?protocol=2")
            cached = Cached(Scripted("kept", "never"), store, ttl_s=60, emit=told.append)
            answers = [(await complete(cached, ASK)).message.text for _ in range(2)]
            await store.aclose()
    assert answers == ["kept", "kept"] and told == []
    ((key, rest),) = kept.items()
    assert key.startswith(b"understudy:") and rest[1:] == [b"PX", b"60000"]


async def test_a_redis_that_is_not_there_never_breaks_a_call() -> None:
    told: list[Event] = []
    store = RedisCache("redis://127.0.0.1:1/0")
    with anyio.fail_after(60):
        assert (await complete(Cached(Scripted("a"), store, emit=told.append), ASK)).message.text == "a"
        await store.aclose()
    assert len(told) == 1 and "the cache of scripted does not work" in str(told[0])
