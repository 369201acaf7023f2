"""Protected places, put back after a command: what appeared in them is moved away, what changed is as before.

A mount can make an existing place read-only, but not keep an absent one absent; Landlock can do neither.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ...state.home import home
from ...workspace.protected_paths import LITTER
from .nested_places import MAX_NESTED, harmless_repository, survey
from .visible_paths import PROTECTED

_MAX_FILES = 500
_MAX_BYTES = 4 << 20  # a hook that is larger is not remembered

_Files = dict[str, tuple[int, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What the protected places of a workspace were when a command began."""

    root: Path
    absent: tuple[str, ...]
    before: dict[str, _Files] = field(
        default_factory=dict[str, _Files]
    )  # of the present ones, where no mount holds
    nested: frozenset[str] = frozenset()  # places below the top that were there
    lock: threading.Lock = field(default_factory=threading.Lock)
    moved: dict[str, Path] = field(default_factory=dict[str, Path])  # what was moved out of the workspace
    holders: dict[str, tuple[int, int] | None] = field(
        default_factory=dict[str, "tuple[int, int] | None"]
    )  # of mounted ones, which folder they stood in: a mount goes along with a folder that is renamed

    def clear(self) -> list[str]:
        """Move away what appeared where nothing was; one sentence for each, the first time."""
        notes: list[str] = []
        with self.lock:
            for name in (*self.absent, *self._fresh()):
                if os.path.lexists(self.root / name):
                    known = name in self.moved
                    aside = self._moved_away(name)
                    notes += [] if known else [_made(name, aside)]
        return notes

    def put_back(self) -> list[str]:
        """Undo what happened to them since; one sentence for each."""
        notes = self.clear()
        for name, files in self.before.items():
            if name in self.holders and _holder(self.root / name) == self.holders[name]:
                continue  # the mount held, and whoever changed it outside may have
            if _files(self.root / name) != files:
                aside = self._moved_away(name)
                _restored(self.root / name, files)
                kept = f"; its version was moved to {aside}" if aside else ""
                notes.append(
                    f"{name} is a protected place: what the command changed there was put back{kept}"
                )
        return notes

    def _fresh(self) -> list[str]:
        """What appeared below the top; a repository as a whole, where something in it would run."""
        fresh: dict[str, None] = {}
        for name in sorted(survey(self.root).places() - self.nested):
            above, git, _ = name.rpartition("/.git/")
            repository = f"{above}/.git" if git else ""
            if not repository or any(one.startswith(f"{repository}/") for one in self.nested):
                fresh[name] = None  # of a repository that was there, the one place
            elif not harmless_repository(self.root / repository):
                fresh[repository] = None
        return list(fresh)

    def _moved_away(self, name: str) -> Path | None:
        """Where it is now: outside the workspace, or beside its place where it cannot leave it. None: still there."""
        place = self.root / name
        if earlier := self.moved.pop(name, None):  # made again: the last one is kept
            shutil.rmtree(earlier.parent, ignore_errors=True)
        aside = home() / "shell" / "quarantine" / secrets.token_hex(4)
        for folder in (place.parent, place):
            _open_to_us(folder)
        with suppress(OSError):
            aside.mkdir(parents=True, mode=0o700)
            self.moved[name] = Path(shutil.move(place, aside / name.replace("/", "_")[-200:]))
            return self.moved[name]
        beside = place.with_name(f"{LITTER}{secrets.token_hex(4)}")  # a pipe crosses no file systems, for one
        with suppress(OSError):
            return place.rename(beside)
        return None


def _made(name: str, aside: Path | None) -> str:
    where = f"was moved to {aside}" if aside else "could not be moved away; remove it"
    return f"{name} is a protected place: what the command made there {where}"


def _open_to_us(folder: Path) -> None:
    """Give its owner's rights to a folder that was made without them: what is in it could not be moved."""
    with suppress(OSError):
        flags = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
        fd = os.open(folder, flags)
        try:
            mode = stat.S_IMODE(os.fstat(fd).st_mode)
            if mode & 0o700 != 0o700:
                os.chmod(f"/proc/self/fd/{fd}" if sys.platform == "linux" else fd, mode | 0o700)
        finally:
            os.close(fd)


def guard(root: Path, *, mounted: bool) -> Guard:
    """Remember the protected places as they are now; with `mounted` those that are there are held already."""
    absent, before = list[str](), dict[str, _Files]()
    for name in (*PROTECTED, ".git"):
        place = root / name
        if not os.path.lexists(place):
            absent.append(name)
        elif not mounted and (name != ".git" or not place.is_dir()) and (files := _files(place)) is not None:
            before[name] = files
    nested = survey(root).places()
    for name in sorted(nested)[:MAX_NESTED]:
        if (files := _files(root / name)) is not None:
            before[name] = files
    holders = {name: _holder(root / name) for name in nested if name in before} if mounted else {}
    return Guard(root=root, absent=tuple(absent), before=before, nested=frozenset(nested), holders=holders)


def _holder(place: Path) -> tuple[int, int] | None:
    """Which folder a place stands in."""
    with suppress(OSError):
        info = place.parent.stat(follow_symlinks=False)
        return info.st_dev, info.st_ino
    return None


def _files(place: Path) -> _Files | None:
    """Mode and content of every file of a place, by its path in it; None when that is too much, or unreadable."""
    found: _Files = {}
    size = 0
    try:
        folders = list(os.walk(place)) if place.is_dir() and not place.is_symlink() else [("", [], [""])]
        for folder, _, names in folders:
            for name in names:
                path = Path(folder, name) if folder else place
                info = path.lstat()
                size += info.st_size
                if size > _MAX_BYTES or len(found) >= _MAX_FILES:
                    return None
                link = stat.S_ISLNK(info.st_mode)
                data = (
                    os.fsencode(os.readlink(path)) if link else path.read_bytes() if path.is_file() else b""
                )
                found["" if path == place else path.relative_to(place).as_posix()] = (info.st_mode, data)
    except OSError:
        return None
    return found


def _restored(place: Path, files: _Files) -> None:
    for name, (mode, data) in files.items():
        path = place / name if name else place
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if stat.S_ISLNK(mode):
                path.symlink_to(os.fsdecode(data))
            elif stat.S_ISREG(mode):
                path.write_bytes(data)
                path.chmod(stat.S_IMODE(mode))
    if not files:
        place.mkdir(parents=True, exist_ok=True)
