"""What servers print, and what the SDK says of them, in files of the state folder and not on the screen."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from servers.state.home import home

MAX_BYTES = 1 << 20  # then the file is kept once as .1
MAX_LINE_CHARS = 4_000
_SDK = ("mcp", "client")
"""Its loggers. Without a handler Python prints what they say, tracebacks included."""


class ServerLog:
    """The log of one server. `write` from any thread; a log that cannot be written is no reason to fail."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._one = threading.Lock()

    @property
    def path(self) -> Path:
        return home() / "logs" / f"{self.name}.log"

    def write(self, stream: str, text: str) -> None:
        """`stream`: where it comes from, "stdout", "stderr" or the SDK's logger."""
        line = f"{datetime.now().isoformat(timespec='seconds')} {stream}: {text.rstrip()[:MAX_LINE_CHARS]}\n"
        with self._one, suppress(OSError):
            path = self.path
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if path.exists() and path.stat().st_size > MAX_BYTES:
                path.replace(path.with_suffix(".log.1"))
            with path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(line)


class _ToFile(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._log = ServerLog("mcp-sdk")

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a record that cannot be formatted
            self._log.write(record.name, self.format(record))


def take_over_sdk_log() -> None:
    """What the SDK logs goes to a file; a program that has set up logging gets it as well."""
    for name in _SDK:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, _ToFile) for handler in logger.handlers):
            logger.addHandler(_ToFile())
