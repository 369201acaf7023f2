"""The program's own log: a file in the state folder that is kept small, and standard error where asked."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

LEVELS = ("debug", "info", "warning", "error")
MAX_BYTES, KEPT_FILES = 1 << 20, 3
_OURS = ("orchestrator", "servers")


def add(parser: argparse.ArgumentParser) -> None:
    """--verbose and --log-level, on every command that has no such option of its own."""
    group = parser.add_argument_group("log")
    with suppress(argparse.ArgumentError):
        group.add_argument("--verbose", action="store_true", help="say on standard error what happens inside")
    with suppress(argparse.ArgumentError):
        group.add_argument(
            "--log-level",
            choices=LEVELS,
            help="what logs/understudy.log in the state folder holds (default: info), and --verbose shows",
        )


def begin(options: argparse.Namespace) -> None:
    """Set the log up as these options ask. A folder that cannot be written leaves out the file."""
    import logging  # a fifth of what --help would take
    from logging.handlers import RotatingFileHandler

    from servers.state.home import home

    level = (getattr(options, "log_level", None) or "info").upper()
    handlers: list[logging.Handler] = []
    with suppress(OSError):
        folder = home() / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / "understudy.log"
        handlers.append(
            RotatingFileHandler(
                path,
                maxBytes=MAX_BYTES,
                backupCount=KEPT_FILES,
                encoding="utf-8",
                delay=True,
                errors="replace",
            )
        )
    if getattr(options, "verbose", False):
        handlers.append(logging.StreamHandler(sys.stderr))
    form = logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
    for handler in handlers:
        handler.setFormatter(form)
    logging.raiseExceptions = False  # a full disk is no reason to print tracebacks
    for name in _OURS:
        logger = logging.getLogger(name)
        for old in logger.handlers[:]:
            logger.removeHandler(old)
            old.close()
        logger.setLevel(level)
        for handler in handlers:
            logger.addHandler(handler)
