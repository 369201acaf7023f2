"""List the tools of the configured servers, as a model sees them."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

import anyio

from ..types import ToolSpec
from . import options as common

EXAMPLES = """\
examples:
  understudy tools
  understudy tools files git
  understudy tools --json | jq '.tools[].name'
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("servers", nargs="*", metavar="SERVER", help="only these servers")
    parser.add_argument(
        "--fresh", action="store_true", help="ask the servers, also where their lists are known"
    )
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    from ..events import Event, Notice
    from ..session.session import open_session

    def complain(event: Event) -> None:
        if isinstance(event, Notice):
            failed.append(event)
            sys.stderr.write(f"understudy: {event.text}\n")

    failed: list[Notice] = []
    config = common.only(common.config_of(options), options.servers)
    async with open_session(config, complain) as session:
        if options.fresh:
            await session.connected()
        specs = (await session.toolbox()).specs
    if options.json:
        missing = [notice.text for notice in failed]
        common.print_json({"tools": [asdict(spec) for spec in specs], "notices": missing}, ok=not failed)
    else:
        sys.stdout.write("".join(f"{_line(spec)}\n" for spec in specs))
    return 1 if failed else 0


def _line(spec: ToolSpec) -> str:
    required = spec.parameters.get("required", [])
    parameters = ", ".join(
        name if name in required else f"{name}?" for name in spec.parameters.get("properties", {})
    )
    mark = " (reads only)" if spec.read_only else " (can destroy)" if spec.destructive else ""
    return f"{spec.name}({parameters}){mark}\n    {' '.join(spec.description.split())}"
