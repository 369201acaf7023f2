"""A process that has imported much and forks what tests start: what it imports is paid once, not by every test.

It is given orders over a socket, from any thread and one at a time: each is a line of JSON with three descriptors, and
is answered by a line of JSON.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

END_S = 60.0
_ROOT = str(Path(__file__).parent.parent)


def code(module: str, function: str) -> str:
    """What runs `tests.module.function(fd)`; the folder of a test provides no modules, as with the installed script."""
    return (
        f"import sys; sys.path.insert(0, {_ROOT!r}); from tests.{module} import {function};"
        f" sys.path.remove({_ROOT!r}); {function}({{fd}})"
    )


class Warm:
    """`code` is run with the number of its end of the socket in the place of {fd}, on the first order.

    A process forked from ours goes on with the one that was started here.
    """

    def __init__(self, code: str) -> None:
        self._code, self._owner = code, 0
        self._one = threading.Lock()  # else a thread could read another's answer, who would wait for ever
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        atexit.register(self._end)

    def ask(self, order: Mapping[str, object], fds: Sequence[int], within_s: float) -> Any:
        line = json.dumps(order).encode() + b"\n"
        with self._one:
            try:
                sock = self.start()
                sock.settimeout(within_s)
                sent = socket.send_fds(sock, [line], fds)
                sock.sendall(line[sent:])
                with sock.makefile("rb") as answers:
                    return json.loads(answers.readline())
            except BaseException as exc:  # an answer that still comes is nobody's
                if self._running:
                    self._running[0].kill()
                self._end()
                if not isinstance(exc, TimeoutError):
                    raise
                raise AssertionError(f"no answer within {within_s:.0f} s to {line[:120]!r}") from exc

    def start(self) -> socket.socket:
        """Start it unless it runs; what it imports is imported while we go on."""
        if self._running and self._owner == os.getpid() and self._running[0].poll() is not None:
            self._end()
        if self._running is None:
            ours, theirs = socket.socketpair()
            with theirs:
                words = [sys.executable, "-P", "-c", self._code.format(fd=theirs.fileno())]
                self._running = subprocess.Popen(words, pass_fds=[theirs.fileno()]), ours
                self._owner = os.getpid()
        return self._running[1]

    def _end(self) -> None:
        running, self._running = self._running, None
        if running:
            running[1].close()
            running[0].wait(END_S)


def received(orders: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next order, in the process that was started; None once the other end has closed."""
    data, fds = b"", list[int]()
    while not data.endswith(b"\n"):
        more, new, *_ = socket.recv_fds(orders, 1 << 16, 3)
        if not more:
            return None
        data, fds = data + more, fds + new
    return json.loads(data), fds
