"""Show what was measured here: recent local runs, the speeds fitted from them, how good the forecasts were, odds."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import anyio

from . import local
from . import options as common

EXAMPLES = """\
examples:
  understudy profile
  understudy profile qwen3:8b --last 50
  understudy profile --kind edit --json
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="only this model")
    parser.add_argument("--kind", help="only this kind of task: edit, summary, ...")
    parser.add_argument(
        "--last", type=int, default=20, metavar="N", help="the newest N runs (default: %(default)s)"
    )
    local.add(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    asked = {"model": options.model, "kind": options.kind, "last": options.last}
    async with local.server(options) as session:
        record = await local.ask(session, "profile", asked)
    if options.json:
        common.print_json({"ok": True, **record})
        return 0
    runs: list[dict[str, Any]] = record.get("runs", [])
    rows = [
        [
            "run",
            "model",
            "kind",
            "gate",
            "load",
            "prompt",
            "answer",
            "total",
            "tokens in",
            "out",
            "forecast off by",
        ]
    ]
    rows += [_row(run) for run in runs]
    sys.stdout.write(local.table(rows) if runs else "no runs yet; delegate something, or calibrate a model\n")
    forecasts = record.get("forecasts", {})
    if forecasts.get("runs"):
        sys.stdout.write(
            f"forecasts: {forecasts['runs']} runs, median error {local.number(_percent(forecasts.get('median_error')), '%')}, "
            f"{local.number(_percent(forecasts.get('covered')), '%')} inside their interval\n"
        )
    if record.get("note"):
        sys.stdout.write(f"{record['note']}\n")
    return 0


def _row(run: dict[str, Any]) -> list[str]:
    profile = run["profile"]
    seconds = [
        local.number(profile.get(part), " s") for part in ("load_s", "prefill_s", "decode_s", "total_s")
    ]
    gate = {True: "passed", False: "failed", None: "-"}[run.get("gate_passed")]
    mark = " (recorded)" if profile.get("recorded") else " (simulated)" if profile.get("simulated") else ""
    return [
        str(run["run"]),
        profile["model"],
        str(run.get("kind") or "-"),
        gate,
        *seconds[:3],
        seconds[3] + mark,
        local.number(profile.get("tokens_in")),
        local.number(profile.get("tokens_out")),
        local.number(_percent(run.get("forecast_error")), "%"),
    ]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
