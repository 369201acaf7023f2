"""List the models there are: the local ones with their measured speed, or those of every provider."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import anyio

from ..events import Event, Notice
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
        common.print_json({"ok": True, **record})
        return 0
    rows = [["model", "size", "quantization", "context", "loaded", "prompt tok/s", "answer tok/s"]]
    for model in record.get("models", []):
        rows.append(_row(model))
    sys.stdout.write(local.table(rows))
    if record.get("note"):
        sys.stdout.write(f"{record['note']}\n")
    return 0


def _row(model: dict[str, Any]) -> list[str]:
    speed: dict[str, Any] = model["speed"] if isinstance(model.get("speed"), dict) else model
    return [
        model["name"],
        str(model.get("parameters") or "-"),
        str(model.get("quantization") or "-"),
        local.number(model.get("context_length")),
        "yes" if model.get("loaded") else "no",
        local.number(speed.get("prefill_tokens_per_s")),
        local.number(speed.get("decode_tokens_per_s")),
    ]


async def _everywhere(options: argparse.Namespace) -> int:
    from ..session import open_session

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
        common.print_json({"ok": True, "providers": found, "silent": silent})
        return 0
    rows = [["model", "context", "answer at most"]]
    for infos in found.values():
        rows += [
            [info["id"], local.number(info["context_tokens"]), local.number(info["max_output_tokens"])]
            for info in infos
        ]
    sys.stdout.write(local.table(rows))
    return 0
