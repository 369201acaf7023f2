"""Opening beneath a folder by descriptor: no path, link or race leads out of it.

Linux's openat2(RESOLVE_BENEATH) does it in one call; elsewhere, and wherever something is about to
change, the path is walked component by component with O_NOFOLLOW, links resolved by hand.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import sys
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MAX_LINKS = 40  # as the kernel

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
_QUIET = _CLOEXEC | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_NONBLOCK", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_PATH = getattr(os, "O_PATH", 0)  # enough to pass through a folder one may not list
_FOLDER = _CLOEXEC | getattr(os, "O_DIRECTORY", 0) | _NOFOLLOW | _PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One name in an open folder. With `missing`, the folder is the deepest that exists on the way."""

    folder: int
    missing: tuple[str, ...]
    name: str  # "" for the root itself
    real: str  # root-relative, links resolved


class Beneath:
    """An open folder and what can be reached in it. OSErrors come through; EXDEV means: leads outside."""

    def __init__(self, path: Path, spellings: Sequence[str] = ()) -> None:
        self.path = path
        self.spellings = sorted({str(path), *spellings}, key=len, reverse=True)
        self.fd = os.open(path, _QUIET | getattr(os, "O_DIRECTORY", 0))
        weakref.finalize(self, os.close, self.fd)

    def open(self, path: str, flags: int = os.O_RDONLY) -> tuple[int, str]:
        """A descriptor and the real root-relative path, links resolved. Never blocks on a FIFO or a device."""
        try:
            fd = _openat2(self.fd, path or ".", flags | (_CLOEXEC if flags & _PATH else _QUIET))
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            fd = None  # perhaps an absolute link that leads back inside, which the walk finds out
        if fd is not None:
            real = self._name_of(fd)
            if real is not None:
                return fd, real
            os.close(fd)
        return self._walk_open(path, flags)

    @contextmanager
    def find(self, path: str, *, follow: bool = True) -> Generator[Spot]:
        """Where `path` lives, for changing it by its folder's descriptor, which closes on leaving.

        A link in the last place is followed unless `follow` is false.
        """
        folders = [os.dup(self.fd)]
        try:
            yield _walk(folders, path, follow, self.spellings)
        finally:
            for fd in folders:
                os.close(fd)

    def _walk_open(self, path: str, flags: int) -> tuple[int, str]:
        for _ in range(MAX_LINKS):
            with self.find(path) as spot:
                if spot.missing:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                try:
                    name = spot.name or "."
                    return os.open(name, flags | _QUIET | _NOFOLLOW, dir_fd=spot.folder), spot.real
                except OSError as exc:
                    if exc.errno != errno.ELOOP:  # a link put there since the walk: walk again
                        raise
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    def _name_of(self, fd: int) -> str | None:
        """The real path of an open file, from the kernel; None where it does not say."""
        try:
            root, full = os.readlink(f"/proc/self/fd/{self.fd}"), os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            return None
        if full == root:
            return ""
        inside = root.rstrip("/") + "/"
        return full[len(inside) :] if full.startswith(inside) and not full.endswith(" (deleted)") else None


def enter(spot: Spot, made: list[str]) -> int:
    """A descriptor of the folder that holds the spot's name, missing folders made; their paths join `made`."""
    fd = os.dup(spot.folder)
    parts = spot.real.split("/")
    for i, name in enumerate(spot.missing):
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=fd)
                made.append("/".join(parts[: len(parts) - len(spot.missing) + i]))
            deeper = os.open(name, _FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


def _walk(folders: list[int], path: str, follow: bool, roots: Sequence[str]) -> Spot:
    """Walk `path` from folders[0]; `folders` ends as the stack of open folders, the caller's to close."""
    todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    names: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            if not names:
                raise _outside()
            names.pop()
            os.close(folders.pop())
            continue
        target = _target(folders[-1], part) if todo or follow else None
        if target is not None:
            links += 1
            if target.startswith("/"):  # from the root again where it names a place in it, by its text alone
                target = _inside(target, roots)
                while names:
                    names.pop()
                    os.close(folders.pop())
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            todo += [step for step in reversed(target.split("/")) if step not in ("", ".")]
            continue
        if not todo:
            return Spot(folder=folders[-1], missing=(), name=part, real="/".join([*names, part]))
        try:
            folders.append(os.open(part, _FOLDER, dir_fd=folders[-1]))
        except FileNotFoundError:
            rest = [part, *reversed(todo)]
            if ".." in rest:
                raise
            real = "/".join([*names, *rest])
            return Spot(folder=folders[-1], missing=tuple(rest[:-1]), name=rest[-1], real=real)
        names.append(part)
    name = names[-1] if names else ""
    return Spot(folder=folders[-2] if names else folders[-1], missing=(), name=name, real="/".join(names))


def _inside(target: str, roots: Sequence[str]) -> str:
    """What follows the root's own name in an absolute path. OSError (EXDEV) when it begins otherwise."""
    for root in roots:
        if target == root or target.startswith(root.rstrip("/") + "/"):
            return target[len(root) :]
    raise _outside()


def _target(folder: int, name: str) -> str | None:
    """What a link points to; None when the name is no link or is not there."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _outside() -> OSError:
    return OSError(errno.EXDEV, "leads out of the root")


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_SYS_OPENAT2 = 437  # the same number on every architecture
_NO_MAGICLINKS, _BENEATH = 0x02, 0x08
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _openat2(root: int, path: str, flags: int) -> int | None:
    """A descriptor, or None where the kernel does not offer the call."""
    if _libc is None:
        return None
    how = _How(flags, 0, _NO_MAGICLINKS | _BENEATH)
    encoded = os.fsencode(path)
    for _ in range(1000):
        fd = _libc.syscall(_SYS_OPENAT2, root, encoded, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code in (errno.ENOSYS, errno.EPERM):  # EPERM: some seccomp filters; the walk finds out
            return None
        if code == errno.EXDEV:
            raise _outside()
        if code not in (errno.EAGAIN, errno.EINTR):  # EAGAIN: a rename raced with `..`
            raise OSError(code, os.strerror(code))
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
