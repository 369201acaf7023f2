"""One queue for each model of an engine: work takes its turn, and the wait is measured."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio


@dataclass(slots=True)
class Turn:
    """What taking a slot was like."""

    waited_s: float
    overlapped: bool
    """Another run was on the engine at the same time: its speed says nothing about the model alone."""


@dataclass(slots=True)
class Slots:
    """The queues of one engine, first come, first served. `parallel` is how many runs of a model it takes at once."""

    parallel: int = 1
    _queues: dict[str, anyio.CapacityLimiter] = field(default_factory=dict[str, anyio.CapacityLimiter])
    _running: list[Turn] = field(default_factory=list[Turn])

    @asynccontextmanager
    async def taken(self, model: str, waiting: Callable[[int], None]) -> AsyncGenerator[Turn]:
        """A slot of `model` for as long as the context is open. `waiting` hears how many are ahead."""
        queue = self._queues.setdefault(model, anyio.CapacityLimiter(self.parallel))
        if ahead := queue.statistics().tasks_waiting + queue.borrowed_tokens:
            waiting(ahead)
        began = time.perf_counter()
        async with queue:
            turn = Turn(time.perf_counter() - began, overlapped=bool(self._running))
            for other in self._running:
                other.overlapped = True
            self._running.append(turn)
            try:
                yield turn
            finally:
                self._running.remove(turn)

    def allow(self, model: str, parallel: int) -> None:
        """Let so many runs of `model` be under way at once; never fewer than before."""
        queue = self._queues.setdefault(model, anyio.CapacityLimiter(self.parallel))
        queue.total_tokens = max(queue.total_tokens, parallel)

    def busy(self, model: str) -> int:
        """How many runs of `model` hold or wait for a slot."""
        queue = self._queues.get(model)
        return 0 if queue is None else queue.statistics().tasks_waiting + queue.borrowed_tokens
