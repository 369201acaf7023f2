"""What the benchmarks share: tool calls to real servers, two sides timed in turn, and rows of figures."""

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

Row = dict[str, Any] | str
"""A figure: `value` in `unit` (`x` is times the floor or peer that the row's name says after its stroke, with the
seconds behind it; `%` is a share of 1), with `aim` and `met` where something is aimed at. Or a sentence: why not."""
Work = Callable[[], Coroutine[Any, Any, object]]


def report(
    rows: Mapping[str, Row],
    *,
    as_json: bool,
    at_most: Mapping[str, float] = {},
    at_least: Mapping[str, float] = {},
) -> None:
    """Print the rows, one a line, with what is aimed at in a row whose name begins so."""
    told = {name: _aimed(name, row, at_most, at_least) for name, row in rows.items()}
    if as_json:
        print(json.dumps(told))
        return
    width = max(map(len, told))
    for name, row in told.items():
        print(f"{name:<{width}}  {shown(row)}")


def ratio(ours_s: float, theirs_s: float) -> dict[str, Any]:
    return {
        "value": round(ours_s / theirs_s, 3),
        "unit": "x",
        "ours_s": round(ours_s, 6),
        "theirs_s": round(theirs_s, 6),
    }


def figure(value: float, unit: str = "x") -> dict[str, Any]:
    return {"value": round(value, 4), "unit": unit}


def shown(row: Row) -> str:
    """A figure as people read it."""
    if isinstance(row, str):
        return row
    value, unit = row["value"], row["unit"]
    text = f"x{value:.2f}" if unit == "x" else f"{value:.1%}" if unit == "%" else f"{value:,.6g} {unit}"
    if "ours_s" in row:
        text += f"   ({row['ours_s'] * 1000:.1f} ms against {row['theirs_s'] * 1000:.1f} ms)"
    return text + (f"   aim {row['aim']}: {'met' if row['met'] else 'missed'}" if "aim" in row else "")


def _aimed(name: str, row: Row, at_most: Mapping[str, float], at_least: Mapping[str, float]) -> Row:
    if isinstance(row, str):
        return row
    for limits, word in ((at_most, "at most"), (at_least, "at least")):
        for start, limit in limits.items():
            if name.startswith(start):
                met = row["value"] <= limit if limits is at_most else row["value"] >= limit
                return {**row, "aim": f"{word} {shown({'value': limit, 'unit': row['unit']})}", "met": met}
    return row


async def pair(ours: Work, theirs: Work, rounds: int) -> dict[str, Any]:
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
