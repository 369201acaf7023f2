"""What the benchmarks share: tool calls to real servers, two sides timed in turn, and rows of ratios."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

from mcp import Client, StdioServerParameters, stdio_client

Row = dict[str, float] | str
"""A ratio with the seconds behind it, or a sentence."""
Work = Callable[[], Coroutine[Any, Any, object]]


def report(rows: Mapping[str, Row], *, as_json: bool) -> None:
    """Print the rows, one a line."""
    if as_json:
        print(json.dumps(rows))
        return
    width = max(map(len, rows))
    for name, row in rows.items():
        print(f"{name:<{width}}  {row if isinstance(row, str) else _shown(row)}")


def ratio(ours_s: float, theirs_s: float) -> dict[str, float]:
    return {
        "ratio": round(ours_s / theirs_s, 3),
        "ours_s": round(ours_s, 6),
        "theirs_s": round(theirs_s, 6),
    }


async def pair(ours: Work, theirs: Work, rounds: int) -> dict[str, float]:
    """Medians of both, after one run each to warm up; run in turn so that a busy machine is busy for both."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for side, work in zip(took, (ours, theirs), strict=True):
            began = perf_counter()
            await work()
            if turn:
                side.append(perf_counter() - began)
    return ratio(*map(statistics.median, took))


async def connected(stack: AsyncExitStack, command: list[str], env: Mapping[str, str] = os.environ) -> Client:
    """The SDK's client on a server process, which ends with the stack."""
    errlog = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115, ASYNC230
    parameters = StdioServerParameters(command=command[0], args=command[1:], env=dict(env))
    return await stack.enter_async_context(Client(stdio_client(parameters, errlog=errlog)))


def calling(client: Client, **always: Any) -> Callable[..., Work]:
    """Tool calls whose errors are errors here."""

    def call(tool: str, **arguments: Any) -> Work:
        async def work() -> object:
            answer = await client.call_tool(tool, {**always, **arguments})
            if answer.is_error:
                raise RuntimeError(f"{tool}: {answer.content}")
            return answer

        return work

    return call


def _shown(row: Mapping[str, float]) -> str:
    return f"x{row['ratio']:.2f}   ({row['ours_s'] * 1000:.1f} ms against {row['theirs_s'] * 1000:.1f} ms)"
