"""Check that the servers' audit, what they decided and did, has no line altered, missing or torn."""

from __future__ import annotations

import argparse
import sys

from servers.protocol.registry import SERVERS
from servers.state.audit import files, first_break

from ..errors import ConfigError
from . import options as common

EXAMPLES = """\
examples:
  understudy audit verify
  understudy audit verify shell git --json

exit codes: 0 every line follows from the one before it, 1 a file was altered or torn
"""


def add(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    verify = actions.add_parser(
        "verify", help="follow the chain of hashes through each file of the audit", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verify.add_argument("servers", nargs="*", metavar="SERVER", help=f"of {', '.join(SERVERS)}; default: all")
    common.add_json(verify)


def run(options: argparse.Namespace) -> int:
    if unknown := [name for name in options.servers if name not in SERVERS]:
        raise ConfigError(f"there is no server {unknown[0]!r}; there are {', '.join(SERVERS)}")
    wanted = options.servers or SERVERS
    try:
        breaks = {path: first_break(path) for path in files() if path.name.partition(".")[0] in wanted}
    except OSError as exc:
        raise ConfigError(f"the audit cannot be read: {exc}") from exc
    ok = not any(breaks.values())
    if options.json:
        listed = [
            {"file": str(path), "ok": line is None, "first_break": line} for path, line in breaks.items()
        ]
        common.print_json({"files": listed}, ok=ok)
        return 0 if ok else 1
    for path, line in breaks.items():
        said = (
            "whole"
            if line is None
            else f"line {line:,} does not follow from the line before it, or was altered"
        )
        sys.stdout.write(f"{path}: {said}\n")
    if not breaks:
        sys.stdout.write("nothing was recorded yet\n")
    return 0 if ok else 1
