"""Show every setting with its value and where it came from: file and line, environment variable, option or default."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..sanitize import visible
from . import options as common

if TYPE_CHECKING:
    from ..config.shown import Setting

EXAMPLES = """\
What goes before what: options, environment variables, .env of the folder, its config.yaml, your own .env and
config.yaml, defaults. Keys, passwords, and what stands in a server's env and headers are shown as ***.

examples:
  understudy config show
  understudy config show display providers.ollama
  understudy config show --json | jq -r '.settings[] | select(.source != "default") | .key'
"""
MAX_VALUE = 100


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["show"])
    parser.add_argument(
        "keys", nargs="*", metavar="KEY", help="only these, or the sections of these names (default: all)"
    )
    parser.add_argument("--model", metavar="PROVIDER:MODEL", help="as `run` takes it")
    common.add_budget(parser)
    common.add_label(parser)
    common.add_json(parser)
    common.add_config(parser)


def run(options: argparse.Namespace) -> int:
    from ..config.shown import settings

    config = common.config_of(options)
    found = _named(settings(config), options.keys)
    if options.json:
        listed = [asdict(one) for one in found]
        common.print_json({"folder": config.folder, "settings": listed, "notices": config.notices})
    else:
        sys.stdout.write("".join(map(_line, found)))
    return 0


def _named(found: list[Setting], keys: list[str]) -> list[Setting]:
    for key in keys:
        if not any(_within(one, key) for one in found):
            sections = ", ".join(dict.fromkeys(one.key.partition(".")[0] for one in found))
            raise ConfigError(f"there is no setting {key!r}; there are {sections}")
    return [one for one in found if not keys or any(_within(one, key) for key in keys)]


def _within(one: Setting, key: str) -> bool:
    return one.key == key or one.key.startswith(f"{key}.")


def _line(one: Setting) -> str:
    value = json.dumps(one.value, ensure_ascii=False, default=str)
    value = value if len(value) <= MAX_VALUE else f"{value[: MAX_VALUE - 3]}..."
    return visible(f"{one.key} = {value}   ({one.source})") + "\n"
