"""Where answers are kept: in memory, in an SQLite file, or in Redis."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from time import time
from typing import Any, Protocol

from anyio import to_thread

from servers.state.sqlite import connect, transaction

from ...errors import ConfigError

_TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value BLOB NOT NULL, until REAL)"

Clock = Callable[[], float]


class Cache(Protocol):
    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, ttl_s: float | None) -> None:
        """Kept for ever when `ttl_s` is None."""
        ...


class MemoryCache:
    """The `most` answers used last, for the life of the process."""

    def __init__(self, most: int = 1000, *, clock: Clock = time) -> None:
        self.most = most
        self.clock = clock
        self._kept: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        value, until = self._kept.get(key, (None, None))
        if value is None or (until is not None and until <= self.clock()):
            self._kept.pop(key, None)
            return None
        self._kept.move_to_end(key)
        return value

    async def set(self, key: str, value: bytes, ttl_s: float | None) -> None:
        self._kept[key] = (value, None if ttl_s is None else self.clock() + ttl_s)
        self._kept.move_to_end(key)
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)


class SqliteCache:
    """A file that several processes may share; the `most` newest answers stay."""

    def __init__(self, path: str | Path, *, most: int = 10_000, clock: Clock = time) -> None:
        self.path = Path(path)
        self.most = most
        self.clock = clock

    async def get(self, key: str) -> bytes | None:
        return await to_thread.run_sync(self._get, key, abandon_on_cancel=True)

    async def set(self, key: str, value: bytes, ttl_s: float | None) -> None:
        await to_thread.run_sync(self._set, key, value, ttl_s, abandon_on_cancel=True)

    def _get(self, key: str) -> bytes | None:
        with self._open() as db:
            row = db.execute(
                "SELECT value FROM answers WHERE key = ? AND (until IS NULL OR until > ?)",
                (key, self.clock()),
            ).fetchone()
        return row[0] if row else None

    def _set(self, key: str, value: bytes, ttl_s: float | None) -> None:
        until = None if ttl_s is None else self.clock() + ttl_s
        with self._open() as db, transaction(db):
            db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, value, until))
            db.execute("DELETE FROM answers WHERE until <= ?", (self.clock(),))
            db.execute(
                "DELETE FROM answers WHERE rowid <= (SELECT max(rowid) FROM answers) - ?", (self.most,)
            )

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(connect(self.path, (_TABLE,), busy_s=1)) as db:
            yield db


class RedisCache:
    """A Redis server, as redis://host:port/0. Needs the `redis` package."""

    def __init__(self, url: str, *, prefix: str = "understudy:") -> None:
        try:
            from redis import asyncio as redis
        except ImportError as exc:
            raise ConfigError("a cache in Redis needs the package `redis`: pip install redis") from exc
        self.prefix = prefix
        self._client: Any = redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)

    async def get(self, key: str) -> bytes | None:
        return await self._client.get(self.prefix + key)

    async def set(self, key: str, value: bytes, ttl_s: float | None) -> None:
        await self._client.set(
            self.prefix + key, value, px=None if ttl_s is None else max(int(ttl_s * 1000), 1)
        )

    async def aclose(self) -> None:
        await self._client.aclose()
