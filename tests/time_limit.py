"""No test waits for ever: at its limit a test fails with what it was waiting for, and what it started is killed.

A limit that pytest itself knows (faulthandler_timeout) ends the whole worker; it stays for a wait that no signal ends.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import psutil
import pytest

LIMIT_S = 200.0  # for setup, test and teardown each, on a machine with much else to do
AGAIN_S = 20.0  # what is waited for next, in a `finally` or a `with`, gets no second limit


@contextmanager
def limited(what: str, limit_s: float = LIMIT_S) -> Generator[None]:
    """Fail in this, the main thread, when the block takes longer."""
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    began = time.time()

    def too_long(*_: object) -> None:
        faulthandler.dump_traceback(sys.__stderr__ or sys.stderr)
        killed = [_killed(process) for process in _started_since(began)]
        pytest.fail(
            f"{what} took more than {limit_s:g} s; the stack says where it waits, all threads' stand in stderr; "
            f"it had started, and these were killed now: {'; '.join(killed) or 'no process'}"
        )

    before = signal.signal(signal.SIGALRM, too_long)
    outer = signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *outer)
        signal.signal(signal.SIGALRM, before)


def _started_since(began: float) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.create_time() >= began - 1:  # it is told in hundredths of a second
                found.append(process)
    return found


def _killed(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        told = f"{process.pid} ({process.status()}) {' '.join(process.cmdline())[:160]}"
        process.kill()
        return told
    return f"{process.pid}, which has ended"
