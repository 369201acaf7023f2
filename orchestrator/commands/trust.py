"""Approve what a workspace's config.yaml, mcp.json or .env asks for, as the file stands now; a changed file asks again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..errors import ConfigError

EXAMPLES = """\
examples:
  understudy trust mcp.json
  understudy trust --undo mcp.json
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--undo", action="store_true", help="take an approval back")


def run(options: argparse.Namespace) -> int:
    from ..config.trust import distrust, trust

    for path in options.files:
        try:
            if not options.undo:
                trust(path)
                sys.stdout.write(f"{path} is trusted as it is now\n")
            elif distrust(path):
                sys.stdout.write(f"{path} is no longer trusted\n")
            else:
                sys.stdout.write(f"{path} was not trusted\n")
        except OSError as exc:
            raise ConfigError(f"cannot read {path}: {exc.strerror or exc}") from exc
    return 0
