"""What servers print, and what the SDK says of them, in files of the state folder and not on the screen."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Self

import anyio

from servers.state.home import home

MAX_BYTES = 1 << 20  # then the file is kept once as .1
MAX_LINE_CHARS = 4_000
CATCH_UP_S = 1.0
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

    def opened(self) -> BinaryIO:
        """The file itself, for a process that writes to it; nowhere when it cannot be opened."""
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            return self.path.open("ab")
        except OSError:
            return open(os.devnull, "ab")


class Stderr:
    """Where a server writes its stderr: a pipe a thread reads all the time, since a full one stalls the server."""

    def __init__(self, log: ServerLog) -> None:
        self.lines: deque[str] = deque(maxlen=20)  # the last ones
        self._log = log
        self._mark = f"understudy-{token_hex(8)}"
        self._up_to_mark = threading.Event()
        self._source, self._sink = os.pipe()

    def __enter__(self) -> Self:
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        sink, self._sink = self._sink, -1
        os.close(sink)

    def fileno(self) -> int:
        return self._sink

    async def read_up_to_now(self) -> None:
        """Wait until what an ended server has written is in `lines`."""
        if self._sink >= 0:
            os.write(self._sink, f"\n{self._mark}\n".encode())
        await anyio.to_thread.run_sync(self._up_to_mark.wait, CATCH_UP_S, abandon_on_cancel=True)

    def _read(self) -> None:
        with open(self._source, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.strip() == self._mark:
                    self._up_to_mark.set()
                elif line.strip():
                    self.lines.append(line.rstrip()[:MAX_LINE_CHARS])
                    self._log.write("stderr", line)
        self._up_to_mark.set()


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
