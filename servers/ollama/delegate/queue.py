"""One queue for each model of an engine: work takes its turn, and the wait is measured."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio

from ..engines.shared_queue import Entry, Ticket

LOOK_S = (0.005, 0.1)
"""How often to look whether other processes have finished: the first time, and at most after a while."""

Waiting = Callable[[int, str | None], None]
"""Hears how many runs are ahead, and who has the engine when that is another process."""


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
    async def taken(
        self, model: str, waiting: Waiting, ticket: Ticket | None = None, *, within_s: float | None = None
    ) -> AsyncGenerator[Turn]:
        """A slot of `model` for as long as the context is open.

        `ticket`: our place among other processes' runs. Raises TimeoutError when no turn has come within `within_s`;
        None waits for ever.
        """
        queue = self._queues.setdefault(model, anyio.CapacityLimiter(self.parallel))
        if ahead := self.busy(model):
            waiting(ahead, None)
        began = time.perf_counter()
        async with AsyncExitStack() as held:
            with anyio.fail_after(within_s):
                await held.enter_async_context(queue)
                if ticket is not None:
                    await _turn_of(ticket, int(queue.total_tokens), waiting)
            shared = ticket is not None and _others(ticket)
            turn = Turn(time.perf_counter() - began, overlapped=bool(self._running) or shared)
            for other in self._running:
                other.overlapped = True
            self._running.append(turn)
            try:
                yield turn
            finally:
                self._running.remove(turn)
                turn.overlapped |= ticket is not None and _others(ticket)

    def allow(self, model: str, parallel: int) -> None:
        """Let so many runs of `model` be under way at once; never fewer than before."""
        queue = self._queues.setdefault(model, anyio.CapacityLimiter(self.parallel))
        queue.total_tokens = max(queue.total_tokens, parallel)

    def busy(self, model: str) -> int:
        """How many runs of `model` hold or wait for a slot."""
        queue = self._queues.get(model)
        return 0 if queue is None else queue.statistics().tasks_waiting + queue.borrowed_tokens


async def _turn_of(ticket: Ticket, parallel: int, waiting: Waiting) -> None:
    """Wait until fewer than `parallel` earlier runs of the model are left, of whatever process."""
    look_s = LOOK_S[0]
    while len(ahead := ticket.ahead()) >= parallel:
        waiting(len(ahead), _holder(ahead))
        await anyio.sleep(look_s)
        look_s = min(look_s * 1.5, LOOK_S[1])


def _holder(ahead: list[Entry]) -> str:
    return next((one.who for one in ahead if one.began is not None), ahead[0].who)


def _others(ticket: Ticket) -> bool:
    """Whether another process has a run on the engine now."""
    mine = ticket.entry.who
    return any(one.began is not None and one.who != mine for one in ticket.queue.entries())
