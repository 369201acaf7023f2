"""What one agent remembers: sentences found again by their words and, where there are embeddings, by their meaning."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from ..errors import ConfigError, OrchestratorError
from ..events import Emit, Notice, ignore
from ..sanitize import one_line
from ..store.database import Database
from .vectors import add_distance, packed

Embed = Callable[[Sequence[str]], Awaitable[list[list[float]]]]
"""One vector for each text. Raises OrchestratorError."""

MIN_IMPORTANCE = 0.7  # what matters less is not kept
MAX_CHARS = 20_000  # of one memory
_RANK_DAMPING = 60  # of reciprocal rank fusion: how little the first places count more than the next
_CANDIDATES = 50  # of each way of looking, before both are fused
_AT_ONCE = 64  # texts embedded in one call
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One memory. `score` tells order alone: higher fits the query better; 0 where nothing was asked."""

    id: str
    agent: str
    at: float  # seconds since 1970
    text: str
    importance: float
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    score: float = 0.0


class Memory:
    """The memories of `agent`, or, to look through them, of all agents when None.

    `embed` None: found by their words alone. When it fails, that is said once and words alone are used; what has no
    vector yet gets one when it works again. `model` names whose vectors they are: only those of one are compared.
    """

    def __init__(
        self,
        agent: str | None = "lead",
        *,
        database: Database | None = None,
        embed: Embed | None = None,
        model: str = "",
        min_importance: float = MIN_IMPORTANCE,
        emit: Emit = ignore,
    ) -> None:
        self.agent, self.min_importance = agent, min_importance
        self._database = database or Database()
        self._database.prepare(add_distance)
        self._embed, self._model, self._emit = embed, model, emit

    def close(self) -> None:
        self._database.close()

    async def store(
        self, text: str, *, importance: float = 1.0, metadata: Mapping[str, Any] | None = None
    ) -> str | None:
        """The memory's id, the same for the same text; None when it matters too little to be kept.

        What is there already gets the new importance and metadata. Raises ConfigError for what cannot be kept.
        """
        if self.agent is None:
            raise ConfigError("say which agent is to remember this")
        text = text.strip()
        if not 0 < len(text) <= MAX_CHARS:
            raise ConfigError(f"a memory has 1 to {MAX_CHARS:,} characters, found {len(text):,}")
        if not 0 <= importance <= 1:
            raise ConfigError(f"importance is between 0 and 1, found {importance:g}")
        if importance < self.min_importance:
            return None
        try:
            told = json.dumps(dict(metadata or {}), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"metadata of a memory is JSON: {exc}") from exc
        key = id_of(self.agent, text)
        row = (key, self.agent, time.time(), text.encode("utf-8", "replace").decode(), importance, told)
        await anyio.to_thread.run_sync(self._keep, row)
        await self._embedded()
        return key

    async def retrieve(
        self, query: str, k: int = 5, filter: Mapping[str, Any] | None = None
    ) -> list[Remembered]:
        """The `k` memories that fit best, of those whose metadata has all of `filter`.

        By words and by meaning, fused by rank; of equals the more important, then the newer, comes first.
        """
        if k < 1:
            raise ConfigError(f"k: wanted 1 or more, found {k}")
        vector = await self._vector(query)
        return await anyio.to_thread.run_sync(self._fused, query, vector, k, filter or {})

    def all(self, limit: int = 1000, filter: Mapping[str, Any] | None = None) -> list[Remembered]:
        """The newest first."""
        where, values = self._where(filter or {})
        rows = self._database.read(
            f"{_SELECT} WHERE {where} ORDER BY at DESC, number DESC LIMIT ?", *values, limit
        )
        return [_remembered(row) for row in rows]

    def find(self, which: str) -> Remembered:
        """By id, or a beginning that fits one alone. Raises ConfigError."""
        where, values = self._where({})
        fitting: list[Row] = []
        if re.fullmatch(r"[0-9a-f]{1,16}", which):
            fitting = self._database.read(
                f"{_SELECT} WHERE {where} AND id GLOB ? LIMIT 2", *values, f"{which}*"
            )
        if len(fitting) == 1:
            return _remembered(fitting[0])
        what = "more than one memory begins" if fitting else "no memory begins"
        raise ConfigError(f"{what} with {one_line(which)[:40]!r}; 'understudy memory' lists them")

    def delete(self, id: str) -> bool:
        """Forget it; False when there was none of this id."""
        where, values = self._where({})
        with self._database.writing() as database:
            return (
                database.execute(f"DELETE FROM memories WHERE {where} AND id = ?", (*values, id)).rowcount > 0
            )

    def clear(self) -> int:
        """Forget everything of this agent; how much it was."""
        where, values = self._where({})
        with self._database.writing() as database:
            return database.execute(f"DELETE FROM memories WHERE {where}", values).rowcount

    def _keep(self, row: Row) -> None:
        with self._database.writing() as database:
            database.execute(
                "INSERT INTO memories (id, agent, at, text, importance, metadata) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET at = excluded.at, importance = excluded.importance,"
                " metadata = excluded.metadata",
                row,
            )

    def _fused(
        self, query: str, vector: Sequence[float] | None, k: int, filter: Mapping[str, Any]
    ) -> list[Remembered]:
        where, values = self._where(filter)
        lists: list[list[Row]] = []
        if words := list(dict.fromkeys(re.findall(r"\w+", query.casefold())))[:64]:
            lists.append(
                self._database.read(
                    f"{_SELECT} JOIN (SELECT rowid, rank FROM remembered WHERE remembered MATCH ?) AS hits"
                    f" ON hits.rowid = number WHERE {where} ORDER BY hits.rank, importance DESC, at DESC LIMIT {_CANDIDATES}",
                    " OR ".join(f'"{word}"' for word in words),
                    *values,
                )
            )
        if vector is not None:
            lists.append(
                self._database.read(
                    f"{_SELECT} JOIN vectors ON vectors.memory = number AND vectors.model = ? AND size = ?"
                    f" WHERE {where} ORDER BY vec_distance_cosine(vector, ?), importance DESC, at DESC LIMIT {_CANDIDATES}",
                    self._model,
                    len(vector),
                    *values,
                    packed(vector),
                )
            )
        return _fuse(lists)[:k]

    async def _vector(self, query: str) -> list[float] | None:
        """Of the query; None where there are no embeddings. What has no vector yet gets one first."""
        if not query.strip() or not await self._embedded() or self._embed is None:
            return None
        try:
            return (await self._embed([query]))[0]
        except OrchestratorError as exc:
            return self._without(exc)

    async def _embedded(self) -> bool:
        """Give the memories without a vector theirs; False when it cannot be done."""
        if self._embed is None:
            return False
        where, values = self._where({})
        lacking = (
            f"SELECT number, text FROM memories WHERE {where} AND NOT EXISTS (SELECT 1 FROM vectors"
            f" WHERE memory = number AND model = ?) ORDER BY number DESC LIMIT {_AT_ONCE}"
        )
        try:
            while rows := await anyio.to_thread.run_sync(self._database.read, lacking, *values, self._model):
                vectors = await self._embed([str(text) for _, text in rows])
                await anyio.to_thread.run_sync(self._add, [int(number) for number, _ in rows], vectors)
        except OrchestratorError as exc:
            self._without(exc)
            return False
        return True

    def _add(self, numbers: Sequence[int], vectors: Sequence[Sequence[float]]) -> None:
        with self._database.writing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO vectors (memory, model, size, vector)"
                " SELECT number, ?, ?, ? FROM memories WHERE number = ?",  # it may have been deleted meanwhile
                [(self._model, len(v), packed(v), n) for n, v in zip(numbers, vectors, strict=True)],
            )

    def _without(self, exc: OrchestratorError) -> None:
        self._emit(Notice(text=f"memories are found by their words alone: {exc}", level="warning"))
        self._embed = None

    def _where(self, filter: Mapping[str, Any]) -> tuple[str, list[Any]]:
        where, values = ["1"], list[Any]()
        if self.agent is not None:
            where.append("agent = ?")
            values.append(self.agent)
        for key, value in filter.items():
            if not isinstance(value, str | int | float | None):
                raise ConfigError(
                    f"a filter compares with a text, a number or a truth value, found {key}={value!r}"
                )
            where.append("EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND value IS ?)")
            values += [key, value]
        return " AND ".join(where), values


def id_of(agent: str, text: str) -> str:
    """The id of this text among the agent's memories, on every machine."""
    said = f"{agent}\0{text.strip()}".encode("utf-8", "replace")
    return hashlib.sha256(said).hexdigest()[:16]


_SELECT = "SELECT id, agent, at, text, importance, metadata FROM memories"


def _fuse(lists: Iterable[Sequence[Row]]) -> list[Remembered]:
    """By reciprocal rank: what stands high in both lists comes first."""
    scores: dict[Row, float] = {}
    for rows in lists:
        for place, row in enumerate(rows, 1):
            scores[row] = scores.get(row, 0.0) + 1 / (_RANK_DAMPING + place)
    found = [_remembered(row, score) for row, score in scores.items()]
    return sorted(found, key=lambda one: (one.score, one.importance, one.at), reverse=True)


def _remembered(row: Row, score: float = 0.0) -> Remembered:
    key, agent, at, text, importance, metadata = row
    return Remembered(
        id=key,
        agent=agent,
        at=at,
        text=text,
        importance=importance,
        metadata=json.loads(metadata),
        score=score,
    )
