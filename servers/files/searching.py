"""What search_files answers: hits in path order, their lines read again beneath the root, in pages."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import groupby, islice
from typing import Literal

from ..output import MAX_RESULT_BYTES, ToolError, fenced, masked, one_line, visible
from ..source.encoding import SNIFF_BYTES, Charset, decode, in_private_key, is_binary
from ..workspace import Root, Workspace
from ..workspace.globs import below, matcher
from ..workspace.protected_paths import allowed, secret
from ..workspace.walk import is_ignored
from .finding import MAX_FOUND, tree_order
from .left_out import is_binary_file, is_in_another_encoding, names_ignored, nothing_found
from .listing import alternatives, counted, position
from .ripgrep import Hit, Query, search
from .rows import fitting

MAX_HITS = 20_000  # collected before sorting; beyond it the engine is asked again, in order
MAX_SKIPPED = 200_000  # hits before a page, which must be found again
MAX_SHOWN = 300  # characters of a line
MAX_CONTEXT = 20
MAX_PATTERN = 4000
_AROUND_BYTES = 16_384  # read before and after a hit for its line and context
_FRAME_BYTES = 500
MAX_UTF16_BYTES = 8 << 20

_REGEX = re.compile(r"[\^$*+?{}\[\]\\|()]")

Shows = Literal["lines", "files", "count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Hits of one root."""

    root: Root
    hits: Sequence[Hit]
    more: bool  # the engine was stopped with hits left
    late: str | None  # why it was stopped by the clock


def search_text(
    workspace: Workspace,
    pattern: str,
    path: str = ".",
    *,
    glob: str | None = None,
    mode: Shows = "lines",
    fixed: bool = False,
    ignore_case: bool = False,
    multiline: bool = False,
    ignored: bool = False,
    context: int = 0,
    limit: int = 100,
    cursor: str | None = None,
    check: Callable[[], None] = lambda: None,
    max_bytes: int = MAX_RESULT_BYTES,
) -> str:
    """The result as the model sees it."""
    if not pattern:
        raise ToolError("pattern is empty; list_files finds files by name")
    if "\0" in pattern or len(pattern) > MAX_PATTERN or len(glob or "") > MAX_PATTERN:
        raise ToolError(f"a pattern or glob has at most {MAX_PATTERN:,} characters, none of them NUL")
    if limit < 1 or not 0 <= context <= MAX_CONTEXT:
        raise ToolError(
            f"limit is at least 1, context 0 to {MAX_CONTEXT}; found limit={limit}, context={context}"
        )
    skip, limit = position(cursor), min(limit, max_bytes // 4)  # more rows than that never fit
    if skip > MAX_SKIPPED:
        raise ToolError(f"hits are shown up to the {MAX_SKIPPED:,}th; narrow path, glob or pattern")
    found: list[Found] = []
    given = alternatives(glob) if glob else []
    places = _places(workspace, path)
    for root, start, is_file in places:
        globs = [below(one, start) for one in given]
        query = Query(
            root=root.fd,
            start=start,
            is_file=is_file,
            pattern=pattern,
            globs=globs,
            mode=mode,
            fixed=fixed,
            ignore_case=ignore_case,
            multiline=multiline,
            ignored=ignored or names_ignored(root, start, globs),
        )
        found.append(_collect(workspace, root, query, skip + limit, check))
    pairs = [(one.root, hit) for one in found for hit in one.hits]
    if not pairs:
        return _nothing(workspace, path, pattern, places, given, fixed=fixed, ignored=ignored, check=check)
    page = pairs[skip : skip + limit]
    if mode == "lines":
        body, kept = _lines(workspace, page, context, max_bytes)
    else:
        rows = [(_row(workspace, root, hit, mode), i) for i, (root, hit) in enumerate(page, 1)]
        body, kept = _fitting(rows, len(page), max_bytes)
    return _said(path, mode, pairs, found, body, skip, kept)


def _nothing(
    workspace: Workspace,
    path: str,
    pattern: str,
    places: Sequence[tuple[Root, str, bool]],
    globs: Sequence[str],
    *,
    fixed: bool,
    ignored: bool,
    check: Callable[[], None],
) -> str:
    """What an empty result says: where it did not look, and what else the pattern might have meant."""
    literal = "" if fixed or not _REGEX.search(pattern) else "; fixed=true takes the pattern as plain text"
    (root, start, is_file), *_ = places
    if is_file:
        said = (
            "the file is binary and was looked at up to its first NUL"
            if is_binary_file(root, start)
            else "the file is in another encoding than UTF-8, where letters beyond ASCII are not found: look for a part without them"
            if not pattern.isascii() and is_in_another_encoding(root, start)
            else ""
        )
    else:
        folders = [(root, start) for root, start, _ in places]
        inside = ignored or any(is_ignored(root.fd, start) for root, start in folders)
        beyond = not pattern.isascii()
        said = nothing_found(
            workspace, folders, globs, ignored=inside, content=True, letters=beyond, check=check
        )
    notes = "".join(
        workspace.twin_note(path, root, start) for root, start, _ in places[:1] if len(places) == 1
    )
    return f"no match in {one_line(path)}{f': {said}' if said else ''}{literal}{notes}"


def _places(workspace: Workspace, path: str) -> list[tuple[Root, str, bool]]:
    if path in (".", "./") and len(workspace.roots) > 1:
        return [(root, "", False) for root in workspace.all_roots()]
    fd, root, real = workspace.open_real(path)
    is_file = stat.S_ISREG(os.fstat(fd).st_mode)
    os.close(fd)
    return [(root, real, is_file)]


def _collect(workspace: Workspace, root: Root, query: Query, wanted: int, check: Callable[[], None]) -> Found:
    """All hits in path order, or, where there are very many, the first ones."""
    most = MAX_HITS if query.mode == "lines" else MAX_FOUND
    matches = matcher([] if query.is_file else query.globs)

    @lru_cache(MAX_HITS)
    def shows(path: bytes) -> bool:
        real = os.fsdecode(path)
        return matches(real) and (not secret(real) or allowed(real, workspace.allow))

    def run(in_order: bool) -> Iterator[Hit]:
        found = search(query, untrusted=workspace.roots, in_order=in_order, check=check)
        return (hit for hit in found if shows(hit.path))

    hits: list[Hit] = []
    late: str | None = None
    more = False
    try:
        hits += islice(run(False), most + 1)
        more = len(hits) > most
        if more:
            hits.clear()
            hits += islice(run(True), max(most, wanted))
    except TimeoutError as exc:
        late = str(exc)
        if not hits:
            raise ToolError(f"{exc} before it found anything; narrow path, glob or pattern") from None
    hits.sort(key=lambda hit: (tree_order(hit.path), hit.line))
    return Found(root=root, hits=hits, more=more, late=late)


def _lines(
    workspace: Workspace, page: Sequence[tuple[Root, Hit]], context: int, max_bytes: int
) -> tuple[str, int]:
    """`path:line:text` for hits, `path-line-text` around them; with how many hits that was."""
    rows: list[tuple[str, int]] = []  # with how many hits are done when the row is shown
    done = 0
    for (root, path), group in groupby(page, key=lambda pair: (pair[0], pair[1].path)):
        hits = [hit for _, hit in group]
        shown = workspace.display(root, one_line(os.fsdecode(path)))
        chosen = [hit.line for hit in hits]
        last = 0
        charset = partial(workspace.charset, workspace.display(root, os.fsdecode(path)))
        for number, text in sorted(_texts(root, os.fsdecode(path), hits, context, charset).items()):
            so_far = done + bisect_right(chosen, number)
            if context and last and number > last + 1:
                rows.append(("--", so_far))
            last = number
            sign = ":" if number in chosen else "-"
            rows.append((f"{shown}{sign}{number}{sign}{text}", so_far))
        done += len(hits)
    return _fitting(rows, len(page), max_bytes)


def _texts(root: Root, path: str, hits: Sequence[Hit], context: int, charset: Charset) -> dict[int, str]:
    """Line number to text, read beneath the root; empty when the file is not there any more, or binary."""
    try:
        fd, _ = root.open(path)
    except OSError:
        return {}
    try:
        head = os.pread(fd, SNIFF_BYTES, 0)
        if not stat.S_ISREG(os.fstat(fd).st_mode) or is_binary(head):
            return {}
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):  # offsets are those of its UTF-8 form
            return _in_utf16(os.pread(fd, MAX_UTF16_BYTES, 0), hits, context)
        texts: dict[int, str] = {}

        @cache
        def encoding() -> str:  # as read_file has it, as far as the beginning tells
            text = decode(head.rpartition(b"\n")[0] or head, path, charset=charset)
            return text.encoding if text else "utf-8"

        for hit in hits:
            for number, text in _around(fd, hit, context, encoding):
                if number == hit.line or number not in texts:
                    texts[number] = text
        return texts
    finally:
        os.close(fd)


def _in_utf16(data: bytes, hits: Sequence[Hit], context: int) -> dict[int, str]:
    text = decode(data)
    lines = dict(enumerate(masked(text.body).split("\n") if text else [], 1))
    columns = {hit.line: hit.column for hit in hits}
    wanted = {n for hit in hits for n in range(hit.line - context, hit.line + context + 1)}
    return {n: _cut(lines[n], columns.get(n, 1)) for n in wanted if n in lines}


def _around(fd: int, hit: Hit, context: int, encoding: Callable[[], str]) -> list[tuple[int, str]]:
    """The hit's line and its neighbours."""
    start = max(hit.offset - _AROUND_BYTES, 0)
    before = os.pread(fd, hit.offset - start, start)
    if in_private_key(before):
        return [(hit.line, "[a line of a private key, masked]")]
    skip = hit.column - 1 - MAX_SHOWN // 2 if hit.column > MAX_SHOWN else 0
    line = os.pread(fd, 4 * MAX_SHOWN + 8, hit.offset + skip).split(b"\n")[0]
    lines = [(hit.line, ("..." if skip else "") + _plain(line, encoding))]
    if context:
        after = os.pread(fd, _AROUND_BYTES, hit.offset).split(b"\n")[1 : context + 1]
        lines += [(hit.line + i, _plain(line, encoding)) for i, line in enumerate(after, 1)]
        above = before.split(b"\n")[:-1][-context:]
        lines += [(hit.line - len(above) + i, _plain(line, encoding)) for i, line in enumerate(above)]
    return lines


def _plain(line: bytes, encoding: Callable[[], str]) -> str:
    name = "ascii" if line.isascii() else encoding()
    return _cut(line.removesuffix(b"\r").decode(name, "replace"), 1)


def _cut(line: str, column: int) -> str:
    start = column - 1 - MAX_SHOWN // 2 if column > MAX_SHOWN else 0
    text = line[start : start + MAX_SHOWN]
    return visible(("..." if start else "") + text + ("..." if start + MAX_SHOWN < len(line) else ""))


def _row(workspace: Workspace, root: Root, hit: Hit, mode: Shows) -> str:
    shown = workspace.display(root, one_line(os.fsdecode(hit.path)))
    return f"{shown}:{hit.line}" if mode == "count" else shown


def _fitting(rows: Sequence[tuple[str, int]], hits: int, max_bytes: int) -> tuple[str, int]:
    """The rows that fit, as one text, and how many of the hits are done with them."""
    kept = fitting((row for row, _ in rows), max_bytes - _FRAME_BYTES)
    return "\n".join(map(masked, kept)), hits if len(kept) == len(rows) else rows[len(kept) - 1][1]


def _said(
    path: str,
    mode: Shows,
    pairs: Sequence[tuple[Root, Hit]],
    found: Sequence[Found],
    body: str,
    skip: int,
    kept: int,
) -> str:
    more = any(one.more for one in found)
    late = next((one.late for one in found if one.late), None)
    total = f"{'at least ' if more or late else ''}{len(pairs):,}"
    files = len({(root.name, hit.path) for root, hit in pairs})
    what = {
        "lines": f"matching line{'s' * (len(pairs) != 1)} in {counted(files, 'file')}",
        "files": f"file{'s' * (len(pairs) != 1)}",
        "count": f"files, {counted(sum(hit.line for _, hit in pairs), 'matching line')}",
    }[mode]
    note = f" · {late}" if late else ""
    if skip >= len(pairs):
        return f"{total} {what}; nothing after cursor={skip}"
    head = f"{skip + 1}-{skip + kept} of {total} {what}{note}"
    tail = f"\nmore: cursor={skip + kept}" if skip + kept < len(pairs) or more else ""
    return f"{head}\n{fenced(body, path)}{tail}"
