"""The `understudy` command in processes forked from a warm one: what it imports is paid once, not by every test.

Tests of starting, of signals and of a terminal start the installed script itself.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tests import preforked
from tests.warm import Warm, code, received

LONGEST_S = 120
"""A command that has not ended by then says on its stderr where it is, and ends with 1."""
WARM = Warm(code("command", "take_orders"))


def understudy(
    *words: str, cwd: Path, stdin: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; `env` adds to this process's environment."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        order = {"words": words, "cwd": str(cwd), "env": {**os.environ, **(env or {})}}
        code = WARM.ask(order, [given.fileno(), out.fileno(), err.fileno()], LONGEST_S + 60.0)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(
            ["understudy", *words], code, out.read().decode(), err.read().decode()
        )


def take_orders(fd: int) -> None:
    """Run one command after the other, each in a fork, until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # as servers/protocol/prefork.py: no collection that would touch pages shared with children
    _import_what_commands_import()
    gc.freeze()
    preforked.use()
    preforked.TEMPLATE.start()
    with socket.socket(fileno=fd) as orders:
        while data := received(orders):
            order, fds = data
            pid = os.fork()
            if pid == 0:
                orders.close()
                _obey(order, fds)
            for one in fds:
                os.close(one)
            orders.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _import_what_commands_import() -> None:
    from orchestrator.cli import COMMANDS, command_of
    from servers.protocol.prefork import import_quickly

    import_quickly("orchestrator.mcp_client.toolbox")
    for name in ("orchestrator.coding_agent", "orchestrator.batch.run", "orchestrator.batch.open"):
        importlib.import_module(name)
    for name in COMMANDS:
        command_of(name)


def _obey(order: dict[str, Any], fds: list[int]) -> NoReturn:
    for target, fd in enumerate(fds):
        os.dup2(fd, target)
        os.close(fd)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.enable()
    faulthandler.dump_traceback_later(LONGEST_S, exit=True, file=2)
    sys.argv = ["understudy", *order["words"]]
    sys.exit(importlib.import_module("orchestrator.cli").main())
