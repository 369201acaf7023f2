"""Nothing in a git dir may lead outside the root: no link, no borrowed objects, no device.

git follows links inside its own folder without asking: a linked index or log would write to the other
end, linked packs would show another repository's objects.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ...output import ToolError, one_line
from ...source.quoted_paths import taken

MAX_ENTRIES = 500_000
MAX_ALTERNATES = 20
_RACY_S = 2.0  # a folder changed so recently may change again without its time showing it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    mtime_ns: int
    at_s: float
    folders: tuple[str, ...]


def within(root: Path, path: Path, what: str) -> Path:
    """Where a path really leads. ToolError when that is outside the root."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        raise ToolError(
            f"{what} lies outside the root, so this repository is not used; start understudy-git with a ROOT "
            "that holds both and --repo FOLDER for the work tree"
        )
    return real


def swappable(path: Path, top: Path) -> bool:
    """Whether a command that writes the work tree could replace what lies there; beneath .git git never writes."""
    real, inside = os.path.join(os.path.realpath(path), ""), os.path.join(top, "")
    return real.startswith(inside) and ".git" not in real[len(inside) :].lower().split(os.sep)


class Survey:
    """Looks through a git dir; folders that have not changed since are not read again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()

    def check(self, git_dir: Path) -> None:
        """ToolError when something in it leads out of the root."""
        with self._lock:
            todo, count = [str(git_dir)], 0
            while todo:
                folder = todo.pop()
                count += 1
                if count > MAX_ENTRIES:
                    raise ToolError(
                        f"the git dir holds more than {MAX_ENTRIES:,} folders; it cannot be checked"
                    )
                todo += self._look(folder)
        self._check_alternates(git_dir / "objects", set())

    def _look(self, folder: str) -> tuple[str, ...]:
        """The folders in `folder`, everything else in it found harmless."""
        try:
            mtime_ns = os.stat(folder).st_mtime_ns
        except FileNotFoundError:  # gone since its parent was read
            return ()
        known = self._seen.get(folder)
        if known and known.mtime_ns == mtime_ns and known.at_s - mtime_ns / 1e9 > _RACY_S:
            return known.folders
        folders: list[str] = []
        now = time.time()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        self._check_link(entry.path)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif not entry.is_file(follow_symlinks=False):
                        self._check_kind(entry.path)
        except FileNotFoundError:
            return ()
        except PermissionError:
            return ()  # git cannot read it either
        self._seen[folder] = _Seen(mtime_ns=mtime_ns, at_s=now, folders=tuple(folders))
        return tuple(folders)

    def _check_link(self, path: str) -> None:
        if not Path(os.path.realpath(path)).is_relative_to(self.root):
            raise ToolError(
                f"{self._named(path)} is a link that leads outside the root, so this repository is not used; "
                "remove the link, or start understudy-git with a ROOT that holds both ends"
            )

    def _check_kind(self, path: str) -> None:
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise ToolError(
                f"{self._named(path)} is no regular file, so this repository is not used; remove it"
            )

    def _check_alternates(self, objects: Path, seen: set[Path]) -> None:
        """Every object folder this one borrows from lies inside the root too."""
        if objects in seen or len(seen) > MAX_ALTERNATES:
            return
        seen.add(objects)
        try:
            with open(objects / "info" / "alternates", "rb") as file:
                lines = file.read(1 << 16).split(b"\n")
        except OSError:
            return
        for line in lines:
            if not line or line.startswith(b"#"):
                continue
            raw = taken(os.fsdecode(line)) if line.startswith(b'"') else line
            other = Path(os.path.realpath(os.path.join(objects, os.fsdecode(raw))))
            if not other.is_relative_to(self.root):
                raise ToolError(
                    "objects/info/alternates borrows objects from a repository outside the root, so this "
                    "repository is not used; run `git repack -a -d` and delete that file, or start "
                    "understudy-git with a ROOT that holds both"
                )
            self._check_alternates(other, seen)

    def _named(self, path: str) -> str:
        return one_line(os.path.relpath(path, self.root))
