"""The process between the server and its commands: for every job it forks a supervisor.

It lives as long as the server's socket. When the server ends, however it ends, the sockets close and everything is
killed. Standard library only, started as
    python -I -S -c "import sys; sys.path.insert(0, FOLDER); from servers.shell.jobs.fork_server import keep; keep(FD, [])"
because starting a bare interpreter takes a tenth of the time.
"""

from __future__ import annotations

import codecs
import contextlib
import gc
import os
import re
import signal
import socket
import sys
import traceback
from typing import NoReturn

from ..sandbox import limits as bounds
from ..sandbox import private_net
from .supervisor import Job, reaped


def keep(fd: int, expressions: list[str]) -> None:
    """Fork a supervisor for every socket that comes in, until ours closes; each will use these expressions."""
    bounds.adopt_orphans()  # of a supervisor that was killed
    bounds.Groups.drop_left()
    supervisors: set[int] = set()
    network = private_net.made()
    warm = False
    with socket.socket(fileno=fd) as server:
        server.settimeout(0.5)
        while True:
            ended = reaped()
            supervisors.difference_update(ended)
            if any(os.WIFSIGNALED(status) for status in ended.values()):  # what it ran is ours now
                for pid, depth in bounds.descendants(os.getpid()).items():
                    if depth == 1 and pid not in supervisors:
                        _kill(pid)
            try:
                message, fds, *_ = socket.recv_fds(server, 1, 1)
            except TimeoutError:
                continue
            except ConnectionError:  # the server was killed with answers of ours unread
                break
            if not message:
                break
            with contextlib.suppress(OSError):
                server.send(b"j")  # taken: what dies from here on is the job's own end
            if (pid := os.fork()) == 0:
                server.close()
                _run(fds[0], network)
            os.close(fds[0])
            supervisors.add(pid)
            if not warm:
                warm = True
                _prepare(expressions)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)  # each sees its own socket close and ends


def _prepare(expressions: list[str]) -> None:
    """Do once what every supervisor would else do anew: expressions, a codec. Forks share it; the first job need not wait."""
    codecs.lookup("ascii")
    for expression in expressions:
        re.compile(expression.encode())
    gc.collect()
    gc.freeze()  # else the first collection in each fork copies every page


def _run(fd: int, network: private_net.Network | None) -> NoReturn:
    try:
        os.set_inheritable(fd, False)
        with socket.socket(fileno=fd) as control:
            Job(control, network).run()
    except EOFError:
        pass  # the server ended before it said what to run
    except BaseException:  # noqa: BLE001  (a forked child must not return)
        traceback.print_exc()  # the server's own stderr
    finally:
        sys.stderr.flush()
        os._exit(0)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
