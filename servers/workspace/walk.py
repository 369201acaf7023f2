"""Walking a folder by descriptor: entries in name order, ignore rules applied, links never followed.

The rules are those of .gitignore and .rgignore files from the root down, and nothing else: no global
file, no .git/info/exclude. Searching by ripgrep is told the same.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from .globs import is_tame
from .protected_paths import LITTER

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".rgignore")  # the later one wins
MAX_IGNORE_BYTES = 1 << 20
MAX_RULES = 2000  # lines of one ignore file that count
MAX_WALK_S = 15.0
MAX_DEPTH = 100  # folders nested deeper are not entered
_FOLDER = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
_FILE = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name met on the way."""

    path: str  # relative to the root
    name: str
    depth: int  # 1: directly in the folder the walk began in
    is_folder: bool
    is_link: bool
    ignored: bool
    stat: Callable[[], os.stat_result]  # of the entry itself; only until the next entry is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The .gitignore files that hold in a folder, the nearest last, each with the folder it stands in."""

    specs: tuple[tuple[str, GitIgnoreSpec], ...] = ()

    def ignores(self, path: str, is_folder: bool) -> bool:
        for base, spec in reversed(self.specs):
            inside = path[len(base) + 1 :] if base else path
            verdict = spec.check_file(inside + "/" if is_folder else inside).include
            if verdict is not None:
                return verdict
        return False

    def plus(self, lines: Sequence[str], base: str) -> Rules:
        """These rules and the lines of a .gitignore in the folder `base`."""
        return Rules(specs=(*self.specs, (base, _spec(tuple(lines))))) if lines else self


class Clock:
    """Stops a long walk: asks `check`, which may raise, and raises TimeoutError after MAX_WALK_S."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.check, self.seen, self.end = check, 0, time.monotonic() + MAX_WALK_S

    def tick(self) -> None:
        self.seen += 1
        if not self.seen % 500:
            self.check()
            if self.late():
                raise TimeoutError(f"the walk took longer than {MAX_WALK_S:.0f} s and was stopped")

    def late(self) -> bool:
        return time.monotonic() > self.end


def walk(
    root: int, start: str, *, depth: int | None = None, into_ignored: bool = False, into_hidden: bool = True
) -> Generator[Entry]:
    """Entries below `start` in tree order, folders before what is in them; OSError when it cannot be opened.

    Ignored entries are reported with `ignored` set; ignored folders are entered only with `into_ignored`,
    names that begin with a dot with `into_hidden`, `.git` never.
    """

    def enters(entry: Entry) -> bool:
        if entry.ignored and not into_ignored or entry.name == ".git":
            return False
        return entry.depth < min(depth or MAX_DEPTH, MAX_DEPTH) and (
            into_hidden or not entry.name.startswith(".")
        )

    fd = open_plain(root, start, _FOLDER)
    yield from _walk(fd, start, rules_above(root, start), 1, enters)


def open_plain(root: int, path: str, flags: int) -> int:
    """Open a real path component by component; OSError when one of them is a link by now."""
    fd = os.dup(root)
    *folders, name = path.split("/")
    for part, how in (*((folder, _FOLDER) for folder in folders), (name or ".", flags)):
        try:
            inner = os.open(part, how | getattr(os, "O_NOFOLLOW", 0), dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


def rules_above(root: int, start: str) -> Rules:
    """The rules that folders above `start` set for it."""
    rules = Rules()
    parts = start.split("/") if start else []
    for base in ("/".join(parts[:i]) for i in range(len(parts))):
        rules = rules.plus(_lines_in(root, base), base)
    return rules


def ignore_lines_above(root: int, start: str) -> list[str]:
    """The .gitignore lines of the folders above `start`, rewritten as if they stood in the root."""
    lines: list[str] = []
    parts = start.split("/") if start else []
    for i in range(1, len(parts)):
        lines += _from_root(_lines_in(root, "/".join(parts[:i])), "/".join(parts[:i]))
    return [*_lines_in(root, ""), *lines] if parts else []


def is_ignored(root: int, path: str) -> bool:
    """Whether a place, or a folder above it, is ignored."""
    parts = path.split("/") if path else []
    rules = rules_above(root, path)
    return any(rules.ignores("/".join(parts[: i + 1]), True) for i in range(len(parts)))


def _walk(fd: int, base: str, rules: Rules, level: int, enters: Callable[[Entry], bool]) -> Generator[Entry]:
    try:
        rules = rules.plus(_ignore_lines(fd), base)
        with os.scandir(fd) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        for entry in entries:
            if entry.name.startswith(LITTER):
                continue
            path = f"{base}/{entry.name}" if base else entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            met = Entry(
                path=path,
                name=entry.name,
                depth=level,
                is_folder=is_folder,
                is_link=entry.is_symlink(),
                ignored=rules.ignores(path, is_folder),
                stat=partial(entry.stat, follow_symlinks=False),
            )
            yield met
            if is_folder and enters(met):
                try:
                    inner = os.open(entry.name, _FOLDER, dir_fd=fd)
                except OSError:
                    continue  # gone, unreadable, or a link by now
                yield from _walk(inner, path, rules, level + 1, enters)
    finally:
        os.close(fd)


def _lines_in(root: int, base: str) -> Sequence[str]:
    try:
        fd = open_plain(root, base, _FOLDER)
    except OSError:
        return ()
    try:
        return _ignore_lines(fd)
    finally:
        os.close(fd)


def _from_root(lines: Sequence[str], base: str) -> Generator[str]:
    quoted = _SPECIAL.sub(r"\\\g<0>", base)
    for line in lines:
        if line.strip() and not line.startswith("#"):
            bang, plain = ("!", line[1:]) if line.startswith("!") else ("", line)
            anchored = "/" in plain.rstrip().rstrip("/")
            yield f"{bang}/{quoted}/{plain.lstrip('/')}" if anchored else f"{bang}/{quoted}/**/{plain}"


_SPECIAL = re.compile(r"[*?\[\]!\\ ]")


def _ignore_lines(folder: int) -> Sequence[str]:
    """The lines of the ignore files in an open folder; an empty sequence when it has none."""
    return [line for name in IGNORE_FILES for line in _lines_of(folder, name)]


def _lines_of(folder: int, name: str) -> Sequence[str]:
    try:
        fd = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return ()
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ()
        return os.read(fd, MAX_IGNORE_BYTES).decode("utf-8", "replace").splitlines()
    finally:
        os.close(fd)


@lru_cache(64)
def _spec(lines: tuple[str, ...]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # 20 ms to import

    return GitIgnoreSpec.from_lines([line for line in lines[:MAX_RULES] if is_tame(line)])
