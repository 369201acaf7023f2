"""What was decided and done, one JSON line each, chained by hash so that a missing or altered line shows.

Lies in the state folder, outside every workspace. Several processes may write one file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ..output import masked, one_line
from .home import home

MAX_BYTES = 16 << 20  # then the file is set aside, and a new one continues its chain
KEPT = 4  # files set aside
_MAX_VALUE = 500
_FIRST = "0" * 32

log = logging.getLogger(__name__)


def record(name: str, **facts: Any) -> None:
    """Append one line to the audit of `name`. Secrets are masked, long values cut.

    Never raises: what happened has happened, and stderr says when it could not be written down.
    """
    try:
        folder = os.path.join(home(), "audit")
        if not os.path.lexists(folder):
            os.makedirs(folder, 0o700, exist_ok=True)
        if os.path.islink(folder):
            raise OSError(f"{folder} is a link, which could lead anywhere")
        _append(
            os.path.join(folder, name),
            {key: _short(value) for key, value in facts.items() if value is not None},
        )
    except OSError as exc:
        log.error("the audit could not be written: %s", exc)


def files() -> list[Path]:
    """Every audit file there is, those set aside included, by name. OSError when they cannot be listed."""
    folder = home() / "audit"
    return sorted(folder.glob("*.jsonl")) if folder.is_dir() else []


def first_break(path: Path) -> int | None:
    """The number, from 1, of the first line that does not follow from the one before it; None when all do.

    The first line of a file is taken as it is: what it follows may have been thrown away.
    """
    before: str | None = None
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry = json.loads(line)
            own = entry.pop("hash")
        except (ValueError, KeyError, AttributeError):
            return number
        if own != _hash(entry) or (before is not None and entry.get("prev") != before):
            return number
        before = own
    return None


def _append(name: str, facts: dict[str, Any]) -> None:
    path = f"{name}.jsonl"
    with _opened(f"{name}.lock") as lock:
        _hold(lock)
        with ExitStack() as stack:
            file = stack.enter_context(_opened(path))
            size = os.fstat(file).st_size
            previous = _last_hash(file, size)
            if size > MAX_BYTES:
                _set_aside(Path(path))
                file = stack.enter_context(_opened(path))
            entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **facts, "prev": previous}
            line = json.dumps({**entry, "hash": _hash(entry)}, ensure_ascii=False) + "\n"
            rest = memoryview(line.encode("utf-8", "backslashreplace"))
            while rest:
                rest = rest[os.write(file, rest) :]


@contextmanager
def _opened(path: str) -> Generator[int]:
    fd = _plain_file(path)
    try:
        yield fd
    finally:
        os.close(fd)


def _plain_file(path: str) -> int:
    """A descriptor of the file, made when it is not there. OSError when it is a link, or another name's file too."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise OSError(f"{path} is a link, which could lead anywhere") from None
        raise
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
        os.close(fd)
        raise OSError(f"{path} is no file of its own, or has a second name")
    return fd


def _hash(entry: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(entry, sort_keys=True).encode(), digest_size=16).hexdigest()


def _last_hash(fd: int, size: int) -> str:
    """The hash of the last whole line; a torn one, from a crash, is followed as it is."""
    if not size:
        return _FIRST
    for most in (2048, 65536):  # nearly every line is shorter than the first
        os.lseek(fd, max(size - most, 0), os.SEEK_SET)
        tail = os.read(fd, most)
        if b"\n" in tail[:-1]:
            break
    if not tail.endswith(b"\n"):
        os.write(fd, b"\n")
    try:
        return str(json.loads(tail.rstrip(b"\n").rpartition(b"\n")[2])["hash"])
    except (ValueError, KeyError, TypeError):
        return hashlib.blake2b(tail, digest_size=16).hexdigest()


def _set_aside(path: Path) -> None:
    for number in range(KEPT - 1, 0, -1):
        older = path.with_suffix(f".{number}.jsonl")
        if older.exists():
            older.replace(path.with_suffix(f".{number + 1}.jsonl"))
    path.replace(path.with_suffix(".1.jsonl"))


def _short(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = masked(one_line(value))
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}... ({len(text):,} characters)"


def _hold(fd: int) -> None:
    """Lock until the file is closed."""
    try:
        import fcntl
    except ImportError:  # Windows: one host seldom starts a server twice at once
        return
    fcntl.flock(fd, fcntl.LOCK_EX)
