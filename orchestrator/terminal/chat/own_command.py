"""`!command` in a conversation: the person's own command, run in the folder as they would run it."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

import anyio

MAX_CHARS = 100_000
GRACE_S = 2.0


async def own_command(command: str, folder: str) -> str:
    """What it prints, output and errors in one, and its exit code. It ends with all it started, cancelled or not."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    printed, output = os.pipe()
    try:
        process = await anyio.open_process(
            [shell, "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as exc:
        os.close(printed)
        return f"{shell} does not start: {exc.strerror or exc}"
    finally:
        os.close(output)
    said = _Said(printed)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(said.listen)
            await process.wait()
            _end(process.pid)  # what it left in the background holds the pipe open
            with anyio.move_on_after(GRACE_S):
                await said.whole.wait()
            group.cancel_scope.cancel()
    finally:
        _end(process.pid)
        with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE_S):
            await process.aclose()
        os.close(printed)
    text = b"".join(said.pieces).decode("utf-8", "replace").rstrip("\n")
    cut = f"\n... {said.size - MAX_CHARS:,} more bytes" if said.size > MAX_CHARS else ""
    return f"exit={process.returncode}" + (f"\n{text}{cut}" if text else "")


class _Said:
    """What comes out of a pipe, up to a limit; the rest is counted."""

    def __init__(self, pipe: int) -> None:
        self.pipe, self.pieces, self.size = pipe, list[bytes](), 0
        self.whole = anyio.Event()

    async def listen(self) -> None:
        while True:
            await anyio.wait_readable(self.pipe)
            if not (piece := os.read(self.pipe, 1 << 16)):
                break
            self.size += len(piece)
            if self.size <= MAX_CHARS:
                self.pieces.append(piece)
        self.whole.set()


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
