"""Our own servers, forked from one process that has imported the SDK (servers/protocol/prefork.py). POSIX only."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO, Protocol

import anyio

from .log import ServerLog

END_S = 2.5


class Forking(Protocol):
    """The process that forks servers, as `subprocess.Popen` knows it."""

    def poll(self) -> int | None: ...
    def kill(self) -> None: ...
    def wait(self) -> int: ...


def started(fd: int, log: BinaryIO) -> Forking:
    """The process, which takes orders on this socket."""
    code = f"from servers.protocol.prefork import main; main({fd})"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],  # -P: the user's folder must not provide our `servers` package
        pass_fds=[fd],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,
    )


class Warm:
    """Starts servers in tens of milliseconds each. Use `start` from any task, `close` once."""

    def __init__(self) -> None:
        self._orders: socket.socket | None = None
        self._process: Forking | None = None
        self._one = anyio.Lock()
        self._started = 0
        self._said = b""  # read from the process and not yet taken as an answer
        self._owed = 0  # answers still to come; more than one after an asker was cancelled

    def open(self) -> None:
        """Start the process; it imports in the background while the caller goes on."""
        ours, theirs = socket.socketpair()
        with theirs, ServerLog("prefork").opened() as log:
            self._process = started(theirs.fileno(), log)
        ours.setblocking(False)
        self._orders = ours

    async def start(
        self, server: str, args: Sequence[str], env: Mapping[str, str], cwd: str, stderr: int
    ) -> tuple[int, int, int]:
        """(pid, descriptor of its stdout, descriptor of its stdin). Raises OSError when it cannot be started."""
        their_in, our_in = os.pipe()
        our_out, their_out = os.pipe()
        try:
            order = {"server": server, "args": list(args), "env": dict(env), "cwd": cwd}
            answer = await self._ask(order, [their_in, their_out, stderr])
        except BaseException:
            os.close(our_in)
            os.close(our_out)
            raise
        finally:
            os.close(their_in)
            os.close(their_out)
        self._started += 1
        return answer["pid"], our_out, our_in

    async def kill(self, pid: int) -> None:
        """Kill a server that did not end; does nothing when it has."""
        with suppress(OSError), anyio.move_on_after(END_S):
            await self._ask({"kill": pid}, [])

    async def _ask(self, order: Mapping[str, object], fds: Sequence[int]) -> dict[str, int]:
        async with self._one:
            if self._orders is None:
                raise OSError("the process that starts servers is not running")
            line = json.dumps(order).encode() + b"\n"
            with anyio.CancelScope(shield=True):  # half an order would spoil the next one
                sent = socket.send_fds(self._orders, [line], fds)
                while sent < len(line):
                    await anyio.wait_writable(self._orders)
                    sent += self._orders.send(line[sent:])
            self._owed += 1
            while self._owed > 1:  # those of cancelled askers, which nobody wants any more
                await self._next_answer(self._orders)
            answer = await self._next_answer(self._orders)
        body = json.loads(answer)
        if "error" in body:
            raise OSError(body["error"])
        return body

    async def _next_answer(self, orders: socket.socket) -> bytes:
        while b"\n" not in self._said:
            await anyio.wait_readable(orders)
            more = orders.recv(1 << 16)
            if not more:
                raise OSError("the process that starts servers has ended")
            self._said += more
        answer, _, self._said = self._said.partition(b"\n")
        self._owed -= 1
        return answer

    async def close(self) -> None:
        """End the process, after the servers: those that still run get two seconds more."""
        if self._process is None or self._orders is None:
            return
        process, self._process = self._process, None
        self._orders.close()
        self._orders = None
        if not self._started:
            process.kill()  # still importing, nothing depends on it
        with anyio.move_on_after(END_S, shield=True):
            await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
        if process.poll() is None:
            process.kill()
            process.wait()
