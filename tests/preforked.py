"""Servers, and what forks a session's servers, forked from a process that has imported them: 10 ms instead of a second.

Only how they start differs: each session has a process of its own that runs servers/protocol/prefork.py.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import BinaryIO, NoReturn

import psutil

from orchestrator.mcp_client import prefork as starting
from servers.protocol import prefork
from servers.protocol.registry import SERVERS
from tests.warm import Order, Warm, ask, orders

WAIT_S = 120.0
TEMPLATE = Warm("preforked", "fork_on_order")
as_users_start_it = starting.started


class Forked:
    """No child of ours, which `subprocess` would want."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def poll(self) -> int | None:
        return None if self._process.is_running() else 0

    def kill(self) -> None:
        with suppress(psutil.NoSuchProcess):
            self._process.kill()

    def wait(self) -> int:
        self._process.wait(WAIT_S)
        return 0


def started(address: str | None, fd: int, log: BinaryIO) -> Forked:
    order = {"cwd": os.getcwd(), "env": dict(os.environ)}
    fds = [fd, log.fileno()]
    said = ask(address, order, fds, WAIT_S) if address else TEMPLATE.ask(order, fds, WAIT_S)
    return Forked(said["pid"])


def use(address: str | None = None) -> None:
    """From now on in this process, and in those forked from it. `address`: of the template that another has."""

    def started_there(fd: int, log: BinaryIO) -> Forked:
        return started(address, fd, log)

    starting.started = started_there


def fork_on_order(listening: int, alive: int) -> None:
    """An order for a server is as in servers/protocol/prefork.py; any other is for what takes such orders."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    for name in SERVERS:
        prefork.import_quickly(f"servers.{name}.server")
    prefork._exercise()
    prefork._exercise = lambda: None  # every fork has what it built
    gc.freeze()
    signal.signal(signal.SIGCHLD, _reap)
    for order in orders(listening, alive):
        if (pid := os.fork()) == 0:
            _become(order)
        order.answer({"pid": pid})


def _become(order: Order) -> NoReturn:
    try:
        order.forked()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if "server" in order:
            prefork._become(order, order.fds)
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for target, source in enumerate((nothing, nothing, order.fds[1])):
            os.dup2(source, target)
        os.close(nothing)
        os.close(order.fds[1])
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["cwd"])
        prefork.main(order.fds[0])
    except BaseException:  # noqa: BLE001  (nothing may return into the order loop)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
