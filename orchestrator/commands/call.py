"""Call one tool of a configured server, as a model would, and print what it says."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from ..errors import ConfigError
from ..types import Image, ToolSpec
from . import options as common

EXAMPLES = """\
Values are taken as the tool's schema says: text as it is, everything else as JSON. KEY=- reads standard input.

examples:
  understudy call files read_file path=README.md limit=20
  understudy call files edit_file path=a.py 'edits=[{"old": "x = 1", "new": "x = 2"}]'
  understudy call git git_status --json
  understudy call files write_file path=notes.txt content=- < notes
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "server", metavar="SERVER", help="its name in mcp.json: files, shell, git, ollama, ..."
    )
    parser.add_argument("tool", metavar="TOOL")
    parser.add_argument("values", nargs="*", metavar="KEY=VALUE", help="the tool's arguments")
    common.add_yes(parser)
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    return anyio.run(_run, options)


async def _run(options: argparse.Namespace) -> int:
    from ..session.delegation import called_to_its_end
    from ..session.session import open_session
    from ..tools import no_progress

    config = common.only(common.config_of(options), [options.server])
    async with open_session(config, approve=common.approve_of(options)) as session:
        await session.connected([options.server])
        specs = (await session.toolbox([options.server])).specs
        arguments = _arguments(options.values, _spec(options.server, options.tool, specs))
        # its server ends with this command, and work that goes on under an id with it
        answer = await called_to_its_end(session, options.server, options.tool, arguments, no_progress)
    if options.json:
        record = {"text": answer.text, "content": _structured(answer.text)}
        common.print_json(record, ok=not answer.is_error)
    else:
        sys.stdout.write(answer.text + "\n")
        images = [part for part in answer.content if isinstance(part, Image)]
        sys.stdout.write(
            "".join(f"[image, {part.mime}, {len(part.data)} base64 characters]\n" for part in images)
        )
    return 1 if answer.is_error else 0


def _spec(server: str, tool: str, specs: Sequence[ToolSpec]) -> ToolSpec:
    for spec in specs:
        if spec.name == f"{server}__{tool}":
            return spec
    known = ", ".join(spec.name.removeprefix(f"{server}__") for spec in specs)
    raise ConfigError(
        f"the {server} server has no tool {tool!r}; it has {known or 'none (it did not start)'}"
    )


def _arguments(values: Sequence[str], spec: ToolSpec) -> dict[str, Any]:
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})
    arguments: dict[str, Any] = {}
    for item in values:
        key, sign, value = item.partition("=")
        if not sign:
            raise ConfigError(
                f"wanted KEY=VALUE, found {item!r}; {spec.name} takes {', '.join(properties) or 'nothing'}"
            )
        value = sys.stdin.read() if value == "-" else value
        arguments[key] = value if _is_text(properties.get(key, {})) else _json(key, value)
    return arguments


def _is_text(schema: Mapping[str, Any]) -> bool:
    kinds = [schema.get("type"), *(inner.get("type") for inner in schema.get("anyOf", ()))]
    return "string" in kinds or "enum" in schema


def _json(key: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value  # the server says what it wanted, by name and type


def _structured(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
