"""Whether a model on the CPU is better off with one thread fewer, measured alone and beside one busy process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import psutil

from ..engines.protocol import EngineError, Model, Query, Runtime

PROBE_S = 10.0
"""The most one probe may write."""
LOADED_S = 120.0
"""The most a model may take to load."""
_TOKENS = 24
_GAIN, _LOSS = 2.0, 0.4
"""One fewer is taken when it is so many times quicker beside a busy process, and keeps so much of the pace alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    threads: int
    busy: bool
    """Beside one process that keeps a core busy."""
    tokens_per_s: float


def better(paces: list[Pace], cores: int) -> int | None:
    """The number of threads to send; None leaves it to the engine, which takes all cores."""
    found = {(pace.threads, pace.busy): pace.tokens_per_s for pace in paces}
    all_alone, all_beside = found.get((cores, False), 0.0), found.get((cores, True), 0.0)
    alone, beside = found.get((cores - 1, False), 0.0), found.get((cores - 1, True), 0.0)
    return cores - 1 if beside > _GAIN * all_beside and alone >= _LOSS * all_alone else None


def cores() -> int:
    """As Ollama counts its threads: one for each core, not for what a core does at once."""
    return psutil.cpu_count(logical=False) or psutil.cpu_count() or 1


async def measure(runtime: Runtime, model: Model, num_ctx: int) -> list[Pace]:
    """Four probes of a few tokens each. Raises EngineError where there is nothing to choose."""
    if not runtime.name.startswith("Ollama"):
        raise EngineError(f"{runtime.name} chooses its own threads; --threads measures Ollama")
    count = cores()
    if count < 2:
        raise EngineError("this machine has one core: there is nothing to choose")
    paces: list[Pace] = []
    for threads in (count, count - 1):
        for busy in (False, True):
            async with _busy(wanted=busy):
                paces.append(
                    Pace(
                        threads=threads, busy=busy, tokens_per_s=await _pace(runtime, model, num_ctx, threads)
                    )
                )
        if threads == count and ((await runtime.model(model.name)).gpu_share or 0) > 0:
            raise EngineError(f"{model.name} runs on a graphics card: threads make no difference")
    return paces


async def _pace(runtime: Runtime, model: Model, num_ctx: int, threads: int) -> float:
    """Tokens a second once it writes; 0 when it wrote none in time."""
    came: list[float] = []
    scope = anyio.CancelScope(deadline=anyio.current_time() + LOADED_S)

    def heard(_text: str, _thinking: bool) -> None:
        came.append(time.monotonic())
        if len(came) == 1:
            scope.deadline = anyio.current_time() + PROBE_S

    query = Query(
        model=model.name,
        messages=({"role": "user", "content": "Count from one to forty in words."},),
        num_ctx=num_ctx,
        num_predict=_TOKENS,
        timeout_s=LOADED_S,
        num_thread=threads,
    )
    with scope:
        answer = await runtime.chat(query, heard)
        if answer.error is not None and answer.profile.outcome not in ("done", "length"):
            raise EngineError(answer.error)
        if answer.profile.decode_tokens_per_s:
            return answer.profile.decode_tokens_per_s
    took = came[-1] - came[0] if len(came) > 1 else 0.0
    return (len(came) - 1) / took if took > 0 else 0.0


@asynccontextmanager
async def _busy(*, wanted: bool) -> AsyncGenerator[None]:
    """One core kept busy meanwhile."""
    if not wanted:
        yield
        return
    process = await anyio.to_thread.run_sync(
        lambda: subprocess.Popen([sys.executable, "-c", "while True: pass"])
    )
    try:
        yield
    finally:
        process.kill()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(process.wait)
