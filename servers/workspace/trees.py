"""Whole trees by descriptor: measured, copied, moved and removed without following a link."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass

from .file_io import sync_folder

MAX_ENTRIES = 200_000
MAX_DEPTH = 200
MAX_HASHED_BYTES = 64 << 20

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NOFOLLOW | _CLOEXEC
_FILE = os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_NONBLOCK", 0)


@dataclass(slots=True)
class Measure:
    """What a tree holds."""

    entries: int = 0
    size: int = 0  # bytes of its files


def measure(folder: int, name: str, see: Callable[[str, os.stat_result], None], inside: str = "") -> Measure:
    """Count a tree; `see` gets each path within it with its stat, and may raise. OSError for special files and huge trees."""
    total = Measure()
    _measure(folder, name, see, inside, total)
    return total


def fingerprint(folder: int, name: str) -> str:
    """Stands for what a tree holds: names, modes and contents, in a big one times for contents. A copy has the same."""
    files: dict[str, os.stat_result] = {}
    others: list[tuple[str, int]] = []

    def see(path: str, info: os.stat_result) -> None:
        if stat.S_ISREG(info.st_mode):
            files[path] = info
        else:
            others.append((path[len(name) :], stat.S_IFMT(info.st_mode)))

    small = measure(folder, name, see).size <= MAX_HASHED_BYTES
    facts = [
        (path[len(name) :], info.st_mode, _hash(folder, path) if small else (info.st_size, info.st_mtime_ns))
        for path, info in files.items()
    ]
    return hashlib.blake2b(repr((sorted(facts), sorted(others))).encode(), digest_size=6).hexdigest()


def copy_tree(source: int, name: str, target: int, new: str) -> None:
    """Copy one name with all below it; modes and times go along. OSError leaves a partial copy behind."""
    info = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), new, dir_fd=target)
        return
    if stat.S_ISREG(info.st_mode):
        _copy_file(source, name, target, new, info)
        return
    if not stat.S_ISDIR(info.st_mode):
        raise OSError(errno.EINVAL, f"{name!r} is neither file, folder nor link")
    os.mkdir(new, 0o700, dir_fd=target)
    inner, made = os.open(name, _FOLDER, dir_fd=source), os.open(new, _FOLDER, dir_fd=target)
    try:
        for child in os.listdir(inner):
            copy_tree(inner, child, made, child)
        os.chmod(made, stat.S_IMODE(info.st_mode))
        os.utime(made, ns=(info.st_atime_ns, info.st_mtime_ns))
    finally:
        os.close(inner)
        os.close(made)


def remove_tree(folder: int, name: str) -> None:
    """Remove one name with all below it."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    inner = os.open(name, _FOLDER, dir_fd=folder)
    try:
        for child in os.listdir(inner):
            remove_tree(inner, child)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder)


def rename_new(source: int, name: str, target: int, new: str) -> None:
    """Rename, but never over something that is there: FileExistsError then. EXDEV between file systems."""
    if (rename := _renameat2()) is not None:
        if rename(source, os.fsencode(name), target, os.fsencode(new), 1) == 0:  # RENAME_NOREPLACE
            sync_folder(target)
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):  # some file systems lack it
            raise OSError(code, os.strerror(code))
    if exists(target, new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)
    sync_folder(target)


def exists(folder: int, name: str) -> bool:
    """Whether a name is there, also as a link that leads nowhere."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _hash(folder: int, path: str) -> str:
    with open(os.open(path, _FILE, dir_fd=folder), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _measure(
    folder: int, name: str, see: Callable[[str, os.stat_result], None], inside: str, total: Measure
) -> None:
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    path = f"{inside}/{name}" if inside else name
    see(path, info)
    total.entries += 1
    if total.entries > MAX_ENTRIES:
        raise OSError(errno.EFBIG, f"it holds more than {MAX_ENTRIES:,} entries")
    if path.count("/") > MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, f"it nests deeper than {MAX_DEPTH} folders")
    if stat.S_ISREG(info.st_mode):
        total.size += info.st_size
    elif stat.S_ISDIR(info.st_mode):
        inner = os.open(name, _FOLDER, dir_fd=folder)
        try:
            for child in os.listdir(inner):
                _measure(inner, child, see, path, total)
        finally:
            os.close(inner)
    elif not stat.S_ISLNK(info.st_mode):
        raise OSError(errno.EINVAL, f"{path!r} is neither file, folder nor link")


def _copy_file(source: int, name: str, target: int, new: str, info: os.stat_result) -> None:
    read = os.open(name, _FILE, dir_fd=source)
    try:
        write = os.open(
            new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC, 0o600, dir_fd=target
        )
        try:
            while data := os.read(read, 1 << 20):
                view = memoryview(data)
                while view:
                    view = view[os.write(write, view) :]
            os.chmod(write, stat.S_IMODE(info.st_mode))
            os.utime(write, ns=(info.st_atime_ns, info.st_mtime_ns))
            os.fsync(write)
        finally:
            os.close(write)
    finally:
        os.close(read)


def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(_libc, "renameat2", None)


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
