"""What is in a folder: a tree with sizes, or a flat list by glob, age or size; ignored folders as counts."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from ..outcome import MAX_RESULT_BYTES, ToolError, fenced, one_line, readable
from ..workspace import Root, Workspace
from .globs import expanded
from .rows import fitting
from .walking import Entry, walk

MAX_WALKED = 300_000  # entries looked at in one call
MAX_COUNTED = 10_000  # files counted in one ignored folder
_FRAME_BYTES = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    text: str
    size: int = 0
    mtime_ns: int = 0


@dataclass(slots=True)
class Tally:
    """What was seen on the way."""

    folders: int = 0
    files: int = 0
    hidden: int = 0
    ignored: int = 0
    walked: int = 0
    rows: int = 0

    def said(self) -> str:
        parts = [f"{self.folders:,} folders", f"{self.files:,} files"]
        parts += [f"{self.hidden:,} hidden"] if self.hidden else []
        parts += [f"{self.ignored:,} ignored"] if self.ignored else []
        parts += [f"stopped after {MAX_WALKED:,} entries"] if self.walked > MAX_WALKED else []
        return ", ".join(parts)


def list_folder(
    workspace: Workspace,
    path: str = ".",
    *,
    depth: int = 1,
    glob: str | None = None,
    sort: Literal["name", "mtime", "size"] = "name",
    hidden: bool = False,
    ignored: bool = False,
    limit: int = 500,
    cursor: str | None = None,
    max_bytes: int = MAX_RESULT_BYTES,
) -> str:
    """The listing as the model sees it."""
    if limit < 1 or depth < 1:
        raise ToolError(f"limit and depth are at least 1; found limit={limit}, depth={depth}")
    skip = position(cursor)
    if path in (".", "./") and len(workspace.roots) > 1:
        names = [f"{root.name}/" for root in workspace.all_roots()]
        return f". · {len(names)} roots\n{fenced(chr(10).join(map(one_line, names)), '.')}"
    fd, root, start = workspace.open_real(path)
    os.close(fd)
    shown = workspace.display(root, start)
    tally = Tally()
    deep = None if glob and ("**" in glob or "/" in glob) else depth
    rows = _rows(root, start, tally, deep, glob, sort, hidden, ignored)
    try:
        page = (
            list(islice(rows, skip, skip + limit))
            if sort == "name"
            else _sorted(list(rows), sort)[skip : skip + limit]
        )
        for _ in rows:  # the totals are of everything
            pass
    except NotADirectoryError:
        raise ToolError(f"{shown} is a file; read_file shows it") from None
    return _said(shown, tally, page, skip, tally.rows, max_bytes)


def matching(workspace: Workspace, glob: str, limit: int) -> tuple[list[str], bool]:
    """Files of all roots whose path matches, ignored ones left out; and whether there are more."""
    found: list[str] = []
    for root in workspace.all_roots():
        matches = _matcher(glob, "")
        for entry in walk(root.fd, ""):
            if not entry.is_folder and not entry.ignored and matches is not None and matches(entry):
                if len(found) == limit:
                    return found, True
                found.append(workspace.display(root, entry.path))
    return found, False


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


def _rows(
    root: Root,
    start: str,
    tally: Tally,
    depth: int | None,
    glob: str | None,
    sort: str,
    hidden: bool,
    ignored: bool,
) -> Generator[Row]:
    matches = _matcher(glob, start)
    for entry in walk(root.fd, start, depth=depth, into_ignored=ignored, into_hidden=hidden):
        tally.walked += 1
        if tally.walked > MAX_WALKED:
            return
        if not hidden and entry.name.startswith("."):
            tally.hidden += 1
            continue
        if entry.ignored and not ignored:
            tally.ignored += 1
            if entry.is_folder and glob is None and sort == "name":
                tally.rows += 1
                yield Row(
                    text=f"{_indent(entry)}{one_line(entry.name)}/ ({_count(root, entry.path)}, ignored)"
                )
            continue
        if (
            matches is not None
            and not matches(entry)
            or (glob is None and sort != "name" and entry.is_folder)
        ):
            continue
        if entry.is_folder:
            tally.folders += 1
        else:
            tally.files += 1
        tally.rows += 1
        if glob is None and sort == "name":
            yield Row(text=_indent(entry) + _named(entry, entry.name))
        else:
            info = entry.stat()
            inside = entry.path[len(start) + 1 :] if start else entry.path
            yield Row(text=_named(entry, inside), size=info.st_size, mtime_ns=info.st_mtime_ns)


def _matcher(glob: str | None, start: str) -> Callable[[Entry], bool] | None:
    if glob is None:
        return None
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(alternatives(glob))
    skip = len(start) + 1 if start else 0
    folders_too = glob.endswith("/")
    return lambda entry: (
        (not entry.is_folder or folders_too) and spec.match_file(entry.path[skip:] + "/" * entry.is_folder)
    )


def _named(entry: Entry, name: str) -> str:
    shown = one_line(name)
    if entry.is_folder:
        return shown + "/"
    try:
        info = entry.stat()
    except OSError:
        return shown
    if entry.is_link:
        return f"{shown} (link)"
    return f"{shown}  {size_said(info.st_size)}"


def _indent(entry: Entry) -> str:
    return "  " * (entry.depth - 1)


def _count(root: Root, path: str) -> str:
    files = sum(
        1 for entry in islice(walk(root.fd, path, into_ignored=True), MAX_COUNTED) if not entry.is_folder
    )
    return f"{files:,}{'+' if files >= MAX_COUNTED * 0.9 else ''} files"


def _sorted(rows: Sequence[Row], sort: str) -> Sequence[Row]:
    return sorted(rows, key=lambda row: (-(row.mtime_ns if sort == "mtime" else row.size), row.text))


def _said(shown: str, tally: Tally, page: Sequence[Row], skip: int, total: int, max_bytes: int) -> str:
    lines = fitting((row.text for row in page), max_bytes - _FRAME_BYTES)
    head = f"{one_line(shown)} · {tally.said()}"
    if not lines:
        return head + (" · nothing more" if skip else " · nothing to show")
    more = f"\nmore: cursor={skip + len(lines)}" if skip + len(lines) < total else ""
    return f"{head}\n{fenced(chr(10).join(lines), shown)}{more}"
