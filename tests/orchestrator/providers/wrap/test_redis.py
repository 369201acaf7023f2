"""R99: a cache in Redis, against a real server: shared, as long as asked, and never in the way of an answer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from orchestrator.config.load import load_config
from orchestrator.events import Event
from orchestrator.providers import complete
from orchestrator.providers.scripted import Scripted
from orchestrator.providers.wrap.cached import Cached
from orchestrator.providers.wrap.caches import RedisCache
from orchestrator.session.session import open_session
from orchestrator.types import Request, user
from tests.redis_server import Redis, redis_server

pytest.importorskip("redis")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]

ASK = Request(model="scripted:m", messages=(user("Hi"),))


@pytest.fixture
def redis() -> Iterator[Redis]:
    with redis_server() as running:
        yield running


def client(server: Redis) -> Any:
    from redis import Redis as Client

    return Client.from_url(server.url)


async def test_answers_are_kept_in_redis_for_as_long_as_asked_and_shared(redis: Redis) -> None:
    told: list[Event] = []
    for script in (Scripted("kept"), Scripted("never")):  # as two processes
        store = RedisCache(redis.url)
        cached = Cached(script, store, ttl_s=60, emit=told.append)
        assert (await complete(cached, ASK)).message.text == "kept"
        await store.aclose()
    assert told == []
    with client(redis) as looking:
        (key,) = looking.keys()
        assert key.startswith(b"understudy:") and 0 < looking.pttl(key) <= 60_000
        looking.pexpire(key, 1)
        while looking.exists(key):
            await anyio.lowlevel.checkpoint()
    store = RedisCache(redis.url)
    assert (await complete(Cached(Scripted("anew"), store), ASK)).message.text == "anew"
    await store.aclose()


async def test_a_redis_that_goes_away_or_holds_something_else_breaks_no_call(redis: Redis) -> None:
    told: list[Event] = []
    store = RedisCache(redis.url)
    cached = Cached(Scripted("one", "two", "three", "four"), store, ttl_s=None, emit=told.append)
    assert (await complete(cached, ASK)).message.text == "one"
    with client(redis) as looking:
        (key,) = looking.keys()
        looking.set(key, b"\xff what another program wrote")
    assert (await complete(cached, ASK)).message.text == "two"
    redis.stop()
    assert (await complete(cached, ASK)).message.text == "three"
    redis.start()  # empty now
    assert [(await complete(cached, ASK)).message.text for _ in range(2)] == ["four", "four"]
    await store.aclose()
    assert told and all("the cache of scripted does not work" in str(event) for event in told)


async def test_one_cache_in_the_settings_serves_all_providers_without_their_own(
    redis: Redis, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        f"cache: {redis.url}\nproviders: {{b: {{kind: ollama, cache: memory}}}}\n", encoding="utf-8"
    )
    config = load_config(own, cwd=tmp_path, env={}).model_copy(update={"servers": {}})
    said: list[str] = []
    for _ in range(2):
        async with open_session(config) as session:
            for name in ("a", "b"):
                session.add_provider(name, Scripted("first" if not said else "second", name=name))
                said.append((await session.ask(session.agent(f"{name}:m"), "Hi")).text)
    assert said == [
        "first",
        "second",
        "first",
        "second",
    ]  # `a` from Redis, `b` by its own memory, which is gone
    (tmp_path / "config.yaml").write_text(own.read_text(encoding="utf-8"), encoding="utf-8")
    unasked = load_config(cwd=tmp_path, env={})
    assert unasked.cache is None and any("keep answers in" in note for note in unasked.notices)
