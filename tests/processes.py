"""Processes of one test alone, whatever else runs on the machine, and waiting for what they do."""

from __future__ import annotations

import errno
import os
import secrets
import subprocess
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psutil

from tests.command import Running

PATIENCE_S = 60.0  # long enough for a machine with much else to do; nothing waits this long when all is well


def own_sleep() -> str:
    """A time for `sleep`, over two hours, that no other process on the machine was given."""
    return f"8300.{secrets.randbelow(10**12):012d}"


def alive(*marks: str) -> list[int]:
    """The processes that have one of the marks as a word of their command line."""
    found: list[int] = []
    for process in psutil.process_iter(["cmdline"]):
        if set(marks) & set(process.info["cmdline"] or ()):
            found.append(process.pid)
    return found


def command_lines_with(words: str) -> list[str]:
    """The command lines that hold these words, which must be a test's own, such as its folder."""
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if words in line]


def until(
    holds: Callable[[], object],
    what: str = "it",
    pause_s: float = 0.005,
    by: subprocess.Popen[bytes] | subprocess.Popen[str] | Running | None = None,
) -> None:
    """Come back once it holds; one that never does is a failure, not a hang, and so is the end of whom it waits for."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen in {PATIENCE_S:.0f} s"
        if by is not None and by.poll() is not None and not holds():
            out, err = by.communicate(timeout=PATIENCE_S)
            raise AssertionError(f"{by.args} ended with {by.returncode} before {what}: {out!r} {err!r}")
        time.sleep(pause_s)


@contextmanager
def being_read(pipe: Path, by: Running) -> Generator[None]:
    """Within the block `by` waits for what is written to the named pipe, which is nothing."""
    opened: list[int] = []

    def has_reader() -> bool:
        try:
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as exc:
            if exc.errno != errno.ENXIO:  # nobody reads it yet
                raise
        return bool(opened)

    until(has_reader, f"the reading of {pipe.name}", by=by)
    try:
        yield
    finally:
        os.close(opened[0])


async def cancelled_once(happened: Callable[[], object], work: Callable[[], Awaitable[object]]) -> None:
    """Begin the work and cancel it as soon as something has happened, however long that takes."""
    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await anyio.to_thread.run_sync(until, happened)
        group.cancel_scope.cancel()
