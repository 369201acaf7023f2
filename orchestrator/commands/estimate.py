"""Forecast a delegation without running it: seconds with a 90 % interval, for one model or all, and what would be faster."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import anyio

from . import local
from . import options as common

EXAMPLES = f"""\
{local.ENGINES}
examples:
  understudy estimate "Summarise this file." --file README.md
  understudy estimate "Add docstrings." --file src/a.py --model qwen3:8b --deadline 30
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task")
    parser.add_argument("--model", default="auto", help="one model; auto ranks them all (default)")
    parser.add_argument(
        "--file", action="append", default=[], dest="files", metavar="PATH", help="material; repeatable"
    )
    parser.add_argument("--max-output", type=int, metavar="TOKENS", help="cap of the answer")
    parser.add_argument(
        "--deadline", type=float, dest="deadline_s", metavar="S", help="must be done within S seconds"
    )
    local.add(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    names = ("task", "model", "files", "max_output", "deadline_s")
    async with local.server(options) as session:
        record = await local.ask(session, "estimate", {name: getattr(options, name) for name in names})
    if options.json:
        common.print_json({"ok": True, **record})
        return 0
    rows = [["model", "seconds", "90 % interval", "at the cap", "runs behind it", "passes"]]
    for one in record.get("models", record.get("estimates", [])):
        rows.append(_row(one))
    sys.stdout.write(local.table(rows))
    for advice in record.get("advice", []):
        sys.stdout.write(f"advice: {advice['say']}\n")
    for key in ("reason", "chosen", "note"):
        if record.get(key):
            sys.stdout.write(f"{record[key]}\n")
    return 0


def _row(one: dict[str, Any]) -> list[str]:
    forecast: dict[str, Any] = one.get("forecast") or {}
    interval = f"{local.number(forecast.get('low_s'))} to {local.number(forecast.get('high_s'), ' s')}"
    return [
        one["model"],
        local.number(forecast.get("total_s"), " s"),
        interval if forecast else "not yet measured",
        local.number(forecast.get("cap_s"), " s"),
        local.number(forecast.get("runs")),
        local.number(one.get("odds")),
    ]
