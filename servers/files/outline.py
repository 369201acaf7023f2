"""The shape of source files: symbols with their lines, by tree-sitter; headings of Markdown."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Generator, Iterable

from ..output import MAX_RESULT_BYTES, ToolError, fenced, masked, one_line, readable, visible
from ..source import parser_process
from ..source.encoding import decode
from ..source.grammars import SUFFIXES, suffix_of
from ..source.symbols import MAX_SIGNATURE, Symbol
from ..workspace import Workspace, read_all
from ..workspace.protected_paths import allowed, secret
from ..workspace.walk import Clock, walk
from .listing import counted
from .rows import fitting

MAX_PARSED_BYTES = 4 << 20
MAX_FILES = 500  # of a folder
MAX_LEVEL = 20  # of indentation shown
_FRAME_BYTES = 500
MAX_NAMED = 12  # symbols named on a folder's line for one file

_HEADING = re.compile(r"(#{1,6})\s")


def outline(
    workspace: Workspace,
    path: str,
    *,
    check: Callable[[], None] = lambda: None,
) -> str:
    """Symbols of a file with their lines; for a folder one line per file."""
    fd, root, real = workspace.open_real(path)
    try:
        shown = workspace.display(root, real)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            return _folder(workspace, shown, path, check)
        with readable(TimeoutError):
            symbols = symbols_of(shown, read_all(fd, shown, MAX_PARSED_BYTES))
    finally:
        os.close(fd)
    if symbols is None:
        raise ToolError(f"no outline for {shown}; known are {', '.join(sorted({*SUFFIXES, 'md'}))}")
    rows = (
        f"{one.first}-{one.last}\t{'  ' * min(one.level, MAX_LEVEL)}{visible(one.signature)}"
        for one in symbols
    )
    return _said(f"{one_line(shown)} · {len(symbols)} symbols", rows, len(symbols), shown)


def symbols_of(path: str, data: bytes) -> list[Symbol] | None:
    """None for a language no grammar here knows, or a file that is no text. TimeoutError as the parser's."""
    text = decode(data)
    if text is None:
        return None
    if path.casefold().endswith((".md", ".markdown")):
        return list(_headings(text.body))
    return parser_process.symbols(path, text.body.encode("utf-8", "surrogatepass"))


def _folder(workspace: Workspace, shown: str, path: str, check: Callable[[], None]) -> str:
    fd, root, start = workspace.open_real(path)
    os.close(fd)
    rows: list[str] = []
    clock = Clock(check)
    files = 0
    cut = ""
    for entry in walk(root.fd, start, into_hidden=False):
        if (
            entry.is_folder
            or entry.is_link
            or entry.ignored
            or suffix_of(entry.name) not in {*SUFFIXES, "md"}
        ):
            continue
        if secret(entry.path) and not allowed(entry.path, workspace.allow):
            continue
        if files == MAX_FILES or clock.late():
            cut = f" · stopped after {files} files; outline a folder within"
            break
        files += 1
        check()
        named = _named_in(workspace, os.path.join(root.path, entry.path))
        if named:
            inside = entry.path[len(start) + 1 :] if start else entry.path
            rows.append(f"{one_line(inside)}: {named}")
    head = f"{one_line(shown)} · {counted(files, 'source file')}{cut}"
    return _said(head, rows, len(rows), shown)


def _said(head: str, rows: Iterable[str], total: int, shown: str) -> str:
    kept = fitting(rows, MAX_RESULT_BYTES - _FRAME_BYTES)
    if not kept:
        return head
    left = f"\nleft out: {total - len(kept):,} more" if len(kept) < total else ""
    return f"{head}\n{fenced(masked(chr(10).join(kept)), shown)}{left}"


def _named_in(workspace: Workspace, path: str) -> str:
    try:
        symbols = symbols_of(path, workspace.read(path, MAX_PARSED_BYTES)) or []
    except ToolError:
        return ""
    except TimeoutError as exc:
        return f"({exc})"
    names = [visible(one.name) for one in symbols if one.level == 0]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _headings(body: str) -> Generator[Symbol]:
    lines = body.removesuffix("\n").split("\n")
    found: list[tuple[int, int, str]] = []
    fence = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(("```", "~~~")):
            fence = not fence
        elif not fence and (match := _HEADING.match(line)):
            found.append((number, len(match[1]), line[match.end() :].strip().rstrip("#").rstrip()))
    ends: list[int] = []  # of the headings in reverse
    open_: list[tuple[int, int]] = [(len(lines) + 1, 0)]  # those that end a heading before, the nearest last
    for number, level, _ in reversed(found):
        while open_[-1][1] > level:
            open_.pop()
        ends.append(open_[-1][0] - 1)
        open_.append((number, level))
    for (number, level, title), last in zip(found, reversed(ends), strict=True):
        shown = title[:MAX_SIGNATURE]
        yield Symbol(first=number, last=last, level=level - 1, signature=f"{'#' * level} {shown}", name=shown)
