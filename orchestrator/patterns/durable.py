"""A run that survives its process: each reply is kept under its place, and given again instead of asked for again.

Control flow stays plain Python; what is run again from its beginning comes to the place where it was broken off
without a question asked twice. A journal has one method, so anything that can keep a value can be one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from pydantic import TypeAdapter

from ..agent import Agent
from ..errors import Paused
from ..reply import Reply
from ..types import Message
from .ask import Ask

Work = Callable[[], Awaitable[Any]]


class Journal(Protocol):
    async def once(self, key: str, work: Work) -> Any:
        """What is kept under `key`; where there is nothing, what `work` returns, a JSON value, which is kept first.

        What raises is not kept. When two do it at once, both get the value that was kept first.
        """
        ...


class Remembered:
    """A journal in memory, or, with `tell`, one that tells each new value to whoever keeps it."""

    def __init__(
        self, kept: Mapping[str, Any] | None = None, tell: Callable[[str, Any], None] | None = None
    ) -> None:
        self.kept, self._tell = dict(kept or {}), tell

    async def once(self, key: str, work: Work) -> Any:
        if key not in self.kept:
            value = await work()
            if key not in self.kept:
                if self._tell is not None:
                    self._tell(key, value)
                self.kept[key] = value
        return self.kept[key]


class Behind:
    """A journal whose values are kept in another one first: `near` is read first, and has all that `far` has."""

    def __init__(self, near: Journal, far: Journal) -> None:
        self._near, self._far = near, far

    async def once(self, key: str, work: Work) -> Any:
        return await self._near.once(key, lambda: self._far.once(key, work))


def durable(ask: Ask, journal: Journal, key: str) -> Ask:
    """`ask` whose replies are kept under `key` and their place in the run.

    The place is what is asked of whom, and the how-manieth time: the same whatever order answers come in, and another
    as soon as the question is another. A reply that was not finished is asked for again, so what its tools had changed
    by then may be changed twice.
    """
    asked: dict[str, int] = {}

    async def kept(agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
        place = _place(agent, prompt, history)
        asked[place] = nth = asked.get(place, 0) + 1

        async def work() -> Any:
            return _replies().dump_python(await ask(agent, prompt, history=history), mode="json")

        return _replies().validate_python(await journal.once(f"{key}/{place}/{nth}", work))

    return kept


def pausing(journal: Journal, key: str, *, person: Callable[[str], Awaitable[str]] | None = None) -> Approve:
    """How a run waits for a person: the decision kept in the journal, else `person`'s, else Paused is raised.

    `decide` keeps a decision from any process, at any time; the run goes on from there when it is resumed.
    """

    async def approve(question: str) -> str:
        place = f"{key}/decision/{hashlib.sha256(question.encode('utf-8', 'replace')).hexdigest()[:16]}"

        async def work() -> str:
            if person is None:
                raise Paused(question, key=place)
            return await person(question)

        return str(await journal.once(place, work))

    return approve


Approve = Callable[[str], Awaitable[str]]
"""Puts a question to a person: "yes", or what must be otherwise."""


async def decide(journal: Journal, key: str, answer: str) -> str:
    """Keep a person's answer at the place a Paused names; the answer that was kept before, if there was one."""

    async def work() -> str:
        return answer

    return str(await journal.once(key, work))


def approved(answer: str) -> bool:
    return answer.strip().casefold() in ("yes", "y", "approve", "approved", "ok")


def _place(agent: Agent, prompt: str, history: Sequence[Message]) -> str:
    past = _messages().dump_python(tuple(history), mode="json")
    asked = [agent.name, agent.model, agent.role, agent.system, prompt, past]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]


@cache
def _replies() -> TypeAdapter[Reply]:
    return TypeAdapter(Reply)


@cache
def _messages() -> TypeAdapter[tuple[Message, ...]]:
    return TypeAdapter(tuple[Message, ...])
