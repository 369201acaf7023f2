"""List the models there are: the local ones with their measured speed, or those of every provider."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import anyio

from ..events import Event, Notice
from ..sanitize import visible
from . import local
from . import options as common

EXAMPLES = f"""\
{local.ENGINES}
examples:
  understudy models
  understudy models --all
  understudy models --json | jq '.models[].name'
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--all", action="store_true", help="of every provider that has a key or is configured"
    )
    local.add(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_everywhere if options.all else _here, options)


async def _here(options: argparse.Namespace) -> int:
    async with local.server(options) as session:
        record = await local.ask(session, "list_models", {})
    if options.json:
        common.print_json(record)
        return 0
    several = any(model.get("host") for model in record["models"])
    rows = [
        [
            *(["host"] if several else []),
            "model",
            "size",
            "parameters",
            "quantization",
            "context",
            "loaded",
            "speed here",
            "gates passed",
        ]
    ]
    rows += [[*([visible(model["host"])] if several else []), *_row(model)] for model in record["models"]]
    empty = f"{record['engine']} has no model yet; `ollama pull NAME` gets one\n"
    sys.stdout.write(local.table(rows) if record["models"] else empty)
    if record.get("recommended"):
        sys.stdout.write(f"{visible(record['recommended'])}\n")
    if record.get("note"):
        sys.stdout.write(f"{record['note']}\n")
    return 0


def _row(model: dict[str, Any]) -> list[str]:
    judged = [odds for odds in model.get("odds", []) if odds.get("judged")]
    passed = ", ".join(f"{odds['kind']} {odds['passed']:.0%} of {odds['judged']}" for odds in judged[:3])
    return [
        visible(model["name"]),
        local.number(model.get("size_gb"), " GB"),
        model.get("parameters") or "-",
        model.get("quantization") or "-",
        local.number(model.get("context_length")),
        {True: "yes", False: "no", None: "-"}[model.get("loaded")],
        model.get("unfit") or ("runs on another machine" if model.get("leaves_machine") else model["speed"]),
        passed or "none judged yet",
    ]


async def _everywhere(options: argparse.Namespace) -> int:
    from ..session.session import open_session

    silent: list[str] = []

    def complain(event: Event) -> None:
        if isinstance(event, Notice):
            silent.append(event.text)
            if not options.json:
                sys.stderr.write(f"understudy: {event.text}\n")

    config = common.config_of(options).model_copy(update={"servers": {}})
    async with open_session(config, complain) as session:
        found = await session.listed()
    if options.json:
        common.print_json({"providers": found, "silent": silent})
        return 0
    rows = [["model", "context", "answer at most", "$/M in", "$/M out"]]
    rows += [_offered(info) for infos in found.values() for info in infos]
    sys.stdout.write(local.table(rows) if found else "no provider answered; each said why above\n")
    return 0


def _offered(info: dict[str, Any]) -> list[str]:
    figures = ("context_tokens", "max_output_tokens", "input_usd", "output_usd")
    limits = [f"{info[key]:,}" if info[key] is not None else "-" for key in figures[:2]]
    return [info["id"], *limits, *(local.number(info[key]) for key in figures[2:])]
