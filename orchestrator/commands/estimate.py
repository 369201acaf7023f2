"""Forecast a delegation without running it: seconds with a 90 % interval, for one model or all, and what would be faster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import anyio

from ..sanitize import visible
from . import local
from . import options as common
from .delegate import a_gate, a_schema

EXAMPLES = f"""\
{local.ENGINES}
examples:
  understudy estimate "Summarise this file." --file README.md
  understudy estimate "Add docstrings." --file src/a.py --model qwen3:8b --deadline 30
  understudy estimate "Which functions write files?" --map "src/**/*.py"
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task")
    parser.add_argument("--model", default="auto", help="one model; auto ranks them all (default)")
    parser.add_argument(
        "--file", action="append", default=[], dest="files", metavar="PATH", help="material; repeatable"
    )
    parser.add_argument("--write", metavar="PATH|edits|patch", help="as delegate would write it")
    parser.add_argument(
        "--gate", action="append", default=[], metavar="GATE", help="what must pass; repeatable"
    )
    parser.add_argument("--schema", type=Path, metavar="FILE", help="JSON Schema the answer must follow")
    parser.add_argument(
        "--map", metavar="GLOB|files", help="the task on every chunk: of what a pattern matches, or of --file"
    )
    parser.add_argument("--max-output", type=int, metavar="TOKENS", help="cap of the answer")
    parser.add_argument(
        "--deadline", type=float, dest="deadline_s", metavar="S", help="must be done within S seconds"
    )
    local.add(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    names = ("task", "model", "files", "write", "map", "max_output", "deadline_s")
    order = {name: getattr(options, name) for name in names}
    order |= {"gate": [a_gate(words) for words in options.gate], "schema": a_schema(options.schema)}
    async with local.server(options) as session:
        record = await local.ask(session, "estimate", order)
    if options.json:
        common.print_json(record)
        return 0
    sys.stdout.write(_shown(record))
    return 0


def _shown(record: dict[str, Any]) -> str:
    head = [
        "model",
        "seconds",
        "90 % interval",
        "reads",
        "writes",
        "at the cap",
        "cap, at most",
        "tokens in",
        "out",
        "runs",
        "odds",
    ]
    deadline = any(one.get("in_time") is not None for one in record["models"])
    rows = [[*head, *(["in time"] if deadline else []), ""]]
    for one in record["models"]:
        in_time = [local.percent(one.get("in_time"))] if deadline else []
        rows.append(
            [
                *_row(one),
                *in_time,
                one.get("why_not") or ("best" if one["model"] == record.get("best") else ""),
            ]
        )
    said = [f"{visible(record['verdict'])}\n"]
    said += [local.table(rows)] if record["models"] else []
    said += [f"advice: {advice['say']}\n" for advice in record.get("advice", [])]
    return "".join(said) + (f"{record['note']}\n" if record.get("note") else "")


def _row(one: dict[str, Any]) -> list[str]:
    forecast: dict[str, Any] = one.get("forecast") or {}
    low, high = (local.number(forecast.get(name), " s") for name in ("low_s", "high_s"))
    both = low.endswith(" s") and high.endswith(" s") and " min" not in low + high  # one unit is enough
    interval = f"{low.removesuffix(' s') if both else low} to {high}"
    out = one.get("tokens_out_p50")
    return [
        visible(one["model"]),
        local.number(forecast.get("total_s"), " s"),
        interval if forecast else "not yet measured",
        local.number(one.get("reads_s"), " s"),
        local.number(one.get("writes_s"), " s"),
        local.number(forecast.get("cap_s"), " s"),
        f"{local.number(one.get('answer_cap'))}, {local.number(one.get('max_output'))}",
        local.number(one.get("tokens_in")),
        "-" if out is None else f"{local.number(out)}, 90 %: {local.number(one.get('tokens_out_p90'))}",
        local.number(forecast.get("runs")),
        f"{local.percent(one.get('odds_passing'))} ({one['judged']} judged)",
    ]
