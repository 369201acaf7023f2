"""Approve what a workspace's config.yaml, mcp.json or .env asks for, as the file stands now; a changed file asks again.

With --host NAME: this MCP host asks before each call itself, so our servers ask it nothing a second time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from servers.protocol.asking_hosts import remember

from ..errors import ConfigError

EXAMPLES = """\
examples:
  understudy trust mcp.json
  understudy trust --undo mcp.json
  understudy trust --host claude-code
"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument(
        "--host", metavar="NAME", help="a host that asks before each call, by the name its refusals show"
    )
    parser.add_argument("--undo", action="store_true", help="take an approval back")


def run(options: argparse.Namespace) -> int:
    from ..config.trust import distrust, trust

    if options.host:
        changed = remember(options.host, asks=not options.undo)
        state = "is taken to ask" if not options.undo else "is no longer taken to ask"
        sys.stdout.write(
            f"{options.host} {state} before each call itself{'' if changed else ', as before'}\n"
        )
    elif not options.files:
        raise ConfigError("trust needs a FILE, or --host NAME")
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
