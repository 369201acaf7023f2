"""The bytes of one file, by descriptor: revisions, whole reads, writes that are all there or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress

from ..output import ToolError

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def rev_of(data: bytes) -> str:
    """A content hash, short enough to copy: 48 bits of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=6).hexdigest()


def stat_rev(info: os.stat_result) -> str:
    """Stands for the content of a file too large to hash: its identity, size and times."""
    parts = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
    return "s" + hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def read_all(fd: int, path: str, max_bytes: int) -> bytes:
    """All of an open regular file, also while it grows. ToolError over `max_bytes`."""
    parts: list[bytes] = []
    room = max_bytes + 1
    while room > 0 and (part := os.read(fd, min(room, 1 << 20))):
        parts.append(part)
        room -= len(part)
    if room <= 0:
        raise ToolError(f"{path} is larger than {max_bytes:,} bytes")
    return b"".join(parts)


def content(folder: int, name: str, max_bytes: int) -> bytes | None:
    """A regular file's bytes; None when it is not there."""
    flags = os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_NONBLOCK", 0)
    try:
        fd = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        return read_all(fd, name, max_bytes)
    finally:
        os.close(fd)


def write_temp(
    folder: int, temp: str, data: bytes, like: os.stat_result | None, name: str, mode: int | None = None
) -> None:
    """Write and sync a new file beside its target, with the target's owner, attributes and, unless given, mode."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC
    fd = os.open(temp, flags, 0o666 if like is None else 0o600, dir_fd=folder)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if like is not None:
            _copy_attributes(fd, folder, name, like)
        if mode is not None:
            os.chmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)


def is_foreign(info: os.stat_result, owner: int) -> bool:
    """Whether a file is a hard link to one of another user, which may belong somewhere else entirely."""
    return stat.S_ISREG(info.st_mode) and info.st_nlink > 1 and info.st_uid not in (owner, os.geteuid())


def put_bytes(folder: int, name: str, data: bytes | None, mode: int | None, temp: str) -> None:
    """Make a file hold `data`, or be gone, by rename."""
    if data is None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        return
    with suppress(FileNotFoundError):  # an earlier attempt that was killed
        os.unlink(temp, dir_fd=folder)
    write_temp(folder, temp, data, None, name)
    if mode is not None:
        os.chmod(temp, mode, dir_fd=folder)
    os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)


def sync_folder(folder: int) -> None:
    """Make renames in a folder last, where the system can."""
    with suppress(OSError):
        fd = os.open(".", os.O_RDONLY | getattr(os, "O_DIRECTORY", 0), dir_fd=folder)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _copy_attributes(fd: int, folder: int, name: str, like: os.stat_result) -> None:
    mine = os.fstat(fd)
    if hasattr(os, "fchown") and (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
        with suppress(OSError):  # only root may give files away; the content matters more
            os.fchown(fd, like.st_uid, like.st_gid)
    if hasattr(os, "listxattr"):
        with suppress(OSError):
            source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            try:
                for attribute in os.listxattr(source):
                    with suppress(OSError):
                        os.setxattr(fd, attribute, os.getxattr(source, attribute))
            finally:
                os.close(source)
    os.chmod(fd, stat.S_IMODE(like.st_mode))
