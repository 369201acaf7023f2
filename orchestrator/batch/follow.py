"""Following a batch that others work on: its receipts into the output as they come, until all orders have ended."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import anyio

from .finish import by_pace
from .output import Output
from .queue import ENDED
from .run import Standing
from .team_queue import TeamQueue

LOOK_S = 0.5


async def followed(
    queue: TeamQueue, output: Output, watched: Callable[[Standing], None]
) -> tuple[Standing, str | None]:
    """How the batch stands at the end, and why we left before it, if we did. Raises RunError."""
    began, ended = time.monotonic(), 0
    first: tuple[float, int] | None = None  # when we looked first, and how many had ended by then
    standing = Standing(counts={}, took_s=0.0, finish=None, running=())
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(_on_signal, stop)
        while True:
            counts = await anyio.to_thread.run_sync(queue.counts)
            now_ended = sum(counts.get(state, 0) for state in ENDED)
            if now_ended != ended:
                ended = now_ended
                await anyio.to_thread.run_sync(output.catch_up, queue.records())
            now, left = time.monotonic(), sum(counts.values()) - ended
            if first is None or (ended > first[1] == 0):
                first = (now, ended)  # not before the first has ended: workers may begin hours later
            finish = by_pace(ended - first[1], now - first[0], left)
            standing = Standing(counts=counts, took_s=now - began, finish=finish, running=())
            watched(standing)
            if left == 0 or stop.is_set():
                break
            with anyio.move_on_after(LOOK_S):
                await stop.wait()
        group.cancel_scope.cancel()
    return standing, "stopped by you" if stop.is_set() else None


async def _on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stop.set()
