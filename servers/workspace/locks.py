"""Locks on paths that hold between threads and between server processes.

Names hash onto a fixed set of lock files in the state folder: no litter grows, and whoever takes
every stripe (to move a whole folder) excludes all others.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import unicodedata
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager

from ..state.home import home
from ..state.one_process import lock_now

STRIPES = 64
WAIT_S = 20.0

_threads = [threading.Lock() for _ in range(STRIPES)]


@contextmanager
def held(names: Iterable[str] | None, wait_s: float = WAIT_S) -> Generator[None]:
    """Hold the locks of these absolute paths; None holds all. Raises TimeoutError after `wait_s`."""
    stripes = range(STRIPES) if names is None else sorted({_stripe(name) for name in names})
    deadline = time.monotonic() + wait_s
    folder = os.path.join(home(), "locks")
    with ExitStack() as stack:
        for stripe in stripes:  # always in ascending order: two holders cannot wait for each other
            if not _threads[stripe].acquire(timeout=max(deadline - time.monotonic(), 0)):
                raise TimeoutError("another change holds the lock")
            stack.callback(_threads[stripe].release)
            fd = _opened(folder, f"{stripe:02}")
            stack.callback(os.close, fd)  # closing lets go of the lock
            _lock(fd, deadline)
        yield


def _opened(folder: str, name: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(os.path.join(folder, name), flags, 0o600)
    except FileNotFoundError:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return os.open(os.path.join(folder, name), flags, 0o600)


def _stripe(name: str) -> int:
    """Two spellings of one name fall on one stripe also where the file system folds case or accents."""
    folded = unicodedata.normalize("NFC", name).casefold()
    return hashlib.blake2b(folded.encode("utf-8", "surrogateescape"), digest_size=2).digest()[0] % STRIPES


def _lock(fd: int, deadline: float) -> None:
    pause_s = 0.001
    while True:
        try:
            return lock_now(fd)
        except OSError as exc:
            if time.monotonic() > deadline:
                raise TimeoutError("another process holds the lock") from exc
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.02)
