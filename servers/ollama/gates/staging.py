"""Copies of the root in which a candidate is in place, for gates to run in while the tree itself stays as it is."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ...output import ToolError
from ...shell.policy.rules import BUILT_IN, Policy
from ...state.one_process import lock_now
from ...workspace import Root, Workspace
from .judged import Result

if TYPE_CHECKING:
    from .command_gates import Checks

MAX_COPIED_BYTES, MAX_COPIED_FILES = 1 << 30, 50_000
UNASKED_BYTES, UNASKED_FILES = 1 << 28, 20_000
"""For tests that nobody asked to run, so much is copied and no more."""
SLOTS = 8
"""Scratch folders of one user; more gates than this at once wait."""
_LEFT_OUT = (".git", ".hg", ".svn")
_SCRATCH = "understudy-gates-"


@dataclass(slots=True, kw_only=True)
class Staging:
    """Runs gate commands on copies of a workspace's root."""

    workspace: Workspace
    policy: Policy = field(default_factory=lambda: BUILT_IN)

    _made: Checks | None = field(default=None, init=False)

    async def command(self, files: Mapping[str, bytes], command: str) -> Result:
        """Whether `command` exits 0 on a copy that holds these files, and what it said."""
        return await self._on_copy(files, command, lambda tree: self._checks.command(tree, command))

    async def tests(self, files: Mapping[str, bytes], target: str) -> Result:
        """Whether the project's tests pass on such a copy, by their runner's own report."""
        changed = list(self._one_root(files)[1])
        return await self._on_copy(
            files, "the tests", lambda tree: self._checks.tests(tree, target or None, changed)
        )

    async def own_tests(self, files: Mapping[str, bytes], target: str) -> Result:
        """The same for one test file nobody asked to run; passed is None where it may not run."""
        return await self._on_copy(
            files, "the tests", lambda tree: self._checks.tests(tree, target, asked=False), asked=False
        )

    def close(self) -> None:
        """End everything that still runs."""
        if self._made is not None:
            self._made.close()

    @property
    def _checks(self) -> Checks:
        if self._made is None:
            from .command_gates import (
                Checks,  # a third of the server's imports, for those who gate by commands
            )

            self._made = Checks(policy=self.policy)
        return self._made

    async def _on_copy(
        self,
        files: Mapping[str, bytes],
        what: str,
        run: Callable[[Path], Awaitable[Result]],
        *,
        asked: bool = True,
    ) -> Result:
        """What `run` says of a copy of the root that holds these files; never passed when it rewrote them."""
        root, reals = self._one_root(files)
        limits = (MAX_COPIED_BYTES, MAX_COPIED_FILES) if asked else (UNASKED_BYTES, UNASKED_FILES)
        async with _slot() as scratch:
            tree = scratch / (root.path.name or "root")
            try:
                await anyio.to_thread.run_sync(_copy, root.path, tree, *limits)
                await anyio.to_thread.run_sync(_place, tree, reals)
                passed, note, *_ = await run(tree)
                changed = await anyio.to_thread.run_sync(_changed, tree, reals)
            except (OSError, ValueError) as exc:
                raise ToolError(f"the gate could not run {what!r}: {exc}") from exc
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(_remove, tree)
        if passed and changed:
            return False, f"it passed but rewrote {changed} on the way: what it checked is not the candidate"
        return passed, note

    def _one_root(self, files: Mapping[str, bytes]) -> tuple[Root, Mapping[str, bytes]]:
        """The root all files lie in, and their places in it with links resolved."""
        found: dict[str, bytes] = {}
        roots: list[Root] = []
        for path, data in files.items():
            root, rel = self.workspace.locate(path)
            with root.find(rel) as spot:
                found[spot.real] = data
            if root not in roots:
                roots.append(root)
        if len(roots) > 1:
            raise ToolError("a command gate needs all changed files in one root")
        return (roots or list(self.workspace.all_roots()))[0], found


@asynccontextmanager
async def _slot() -> AsyncGenerator[Path]:
    """A scratch folder that is ours until we leave or die. Few of them: the shell keeps a cache for each place."""
    while True:
        for number in range(SLOTS):
            folder = _scratch() / str(number)
            fd = _claim(folder)
            if fd is not None:
                try:
                    yield folder
                finally:
                    os.close(fd)
                return
        await anyio.sleep(0.1)


def _scratch() -> Path:
    """This user's folder for copies, outside the state folder, which commands must not see. Raises OSError."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()).resolve() / f"{_SCRATCH}{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or (hasattr(os, "getuid") and info.st_uid != user):
        raise OSError(f"{folder} belongs to somebody else; remove it")
    folder.chmod(0o700)
    return folder


def _claim(folder: Path) -> int | None:
    """The descriptor that holds the folder's lock, or None when another gate has it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        lock_now(fd)
    except OSError:
        os.close(fd)
        return None
    return fd


def _copy(source: Path, target: Path, most_bytes: int, most_files: int) -> None:
    """Copy a tree by descriptor: links as links, special files and version control left out."""
    for left in target.parent.iterdir():  # by a server that was killed
        if left.is_dir() and not left.is_symlink():
            _remove(left)
    files = size = 0
    for folder, folders, names, fd in os.fwalk(source, follow_symlinks=False):
        into = target / os.path.relpath(folder, source)
        into.mkdir(parents=True, exist_ok=True)
        folders[:] = [n for n in folders if n not in _LEFT_OUT and not n.startswith(_SCRATCH)]
        for name in (*folders, *names):
            try:
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if stat.S_ISLNK(info.st_mode):
                    os.symlink(os.readlink(name, dir_fd=fd), into / name)
                elif stat.S_ISREG(info.st_mode):
                    files, size = files + 1, size + info.st_size
                    if files > most_files or size > most_bytes:
                        raise ValueError(
                            f"the root holds more than {most_files:,} files or {most_bytes >> 20:,} MB, "
                            "too much to copy for a gate; name a smaller root"
                        )
                    _copy_file(fd, name, into / name, info)
            except (
                PermissionError,
                FileNotFoundError,
            ):  # not ours to read, or gone since: the command may not need it
                continue


def _copy_file(folder: int, name: str, target: Path, info: os.stat_result) -> None:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(name, flags, dir_fd=folder), "rb") as old, open(target, "xb") as new:
        shutil.copyfileobj(old, new, 1 << 20)
    target.chmod(stat.S_IMODE(info.st_mode) | stat.S_IWUSR)
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _place(tree: Path, files: Mapping[str, bytes]) -> None:
    """Put the candidate's files into the copy. Their places hold no links: those were resolved in the tree."""
    for real, data in files.items():
        target = tree / real
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
        target.unlink(missing_ok=True)
        target.write_bytes(data)
        target.chmod(mode)


def _changed(tree: Path, files: Mapping[str, bytes]) -> str | None:
    """The first of these files that no longer holds what was placed."""
    for real, data in files.items():
        target = tree / real
        if target.is_symlink() or not target.is_file() or target.read_bytes() != data:
            return real
    return None


def _remove(tree: Path) -> None:
    """Remove a copy, whatever the command made of its modes."""
    if not tree.exists():
        return
    for folder, folders, _ in os.walk(tree):
        for name in folders:
            place = Path(folder) / name
            if not place.is_symlink():
                place.chmod(0o700)
    shutil.rmtree(tree)
