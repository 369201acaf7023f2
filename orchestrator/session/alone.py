"""One process at a time goes on with a run that survives its process: two would ask every question twice."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress

from servers.state.home import home

from ..errors import RunError


@contextmanager
def alone(run: str) -> Generator[None]:
    """Hold the run until the block ends, or the process does. Raises RunError while another holds it.

    Where the state folder cannot be written to, nothing is held: what is not kept is not resumed either.
    """
    try:
        import fcntl

        folder = home() / "runs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path := folder / f"{run}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (ImportError, OSError):
        yield
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise RunError(
                f"the run {run} is being gone on with by process {holder}; wait for it, or end it"
            ) from None
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()
    finally:
        os.close(fd)
