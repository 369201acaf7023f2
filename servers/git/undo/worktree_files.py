"""Files of the work tree as they are on disk: read, written and removed beneath the root, links as links."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from ...output import ToolError
from ...source.quoted_paths import shown
from ...workspace.openat import Beneath, enter

_CHUNK = 1 << 20
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EXDEV, errno.ELOOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file or link. `mode` holds its permission bits."""

    kind: Literal["file", "link"]
    mode: int
    size: int


def look(tree: Beneath, path: bytes) -> Item | None:
    """What lies at a path; None for nothing, a folder, a device, or a path that leads through a link."""
    with _spot(tree, path) as spot:
        if spot is None:
            return None
        info = os.stat(spot[1], dir_fd=spot[0], follow_symlinks=False)
        if stat.S_ISLNK(info.st_mode):
            return Item(kind="link", mode=0o777, size=info.st_size)
        if stat.S_ISREG(info.st_mode):
            return Item(kind="file", mode=stat.S_IMODE(info.st_mode), size=info.st_size)
        return None


def content(tree: Beneath, path: bytes, item: Item) -> Iterator[bytes]:
    """Exactly `item.size` bytes. ToolError when the file changed size meanwhile."""
    with _spot(tree, path) as spot:
        if spot is None:
            raise _moved(path)
        if item.kind == "link":
            target = os.fsencode(os.readlink(spot[1], dir_fd=spot[0]))
            if len(target) != item.size:
                raise _moved(path)
            yield target
            return
        fd = os.open(spot[1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=spot[0])
    left = item.size
    with open(fd, "rb", buffering=0) as file:
        while left:
            data = file.read(min(left, _CHUNK))
            if not data:
                raise _moved(path)
            left -= len(data)
            yield data


def digest(tree: Beneath, path: bytes) -> str | None:
    """A hash of kind and bytes; None when nothing is there."""
    item = look(tree, path)
    if item is None:
        return None
    found = hashlib.blake2b(item.kind.encode(), digest_size=16)
    for chunk in content(tree, path, item):
        found.update(chunk)
    return found.hexdigest()


def put(tree: Beneath, path: bytes, item: Item, data: bytes) -> None:
    """Write a file or link over whatever file is there, folders made as needed. OSErrors come through."""
    name = os.path.basename(os.fsdecode(path))
    temp = f".{secrets.token_hex(6)}.understudy"
    with tree.find(os.fsdecode(path), follow=False) as spot:
        folder = enter(spot, [])
    try:
        if item.kind == "link":
            os.symlink(os.fsdecode(data), temp, dir_fd=folder)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temp, flags, item.mode, dir_fd=folder), "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), item.mode)
                os.fsync(file.fileno())
        try:
            os.replace(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(temp, dir_fd=folder)
            raise
    finally:
        os.close(folder)


def remove(tree: Beneath, path: bytes) -> None:
    """Remove a file or link if it is there, and the folders it leaves empty."""
    with _spot(tree, path) as spot:
        if spot is not None:
            os.unlink(spot[1], dir_fd=spot[0])
    parent = os.path.dirname(path)
    while parent:
        with tree.find(os.fsdecode(parent), follow=False) as spot:
            try:
                os.rmdir(spot.name, dir_fd=spot.folder)
            except OSError:
                return
        parent = os.path.dirname(parent)


def beneath(tree: Beneath, path: bytes) -> list[bytes]:
    """Every file and link under a folder, repositories of their own left out; [] when it is none."""
    return [name for _, names in _folders(tree, path, nested=False) for name in names]


def repository_in(tree: Beneath, path: bytes) -> bytes | None:
    """A repository of its own under a folder, or the folder itself when it is one."""
    return next(
        (folder for folder, names in _folders(tree, path, nested=True) if folder + b"/.git" in names), None
    )


def _folders(tree: Beneath, path: bytes, *, nested: bool) -> Iterator[tuple[bytes, list[bytes]]]:
    """Each folder and the files in it; of a repository of its own, if `nested`, nothing but its .git."""
    todo = [path]
    while todo:
        folder = todo.pop()
        try:
            with tree.find(os.fsdecode(folder), follow=False) as spot:
                fd = os.open(spot.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=spot.folder)
        except OSError:
            continue
        try:
            with os.scandir(fd) as entries:
                found = {
                    folder + b"/" + os.fsencode(entry.name): entry.is_dir(follow_symlinks=False)
                    for entry in entries
                }
        finally:
            os.close(fd)
        if folder + b"/.git" in found:
            if nested:
                yield folder, [folder + b"/.git"]
            continue
        todo += [name for name, is_folder in found.items() if is_folder]
        yield folder, [name for name, is_folder in found.items() if not is_folder]


@contextmanager
def _spot(tree: Beneath, path: bytes) -> Generator[tuple[int, str] | None]:
    """The folder descriptor and name of an existing path no link leads to; None otherwise."""
    given = os.fsdecode(path)
    with contextlib.ExitStack() as stack:
        found = None
        try:
            spot = stack.enter_context(tree.find(given, follow=False))
            if not spot.missing and spot.name and spot.real == given:
                os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
                found = (spot.folder, spot.name)
        except OSError as exc:
            if exc.errno not in _ABSENT:
                raise
        yield found


def _moved(path: bytes) -> ToolError:
    return ToolError(f"{shown(path)} changed while it was being kept for undo; try again")
