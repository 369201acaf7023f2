"""The repository's own configuration with everything it includes, read as data and only when it changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...output import ToolError, one_line
from . import config_overrides as config
from .config_overrides import Settings
from .containment import swappable, within
from .git import Git

_MAX_CONFIG_BYTES = 8 << 20
_MAX_INCLUDES = 50

Stamp = tuple[tuple[str, int, int, int], ...]


class Configuration:
    """Reads it for one work tree. Every file of it lies inside the root, or the repository is not used."""

    def __init__(self, root: Path, top: Path) -> None:
        self.root, self.top = root, top
        self._read: tuple[Path, Stamp, Settings] | None = None

    def read(self, git: Git, git_dir: Path, common_dir: Path) -> Settings:
        """All entries. ToolError when a file of it lies outside the root or is none."""
        if self._read is not None and self._read[0] == git_dir and _stamp(self._read[1]) == self._read[1]:
            return self._read[2]
        files = [str(common_dir / "config"), str(git_dir / "config.worktree")]
        # By file: discovery shows nothing at all of a repository whose format git does not know.
        entries = [entry for file in files if os.path.lexists(file) for entry in _listed(git, file)]
        unsteady = self._unsteady(git_dir, common_dir, files)
        read = {origin for origin, _, _ in entries}
        todo = list(entries)
        while todo:
            origin, key, value = todo.pop()
            if key != "include.path" and not (key.startswith("includeif.") and key.endswith(".path")):
                continue
            target = self._included(origin, value)
            unsteady = unsteady or f"the repository's configuration includes {self._named(target)}"
            files.append(target)
            if f"file:{target}" not in read and os.path.isfile(target):
                if len(files) > _MAX_INCLUDES:
                    raise ToolError(
                        f"the repository's configuration includes more than {_MAX_INCLUDES} files"
                    )
                read.add(f"file:{target}")
                more = _listed(git, target)
                read |= {origin for origin, _, _ in more}
                entries += more
                todo += more
        for origin in read:
            if origin.startswith("file:"):
                self._inside(Path(origin.removeprefix("file:")))
        settings = Settings(entries=tuple((key, value) for _, key, value in entries), unsteady=unsteady)
        self._read = (git_dir, _stamp([(file, 0, 0, 0) for file in dict.fromkeys(files)]), settings)
        return settings

    def _unsteady(self, git_dir: Path, common_dir: Path, files: Sequence[str]) -> str:
        """Why a command that writes files could rewrite these settings while git runs; "" when none can."""
        for folder in (git_dir, common_dir):
            if swappable(folder, self.top):
                return f"the git dir {self._named(str(folder))} lies among the files of the work tree"
        for file in files:
            if os.path.lexists(file) and (os.path.islink(file) or os.stat(file).st_nlink > 1):
                return f"{self._named(file)} is a file under two names"
        return ""

    def _included(self, origin: str, value: str) -> str:
        """Where an include points. Conditions are not trusted: whatever could be included is looked at."""
        base = Path(origin.removeprefix("file:")).parent
        if value.startswith("%(prefix)"):  # git's own installation
            target = Path(value.removeprefix("%(prefix)"))
        else:
            target = Path(os.path.expanduser(value)) if value.startswith("~") else base / value
        real = self._inside(target)
        if real.exists() and not real.is_file():
            raise ToolError("the repository's configuration includes something that is no regular file")
        return str(target)

    def _inside(self, path: Path) -> Path:
        return within(self.root, path, "a file the repository's configuration includes")

    def _named(self, path: str) -> str:
        return one_line(os.path.relpath(path, self.top))[:200]


def _listed(git: Git, file: str) -> list[tuple[str, str, str]]:
    args = ["config", "--file", file, "--list", "-z", "--show-origin", "--includes"]
    return config.parse(git(*args, max_bytes=_MAX_CONFIG_BYTES))


def _stamp(files: Sequence[tuple[str, int, int, int]]) -> Stamp:
    """Identity, size and time of each file; a missing one has zeros."""
    out: list[tuple[str, int, int, int]] = []
    for name, *_ in files:
        try:
            info = os.stat(name)
            out.append((name, info.st_ino, info.st_size, info.st_ctime_ns))
        except OSError:
            out.append((name, 0, 0, 0))
    return tuple(out)
