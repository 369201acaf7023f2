"""The `understudy` command in processes forked from a warm one: what it imports is paid once, not by every test.

Tests of starting, of signals to a group and of pipes start the installed script itself.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

from tests import preforked
from tests.warm import Order, Warm, orders

LONGEST_S = 120
"""A command that has not ended by then says on its stderr where it is, and ends with 1."""
WAIT_S = LONGEST_S + 60.0
WARM = Warm("command", "take_orders", preforked.TEMPLATE.address)


class Running:
    """A command under way, as `subprocess.Popen` knows it."""

    def __init__(self, words: Sequence[str], pid: int, files: Sequence[IO[bytes]]) -> None:
        self.args, self.pid = words, pid
        self.returncode: int | None = None
        self._files, self._said = files, ("", "")

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = WARM.ask({"ended": self.pid}, [], WAIT_S)
            if self.returncode is not None and self._files:
                out, err = (_all_of(file) for file in self._files)
                self._said = out, err
        return self.returncode

    def wait(self, timeout: float = WAIT_S) -> int:
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            assert time.monotonic() < end, f"{self.args} did not end in {timeout:.0f} s"
            time.sleep(0.005)
        return code

    def communicate(self, timeout: float = WAIT_S) -> tuple[str, str]:
        """What it said, where it did not sit at a terminal."""
        self.wait(timeout)
        return self._said

    def stderr_so_far(self) -> str:
        if self.poll() is not None:
            return self._said[1]
        fd = self._files[1].fileno()  # its place is that of the command, which goes on writing
        return os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "replace")

    def send_signal(self, sent: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sent)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
        self.wait()


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _all_of(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode()


def begun(
    *words: str,
    cwd: Path,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    terminal: int | None = None,
) -> Running:
    """Start the command; `env` adds to this process's environment. `terminal`: what it is to sit at, in place of files."""
    preforked.TEMPLATE.start()
    with tempfile.TemporaryFile() as given:
        given.write(stdin.encode())
        given.seek(0)
        files = [] if terminal else [_file(), _file()]
        fds = [terminal] * 3 if terminal else [file.fileno() for file in (given, *files)]
        order = {"words": words, "cwd": str(cwd), "env": {**os.environ, **(env or {})}}
        pid = WARM.ask({**order, "terminal": bool(terminal)}, fds, WAIT_S)
    return Running(("understudy", *words), pid, files)


def understudy(
    *words: str, cwd: Path, stdin: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """As `begun`, and to its end."""
    running = begun(*words, cwd=cwd, stdin=stdin, env=env)
    try:
        out, err = running.communicate()
    finally:
        running.kill()
    return subprocess.CompletedProcess(running.args, running.wait(), out, err)


def take_orders(listening: int, alive: int, template: str) -> None:
    """Fork a command for each order, or say whether one has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()  # as servers/protocol/prefork.py: no collection that would touch pages shared with children
    _import_what_commands_import()
    gc.freeze()
    preforked.use(template)
    for order in orders(listening, alive):
        if "ended" in order:
            order.answer(_code(order["ended"]))
            continue
        if (pid := os.fork()) == 0:
            _obey(order)
        order.answer(pid)


def _code(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _import_what_commands_import() -> None:
    from orchestrator.cli import COMMANDS, command_of
    from servers.protocol.prefork import import_quickly

    import_quickly("orchestrator.mcp_client.toolbox")
    also = ("coding_agent", "batch.run", "batch.open", "terminal.chat.chat", "terminal.chat.input")
    for name in (f"orchestrator.{one}" for one in also):
        importlib.import_module(name)
    for name in COMMANDS:
        command_of(name)


def _obey(order: Order) -> NoReturn:
    order.forked()
    fds = order.fds
    if order["terminal"]:
        os.login_tty(fds[0])  # which closes it
        fds = fds[1:]
    else:
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
    for fd in fds:
        os.close(fd)
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.enable()
    faulthandler.dump_traceback_later(LONGEST_S, exit=True, file=2)
    sys.argv = ["understudy", *order["words"]]
    sys.exit(importlib.import_module("orchestrator.cli").main())
