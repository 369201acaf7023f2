"""Protected places in the folders below a workspace's top: somebody opens such a folder as a project of its own, later.

Folders are read again when they changed: by their change time, which no command can set back.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...workspace.stand_ins import stand_ins
from .visible_paths import PROTECTED

MAX_FOLDERS = 4000  # those nearest to the top
MAX_NESTED = 200  # places that are held as they are
_RACY_S = 2.0
_NAMES = frozenset(name for name in PROTECTED if "/" not in name)
_GIT = tuple(name for name in PROTECTED if name.startswith(".git/"))
_SKIPPED = frozenset(
    {".git", "node_modules", "__pycache__", ".venv", "venv", "target", ".tox", ".mypy_cache", ".cache"}
)
_RUNS = re.compile(
    rb"^\s*(?:fsmonitor|hookspath|sshcommand|gitproxy|askpass|pager|editor|program|helper|external|textconv|driver|clean|"
    rb"smudge|process|command|cmd|path|worktree|attributesfile|\[\s*(?:alias|include|includeif|pager)\b)",
    re.IGNORECASE | re.MULTILINE,
)
"""What makes a repository's configuration run programs, or read more configuration."""


@dataclass(frozen=True, slots=True)
class _Seen:
    ctime_ns: int
    at_s: float
    folders: tuple[str, ...]
    places: tuple[str, ...]


class Survey:
    """One workspace's protected places below its top, by their path from there."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()

    def places(self) -> set[str]:
        """Those there are now; of a repository, what git runs by itself."""
        with self._lock:
            found: set[str] = set()
            todo = [""]
            for count, folder in enumerate(todo):
                if count >= MAX_FOLDERS:
                    break
                if (seen := self._look(folder)) is not None:
                    todo += seen.folders
                    found.update(seen.places if folder else ())
            self._seen = {folder: self._seen[folder] for folder in todo[:MAX_FOLDERS] if folder in self._seen}
        inner = {inner for place in found for inner in self._of_git(place)}
        return inner | self._stand_ins(found)

    def _stand_ins(self, places: set[str]) -> set[str]:
        """What lies elsewhere and stands for a protected place, at the top or below it."""
        folders = {"", *(place.rpartition("/")[0] for place in places)}
        found = set[str]()
        for folder in folders:
            found |= stand_ins(f"{self.root}/{folder}" if folder else self.root, self.root)
        return {place for place in found if os.path.lexists(f"{self.root}/{place}")}

    def _look(self, folder: str) -> _Seen | None:
        path = f"{self.root}/{folder}"
        try:
            ctime_ns = os.stat(path, follow_symlinks=False).st_ctime_ns
            known = self._seen.get(folder)
            if known and known.ctime_ns == ctime_ns and known.at_s - ctime_ns / 1e9 > _RACY_S:
                return known
            now = time.time()
            start = f"{folder}/" if folder else ""
            folders, places = list[str](), list[str]()
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name in _NAMES or entry.name == ".git":
                        places.append(start + entry.name)
                    elif entry.name not in _SKIPPED and entry.is_dir(follow_symlinks=False):
                        folders.append(start + entry.name)
        except OSError:
            return None
        seen = _Seen(ctime_ns, now, tuple(sorted(folders)), tuple(places))
        self._seen[folder] = seen
        return seen

    def _of_git(self, place: str) -> Iterator[str]:
        if not place.endswith("/.git"):
            yield place
        elif os.path.isdir(f"{self.root}/{place}"):
            above = place.removesuffix(".git")
            yield from (above + name for name in _GIT if os.path.lexists(f"{self.root}/{above}{name}"))
        else:
            yield place  # a file that says where the repository lies


def harmless_repository(git_dir: Path) -> bool:
    """Whether a repository that a command made runs nothing: no hook but samples, no setting that names a program."""
    try:
        hooks = os.listdir(git_dir / "hooks") if (git_dir / "hooks").is_dir() else []
        config = (git_dir / "config").read_bytes() if (git_dir / "config").is_file() else b""
    except OSError:
        return False
    odd = any((git_dir / name).exists() for name in ("config.worktree", "commondir"))
    return not odd and all(name.endswith(".sample") for name in hooks) and not _RUNS.search(config)


@lru_cache(maxsize=8)
def survey(root: Path) -> Survey:
    """The survey of a workspace, which remembers what it read."""
    return Survey(root)
