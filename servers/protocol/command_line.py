"""The command line that every server has, without the SDK: what it offers is read by programs that start no server."""

from __future__ import annotations

import argparse
import logging
import sys
from importlib.metadata import version

from .front import NO_WARM

TOKEN = "UNDERSTUDY_TOKEN"
"""The variable with the token for callers over HTTP."""


def parser(name: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """An argument parser with what every server has: --version and --log-level."""
    made = argparse.ArgumentParser(
        prog=f"understudy-{name}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"understudy-{name} {version('understudy')}")
    levels = ["debug", "info", "warning", "error"]
    made.add_argument(
        "--log-level", default="warning", choices=levels, help="what goes to stderr (default: %(default)s)"
    )
    made.add_argument(
        NO_WARM, action="store_true", help="answer nothing from what earlier starts have left behind"
    )
    made.add_argument(
        "--http",
        metavar="[HOST:]PORT",
        help=f"answer over streamable HTTP instead of stdio; beyond loopback with the token in {TOKEN}",
    )
    return made


def configure_logging(level: str) -> None:
    """Log to stderr. Call it before the server is built, or the SDK installs its own handler."""
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(levelname)s %(name)s: %(message)s", force=True
    )
