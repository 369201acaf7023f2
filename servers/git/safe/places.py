"""The repositories below one root: which one a call means, and which others there are."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from ...output import ToolError, one_line
from ...source.quoted_paths import shown, taken
from .repository import BARE, Place, Repository, is_bare

MAX_KEPT = 32  # places looked at before, with what was read of them
_MAX_FOLDERS = 2000
_MAX_DEPTH = 3
_MAX_PATH_BYTES = 4096


class Places:
    """One root and the work trees in it. A call names one by its folder; without a name it is the default."""

    def __init__(self, root: str | os.PathLike[str], repo: str | os.PathLike[str] = ".") -> None:
        """ValueError in one sentence when there is no such folder, or `repo` lies outside `root`."""
        self.default = Place(root, repo)
        self._lock = threading.Lock()
        self._places: dict[Path, Place] = {self.default.top: self.default}

    def repository(self, repo: str | None) -> Repository:
        """The repository a call means, verified. ToolError says in one sentence why there is none to use."""
        if repo is not None:
            return self._place(self._folder(repo)).repository()
        if not os.path.lexists(self.default.top / ".git") and (below := repositories_below(self.default.top)):
            names = ", ".join(shown(os.fsencode(path.relative_to(self.default.root))) for path in below[:8])
            raise ToolError(f"the root is no git repository, but holds some: say repo=, one of {names}")
        try:
            return self.default.repository()
        except ToolError:
            if not os.path.lexists(self.default.top / ".git") and (bare := _bare_in(self.default.top)):
                raise ToolError(f"{_named(self.default.root, bare)} is {BARE}") from None
            raise

    def _place(self, top: Path) -> Place:
        with self._lock:
            if top not in self._places:
                while len(self._places) >= MAX_KEPT:
                    self._places.pop(next(path for path in self._places if path != self.default.top))
                self._places[top] = Place(self.default.root, top)
            return self._places[top]

    def _folder(self, repo: str) -> Path:
        """The work tree's top that is meant."""
        raw = taken(repo)
        if not raw or b"\0" in raw or len(raw) > _MAX_PATH_BYTES:
            raise ToolError("repo is the folder of a repository below the root, such as backend")
        root = self.default.root
        top = Path(os.path.realpath(root / os.fsdecode(raw)))
        if not top.is_relative_to(root):
            raise ToolError(f"repo {one_line(repo)!r} lies outside the root")
        if not os.path.isdir(top):  # also where a name is too long for any folder
            raise ToolError(f"there is no folder {one_line(repo)!r} below the root{_listed(root)}")
        if os.path.lexists(top / ".git") or top == self.default.top:
            return top
        if is_bare(top):
            raise ToolError(f"{one_line(repo)!r} is {BARE}")
        above = (folder for folder in top.parents if folder.is_relative_to(root))
        holder = next((folder for folder in above if os.path.lexists(folder / ".git")), None)
        where = f"; it belongs to the one in {_named(root, holder)}" if holder else _listed(root)
        raise ToolError(f"{one_line(repo)!r} is no repository of its own{where}")


def repositories_below(top: Path) -> list[Path]:
    """Folders below `top` that hold a .git, nearest first; links and what lies too deep are left out."""
    found: list[Path] = []
    todo = [(top, 0)]
    for count, (folder, depth) in enumerate(todo):
        if count >= _MAX_FOLDERS:
            break
        try:
            with os.scandir(folder) as entries:
                below = sorted(
                    entry.path
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False) and entry.name not in (".git", "node_modules")
                )
        except OSError:
            continue
        for path in map(Path, below):
            if os.path.lexists(path / ".git"):
                found.append(path)
            if depth + 1 < _MAX_DEPTH:
                todo.append((path, depth + 1))
    return found


def _bare_in(top: Path) -> Path | None:
    """The first bare repository right in a folder that is none itself."""
    inside = () if is_bare(top) else sorted(top.iterdir())
    return next((path for path in inside if path.is_dir() and is_bare(path)), None)


def _listed(root: Path) -> str:
    names = [_named(root, path) for path in repositories_below(root)[:8]]
    return f"; repositories are in {', '.join(names)}" if names else ""


def _named(root: Path, path: Path) -> str:
    return shown(os.fsencode(path.relative_to(root)))
