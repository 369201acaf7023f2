"""Files that one process at a time holds, and that say which one it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


class HeldElsewhere(Exception):
    """Another process holds the file; the message is its number, or "unknown"."""


def lock_now(fd: int) -> None:
    """Lock an open file for this descriptor alone, until it is closed. OSError when another has it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def held_alone(path: Path) -> Generator[None]:
    """Hold `path` until the block ends, or the process does; then the file goes.

    Raises HeldElsewhere, OSError, and ImportError where the system cannot hold files.
    """
    import fcntl

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise HeldElsewhere(_said_in(fd)) from None
            if not _is_at(fd, path):  # whoever held it before has just removed it: another may hold a new one
                continue
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
            try:
                yield
            finally:
                with suppress(OSError):
                    path.unlink()
            return
        finally:
            os.close(fd)


def holder(path: Path) -> str | None:
    """The number of the process that holds `path`, or "unknown"; None, and the file goes, where nobody does."""
    try:
        import fcntl

        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _said_in(fd)
    else:
        with suppress(OSError):
            path.unlink()
        return None
    finally:
        os.close(fd)


def _said_in(fd: int) -> str:
    return os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
