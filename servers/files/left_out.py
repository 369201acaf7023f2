"""Why an answer is empty: what was looked at, what was not, and the call that would."""

from __future__ import annotations

import os
import re
import stat
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

from ..characters import folded, other_in
from ..source.encoding import SNIFF_BYTES, is_binary
from ..workspace import Root, Workspace
from ..workspace.globs import below, literal_start, matcher
from ..workspace.protected_paths import allowed, secret
from ..workspace.walk import is_ignored, open_plain
from .finding import find

MAX_SNIFFED = 2000  # files whose beginning is read to tell binary ones
MAX_DECODED = 1 << 16  # bytes of it, to tell its encoding
_SEVERAL = re.compile(r",\s*[*.\w]|\s[*.]")


def nothing_found(
    workspace: Workspace,
    places: Sequence[tuple[Root, str]],
    globs: Sequence[str],
    *,
    ignored: bool,
    hidden: bool = True,
    depth: int | None = None,
    content: bool = False,
    letters: bool = False,
    check: Callable[[], None] = lambda: None,
) -> str:
    """`looked at 12 files; not at 3 ignored ones (ignored=true)`. With `content` also those that cannot be searched.

    With `letters` beyond ASCII also those in another encoding, in which they are not found.

    `globs` as they were given. Asked only when there is nothing to show, so it may list the files twice.
    """
    looked = everything = binary = secrets = unhidden = foreign = 0
    more = ""
    try:
        for root, start in places:
            names = [below(glob, start) for glob in globs]
            inside = ignored or names_ignored(root, start, names)
            seen = find(
                workspace, root, start, globs=names, depth=depth, hidden=hidden, ignored=inside, check=check
            )
            looked += len(seen)
            everything += len(
                find(workspace, root, start, globs=names, depth=depth, ignored=True, check=check)
            )
            unhidden += (
                len(seen)
                if hidden
                else len(find(workspace, root, start, globs=names, depth=depth, ignored=inside, check=check))
            )
            if content:
                secrets += sum(map(_kept_secret(workspace), map(os.fsdecode, seen)))
                sniffed = [os.fsdecode(path) for path in islice(seen, MAX_SNIFFED)]
                binary += sum(is_binary_file(root, path) for path in sniffed)
                foreign += sum(map(partial(is_in_another_encoding, root), sniffed)) if letters else 0
                more = f" among the first {MAX_SNIFFED:,}" if len(seen) > MAX_SNIFFED else ""
    except TimeoutError as exc:
        return str(exc)
    hidden_ones, ignored_ones = unhidden - looked, everything - unhidden
    which = f" that match {', '.join(globs)}" if globs else ""
    said = (
        f"looked at {looked:,} file{'s' * (looked != 1)}{which}" if looked else f"there are no files{which}"
    )
    parts = [
        f"{hidden_ones:,} hidden (hidden=true shows them)" if hidden_ones else "",
        f"{ignored_ones:,} ignored by .gitignore (ignored=true looks there too)" if ignored_ones else "",
        f"{binary:,} binary{more} (looked at up to their first NUL)" if binary else "",
        f"{secrets:,} that may hold secrets" if secrets else "",
        f"{foreign:,}{more} for letters beyond ASCII, being in another encoding than UTF-8 (look for a part without such letters)"
        if foreign
        else "",
    ]
    rest = ", ".join(part for part in parts if part)
    said += (
        ""
        if everything or not globs
        else _alike(workspace, places, globs, depth, check) or _miswritten(globs)
    )
    return f"{said}; not at {rest}" if rest and looked else f"{said} but {rest}" if rest else said


def _alike(
    workspace: Workspace,
    places: Sequence[tuple[Root, str]],
    globs: Sequence[str],
    depth: int | None,
    check: Callable[[], None],
) -> str:
    """The first file that would match if it were not written with other characters that look the same, or another case."""
    with suppress(TimeoutError, ValueError):  # a glob folded so may be none
        for root, start in places:
            wanted = matcher([folded(below(glob, start)) for glob in globs])
            for found in find(workspace, root, start, depth=depth, ignored=True, check=check):
                path = os.fsdecode(found)
                if wanted(folded(path)):
                    shown = workspace.display(root, path)
                    if other := other_in(shown, "".join(globs)):
                        return f"; {shown!a} looks the same, but has {other}, where a ? would match"
                    said = [other for glob in globs if (other := other_in(glob, shown))]
                    what = f"the glob has {said[0]}" if said else "its letter case is another"
                    return f"; {shown!a} looks the same, but {what}"
    return ""


def _miswritten(globs: Sequence[str]) -> str:
    """What a glob that matches nothing may have been meant as."""
    if any(_SEVERAL.search(glob) for glob in globs):
        return "; several globs are one with braces: {*.py,*.ts}"
    return "; folders are separated by /" if any("\\" in glob and "/" not in glob for glob in globs) else ""


def names_ignored(root: Root, start: str, globs: Sequence[str]) -> bool:
    """Whether a glob names an ignored place outright, by what stands before its first wildcard."""
    named = [first for glob in globs if (first := literal_start(glob)) and first != start]
    return any(is_ignored(root.fd, first) for first in named)


def is_binary_file(root: Root, path: str) -> bool:
    return is_binary(_beginning(root, path, SNIFF_BYTES))


def is_in_another_encoding(root: Root, path: str) -> bool:
    """Whether a text is not UTF-8, as far as its beginning tells."""
    data = _beginning(root, path, MAX_DECODED)
    if data.isascii() or is_binary(data[:SNIFF_BYTES]) or data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
        return False
    try:
        getincrementaldecoder("utf-8")().decode(data)  # may end within a character
    except UnicodeDecodeError:
        return True
    return False


def _beginning(root: Root, path: str, size: int) -> bytes:
    """The first bytes of a regular file; b"" for all else."""
    try:
        fd = open_plain(root.fd, path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return b""
    try:
        return os.pread(fd, size, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _kept_secret(workspace: Workspace) -> Callable[[str], bool]:
    return lambda path: secret(path) is not None and not allowed(path, workspace.allow)
