"""What is in a folder: a tree with sizes, or a flat list by glob, age or size; ignored folders as counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Literal

from ..output import MAX_RESULT_BYTES, ToolError, fenced, one_line, readable
from ..workspace import Root, Workspace
from ..workspace.globs import below, expanded
from ..workspace.walk import Clock, Entry, is_ignored, open_plain, walk
from .finding import find
from .left_out import names_ignored, nothing_found
from .rows import fitting

MAX_COUNTED = 10_000  # files counted in one ignored folder
_FRAME_BYTES = 600


@dataclass(slots=True)
class Tally:
    """What was seen on the way."""

    folders: int = 0
    files: int = 0
    hidden: int = 0
    ignored: int = 0
    cut: str = ""

    def said(self) -> str:
        parts = [counted(self.folders, "folder"), counted(self.files, "file")]
        parts += [f"{self.hidden:,} hidden"] if self.hidden else []
        parts += [f"{self.ignored:,} ignored"] if self.ignored else []
        parts += [self.cut] if self.cut else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What of a folder is wanted."""

    depth: int | None = None  # None: 1, or any with a glob
    glob: str | None = None
    sort: Literal["name", "mtime", "size"] = "name"
    hidden: bool = False
    ignored: bool = False
    limit: int = 500
    cursor: str | None = None


def list_folder(
    workspace: Workspace,
    path: str,
    wanted: Listing,
    *,
    check: Callable[[], None] = lambda: None,
    max_bytes: int = MAX_RESULT_BYTES,
) -> str:
    """The listing as the model sees it."""
    if wanted.limit < 1 or (wanted.depth or 1) < 1:
        raise ToolError(f"limit and depth are at least 1; found {wanted.limit} and {wanted.depth}")
    skip = position(wanted.cursor)
    is_all = path in (".", "./") and len(workspace.roots) > 1
    if is_all and wanted.glob is None:
        names = [f"{root.name}/" for root in workspace.all_roots()]
        return f". · {len(names)} roots\n{fenced(chr(10).join(map(one_line, names)), '.')}"
    places, shown, note = [(root, "") for root in workspace.all_roots()], ".", ""
    if not is_all:
        root, start = _folder(workspace, path)
        places, shown, note = (
            [(root, start)],
            workspace.display(root, start),
            workspace.twin_note(path, root, start),
        )
    globs = alternatives(wanted.glob) if wanted.glob else []
    with readable(OSError):
        if any(is_ignored(root.fd, start) or names_ignored(root, start, globs) for root, start in places):
            wanted = replace(wanted, ignored=True)  # whoever names an ignored folder wants to see into it
        said, page, total = (
            _tree(*places[0], wanted, skip, check)
            if not globs and wanted.sort == "name"
            else _flat(workspace, places, globs, wanted, skip, check)
        )
        if not total and (globs or wanted.sort != "name"):
            said = "0 files: " + nothing_found(
                workspace,
                places,
                globs,
                ignored=wanted.ignored,
                hidden=wanted.hidden or bool(globs),
                depth=_depth(wanted),
                check=check,
            )
    lines = fitting(page, max_bytes - _FRAME_BYTES)
    head = f"{one_line(shown)} · {said}{note}"
    if not lines:
        return head + (" · nothing more" if skip else " · nothing to show")
    more = f"\nmore: cursor={skip + len(lines)}" if skip + len(lines) < total else ""
    return f"{head}\n{fenced(chr(10).join(lines), shown)}{more}"


def matching(
    workspace: Workspace, glob: str, limit: int, check: Callable[[], None]
) -> tuple[list[str], bool]:
    """Files of all roots whose path matches, ignored ones left out unless named; and whether there are more.

    ToolError when there are none, with what was left out.
    """
    globs = alternatives(glob)
    places = [(root, "") for root in workspace.all_roots()]
    found: list[str] = []
    with readable(TimeoutError):
        for root, start in places:
            inside = names_ignored(root, start, globs)
            paths = find(workspace, root, start, globs=globs, ignored=inside, check=check)
            found += [workspace.display(root, os.fsdecode(path)) for path in paths[: limit + 1]]
    if not found:
        raise ToolError(nothing_found(workspace, places, globs, ignored=False, check=check))
    return found[:limit], len(found) > limit


def counted(number: int, what: str) -> str:
    """`1 file`, `1,204 files`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def alternatives(glob: str) -> list[str]:
    """The globs that one with braces stands for."""
    with readable(ValueError):
        return expanded(glob)


def position(cursor: str | None) -> int:
    """The number a cursor of ours stands for. ToolError when it is not one."""
    if cursor is None or cursor == "":
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise ToolError(f"cursor {cursor!r} is none of ours; copy it from the last result, or leave it out")
    return int(cursor)


def size_said(size: int) -> str:
    for unit in ("", "K", "M", "G"):
        if size < 1000 or unit == "G":
            return f"{size:,}{unit}" if unit in ("", "G") else f"{size}{unit}"
        size = round(size / 1024) or 1
    raise AssertionError


def _tree(
    root: Root, start: str, wanted: Listing, skip: int, check: Callable[[], None]
) -> tuple[str, list[str], int]:
    """What was seen, the wanted ones of the rows, one per entry in tree order, and the number of all."""
    clock, tally = Clock(check), Tally()
    shown = range(skip, skip + wanted.limit)
    page: list[str] = []
    total = 0
    try:
        for entry in walk(
            root.fd, start, depth=wanted.depth or 1, into_ignored=wanted.ignored, into_hidden=wanted.hidden
        ):
            clock.tick()
            if not wanted.hidden and entry.name.startswith("."):
                tally.hidden += 1
                continue
            aside = entry.ignored and not wanted.ignored
            tally.ignored += aside
            tally.folders += entry.is_folder and not aside
            tally.files += not entry.is_folder and not aside
            if aside and not entry.is_folder:
                continue
            if total in shown:
                what = (
                    f"{one_line(entry.name)}/ ({_count(root, entry.path)}, ignored)"
                    if aside
                    else _named(entry)
                )
                page.append("  " * (entry.depth - 1) + what)
            total += 1
    except TimeoutError as exc:
        tally.cut = str(exc)
    return tally.said(), page, total


def _folder(workspace: Workspace, path: str) -> tuple[Root, str]:
    fd, root, start = workspace.open_real(path)
    is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
    os.close(fd)
    if not is_folder:
        raise ToolError(f"{workspace.display(root, start)} is a file; read_file shows it")
    return root, start


def _depth(wanted: Listing) -> int | None:
    """How deep a flat list goes: a glob means any depth, as it does for searching."""
    return wanted.depth or (None if wanted.glob else 1)


def _flat(
    workspace: Workspace,
    places: Sequence[tuple[Root, str]],
    globs: Sequence[str],
    wanted: Listing,
    skip: int,
    check: Callable[[], None],
) -> tuple[str, list[str], int]:
    """As `_tree`, of files alone, by glob or in another order. A glob finds hidden files, as it does for searching."""
    found: list[_Found] = []
    for root, start in places:
        paths = find(
            workspace,
            root,
            start,
            globs=[below(one, start) for one in globs],
            depth=_depth(wanted),
            hidden=wanted.hidden or bool(globs),
            ignored=wanted.ignored,
            check=check,
        )
        named = f"{root.name}/" if len(places) > 1 else ""
        found.append(_Found(root=root, named=named, inside=len(start) + 1 if start else 0, paths=paths))
    total = sum(len(one.paths) for one in found)
    shown = range(skip, min(skip + wanted.limit, total))
    return counted(total, "file"), _files(found, wanted.sort, shown), total


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Files below one place. Their names are made for those that are shown: there may be a hundred thousand."""

    root: Root
    named: str  # what stands before a name: the root's where there are several
    inside: int  # bytes of a path that lead to the place
    paths: Sequence[bytes]


def _files(found: Sequence[_Found], sort: str, shown: range) -> list[str]:
    """Rows of a flat list; all files are looked at only where their age or size decides."""
    if sort == "name":
        before, rows = 0, list[str]()
        for one in found:
            part = one.paths[max(shown.start - before, 0) : max(shown.stop - before, 0)]
            rows += [_sized(name, info) for name, info in _stats(one, part)]
            before += len(one.paths)
        return rows
    infos = [(name, info) for one in found for name, info in _stats(one, one.paths) if info]
    infos.sort(key=lambda pair: -(pair[1].st_mtime_ns if sort == "mtime" else pair[1].st_size))
    return [_sized(name, info) for name, info in infos[shown.start : shown.stop]]


def _stats(found: _Found, paths: Sequence[bytes]) -> Generator[tuple[str, os.stat_result | None]]:
    """Each name with its stat, None when it is not there any more; no link is followed, each folder opened once."""
    for folder, group in groupby(paths, key=os.path.dirname):
        try:
            fd = open_plain(found.root.fd, os.fsdecode(folder), os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        except OSError:
            fd = -1
        try:
            for path in group:
                name = found.named + os.fsdecode(path[found.inside :])
                try:
                    yield (
                        name,
                        os.stat(path[len(folder) + 1 if folder else 0 :], dir_fd=fd, follow_symlinks=False),
                    )
                except OSError:
                    yield name, None
        finally:
            if fd >= 0:
                os.close(fd)


def _named(entry: Entry) -> str:
    if entry.is_folder:
        return one_line(entry.name) + "/"
    if entry.is_link:
        return one_line(entry.name) + " (link)"
    try:
        return _sized(entry.name, entry.stat())
    except OSError:
        return one_line(entry.name)


def _sized(name: str, info: os.stat_result | None) -> str:
    return f"{one_line(name)}  {size_said(info.st_size)}" if info else one_line(name)


def _count(root: Root, path: str) -> str:
    files = seen = 0
    for entry in islice(walk(root.fd, path, into_ignored=True), MAX_COUNTED):
        seen += 1
        files += not entry.is_folder
    return counted(files, "file") if seen < MAX_COUNTED else f"{files:,}+ files"
