"""Processes that have imported much and fork what tests start: what they import is paid once, not by every test.

Each takes orders at a socket of the file system: a line of JSON, with descriptors, which is answered by a line of JSON.
Every order has a connection of its own, so that nobody can be given the answer to another's.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

END_S = 60.0
_ROOT = str(Path(__file__).parent.parent)


class Warm:
    """Runs `tests.MODULE.FUNCTION(listening, alive, *arguments)`, which goes through `orders`, from the first use on."""

    def __init__(self, module: str, function: str, *arguments: str) -> None:
        # The folder of a test provides no modules, as with the installed script.
        self._code = (
            f"import sys; sys.path.insert(0, {_ROOT!r}); from tests.{module} import {function};"
            f" sys.path.remove({_ROOT!r}); {function}(%d, %d, *{arguments!r})"
        )
        self._one = threading.Lock()
        self._folder = tempfile.mkdtemp(prefix="warm-")
        self.address = f"{self._folder}/orders"
        self._running: tuple[subprocess.Popen[bytes], int] | None = None
        atexit.register(self._end)

    def ask(self, order: Mapping[str, object], fds: Sequence[int], within_s: float) -> Any:
        self.start()
        return ask(self.address, order, fds, within_s)

    def start(self) -> None:
        """Start it unless it runs; what it imports is imported while we go on."""
        with self._one:
            if self._running and self._running[0].poll() is None:
                return
            Path(self.address).unlink(missing_ok=True)
            alive, ours = os.pipe()
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(self.address)
                listening.listen(64)
                fds = listening.fileno(), alive
                words = [sys.executable, "-P", "-c", self._code % fds]
                self._running = subprocess.Popen(words, pass_fds=fds), ours
            os.close(alive)

    def _end(self) -> None:
        running, self._running = self._running, None
        if running:
            os.close(running[1])
            running[0].wait(END_S)
        shutil.rmtree(self._folder, ignore_errors=True)


def ask(address: str, order: Mapping[str, object], fds: Sequence[int], within_s: float) -> Any:
    line = json.dumps(order).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(within_s)
        try:
            sock.connect(address)
            if rest := line[
                socket.send_fds(sock, [line], fds) :
            ]:  # who has it all may have answered and gone
                sock.sendall(rest)
            with sock.makefile("rb") as answers:
                return json.loads(answers.readline())
        except TimeoutError as exc:
            raise AssertionError(f"no answer within {within_s:.0f} s to {line[:120]!r}") from exc


class Order(dict[str, Any]):
    """One of `orders`, which is answered, or which a fork begins with."""

    def __init__(self, body: Mapping[str, Any], fds: list[int], ends: Sequence[socket.socket], alive: int):
        super().__init__(body)
        self.fds, self._ends, self._alive = fds, ends, alive

    def forked(self) -> None:
        """In a fork: keep nothing of what the orders come by."""
        for end in self._ends:
            end.close()
        os.close(self._alive)

    def answer(self, answer: object) -> None:
        for fd in self.fds:
            os.close(fd)
        with self._ends[0] as asked:
            asked.sendall(json.dumps(answer).encode() + b"\n")


def orders(listening: int, alive: int) -> Iterator[Order]:
    """Every order, in the process that was started, until the one that started it has ended."""
    with socket.socket(fileno=listening) as listener:
        while alive not in select.select([listener, alive], [], [])[0]:
            asked, _ = listener.accept()
            data, fds = b"", list[int]()
            while not data.endswith(b"\n"):
                more, new, *_ = socket.recv_fds(asked, 1 << 16, 3)
                if not more:
                    break
                data, fds = data + more, fds + new
            if data.endswith(b"\n"):
                yield Order(json.loads(data), fds, (asked, listener), alive)
