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
    """What it prints, output and errors in one, and its exit code. Cancelled, it ends with all it started."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    try:
        process = await anyio.open_process(
            [shell, "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as exc:
        return f"{shell} does not start: {exc.strerror or exc}"
    pieces: list[bytes] = []
    try:
        assert process.stdout is not None
        size = 0
        async for piece in process.stdout:
            size += len(piece)
            if size <= MAX_CHARS:
                pieces.append(piece)
        code = await process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE_S):
            await process.aclose()
    said = b"".join(pieces).decode("utf-8", "replace").rstrip("\n")
    cut = f"\n... {size - MAX_CHARS:,} more bytes" if size > MAX_CHARS else ""
    return f"exit={code}" + (f"\n{said}{cut}" if said else "")
