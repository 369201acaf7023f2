"""Run one program to its end: bounded output, a deadline, cancellable from the tool call it serves.

Each child leads a process group of its own and gets SIGTERM first: git then removes its lock files.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from anyio.from_thread import check_cancelled

_TICK_S = 0.05  # how often a waiting thread looks whether the call still wants the answer
_GRACE_S = 1.0  # between SIGTERM and SIGKILL
_MAX_STDERR_BYTES = 64_000

_alive: set[subprocess.Popen[bytes]] = set()
_alive_lock = threading.Lock()
_here = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What came out. `code` is None when the program was stopped early: `cut`, or `late`."""

    code: int | None
    out: bytes
    err: bytes
    cut: bool = False
    """Output went over its cap; `out` holds the first bytes."""
    late: bool = False
    """The deadline passed."""


def run(
    argv: Sequence[str | bytes],
    *,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str],
    stdin: Iterable[bytes] = (),
    max_bytes: int,
    timeout_s: float,
) -> Finished:
    """Run and wait; `stdin` is fed piece by piece. Raises OSError when the program cannot start, and whatever cancels the tool call."""
    process = subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=subprocess.PIPE if stdin != () else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with _alive_lock:
        _alive.add(process)
    try:
        return _attend(process, iter(stdin), max_bytes, time.monotonic() + timeout_s)
    finally:
        _end(process)
        with _alive_lock:
            _alive.discard(process)


@contextlib.contextmanager
def shielded() -> Generator[None]:
    """What runs inside finishes although the tool call was cancelled: tidying up."""
    before = getattr(_here, "shielded", False)
    _here.shielded = True
    try:
        yield
    finally:
        _here.shielded = before


def end_all() -> None:
    """End whatever still runs: the server is going."""
    with _alive_lock:
        left = list(_alive)
    for process in left:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S / 3
    for process in left:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - time.monotonic(), 0))
        _signal(process, signal.SIGKILL)


def _attend(
    process: subprocess.Popen[bytes], stdin: Iterator[bytes], max_bytes: int, deadline: float
) -> Finished:
    """Feed stdin and gather both outputs until they close, the cap is reached or time is up."""
    assert process.stdout and process.stderr
    out, err = bytearray(), bytearray()
    todo = memoryview(b"")
    with selectors.DefaultSelector() as ready:
        for stream in (process.stdout, process.stderr):
            os.set_blocking(stream.fileno(), False)
            ready.register(stream, selectors.EVENT_READ)
        if process.stdin:
            os.set_blocking(process.stdin.fileno(), False)
            ready.register(process.stdin, selectors.EVENT_WRITE)
        while ready.get_map():
            _still_wanted()
            if time.monotonic() > deadline:
                return Finished(code=None, out=bytes(out), err=bytes(err), late=True)
            for key, _ in ready.select(_TICK_S):
                if process.stdin and key.fileobj is process.stdin:
                    todo = _feed(key.fd, todo or memoryview(next(stdin, b"")))
                    if todo is None:
                        ready.unregister(process.stdin)
                        process.stdin.close()
                    continue
                data = os.read(key.fd, 1 << 18)
                if not data:
                    ready.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    out += data
                    if len(out) > max_bytes:
                        return Finished(code=None, out=bytes(out[:max_bytes]), err=bytes(err), cut=True)
                else:
                    err += data[: max(_MAX_STDERR_BYTES - len(err), 0)]
    while process.poll() is None:  # it has closed its outputs, so this is short unless it detached
        _still_wanted()
        if time.monotonic() > deadline:
            return Finished(code=None, out=bytes(out), err=bytes(err), late=True)
        _pause(process)
    return Finished(code=process.returncode, out=bytes(out), err=bytes(err))


def _pause(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end, a tick at most. `wait` with a timeout would sleep half a millisecond at the least."""
    if not hasattr(os, "pidfd_open"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TICK_S)
        return
    fd = os.pidfd_open(process.pid)
    try:
        select.select([fd], [], [], _TICK_S)
    finally:
        os.close(fd)


def _feed(fd: int, todo: memoryview) -> memoryview | None:
    """Write what fits and return the rest; None when there is no more to write, or nobody to read it."""
    try:
        return todo[os.write(fd, todo[: 1 << 16]) :] if todo else None
    except BlockingIOError:
        return todo
    except BrokenPipeError:  # it wants no more; its exit code tells why
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the group survives: hooks and helpers are in it too."""
    try:
        if process.poll() is None:
            _signal(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
        _signal(process, signal.SIGKILL)
        process.wait()
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _still_wanted() -> None:
    """Raise when the tool call was cancelled. Outside a tool call (the command line) nobody cancels."""
    if getattr(_here, "shielded", False):
        return
    try:
        check_cancelled()
    except RuntimeError:
        return
