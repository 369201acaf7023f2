"""Names that come through JSON: paths inside the work tree, and revisions that cannot be options."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...output import ToolError, one_line, visible
from ...source.quoted_paths import shown, taken

MAX_PATHS = 1000
MAX_REV_CHARS = 400
MAX_NAMES_CHARS = 4000


def names(paths: Sequence[bytes], most: int = 10) -> str:
    """Paths in one line, long lists cut."""
    listed: list[str] = []
    room = MAX_NAMES_CHARS
    for path in paths[:most]:
        room -= len(shown(path)) + 2
        if room < 0 and listed:
            break
        listed.append(shown(path) if len(shown(path)) < MAX_NAMES_CHARS else shown(path[:200]) + "...")
    more = len(paths) - len(listed)
    return ", ".join(listed) + (f" and {more:,} more" if more else "")


def inside(top: Path, given: str) -> bytes:
    """A path argument relative to the work tree, lexically normal; b"." for the work tree itself.

    ToolError when it is empty, leads outside or into the git dir. No link is followed here, and git
    itself follows none in the leading part of a path.
    """
    raw = taken(given)
    if not raw:
        raise ToolError('a path is empty; the whole work tree is "."')
    if b"\0" in raw:
        raise ToolError("a path cannot contain a NUL character")
    root = os.fsencode(top)
    if os.path.isabs(raw):
        full = os.path.normpath(raw)
        if not full.startswith(root):  # perhaps the root by another name, through a link
            full = os.path.join(os.path.realpath(os.path.dirname(full)), os.path.basename(full))
        if full != root and not full.startswith(root.rstrip(b"/") + b"/"):
            raise ToolError(f"{one_line(given)} lies outside the root; paths here are relative to it")
        raw = os.path.relpath(full, root)
    normal = os.path.normpath(raw)
    parts = normal.split(b"/")
    if parts[0] == b"..":
        raise ToolError(f"{one_line(given)} leads out of the root; paths here are relative to it")
    if any(part.lower() == b".git" for part in parts):
        raise ToolError(f"{one_line(given)} is inside the git dir, which only git itself touches")
    return normal


def all_inside(top: Path, given: Sequence[str]) -> list[bytes]:
    """`inside` for each path of a call."""
    if len(given) > MAX_PATHS:
        raise ToolError(
            f"{len(given):,} paths in one call; at most {MAX_PATHS:,} work, or a folder that holds them"
        )
    return [inside(top, path) for path in given]


def plain_rev(text: str, what: str = "rev") -> str:
    """A revision that is safe to hand to git behind --end-of-options. ToolError otherwise."""
    if not text or text != text.strip():
        raise ToolError(
            f"{what} {one_line(text)!r} is empty or padded; a branch, tag, commit id or HEAD~1 works"
        )
    if text.startswith("-"):
        raise ToolError(f"{what} {one_line(text)!r} begins with a dash; no revision does")
    if len(text) > MAX_REV_CHARS or visible(text) != text or "\n" in text or "\0" in text:
        raise ToolError(f"{what} is no revision: it is too long or holds characters no revision has")
    return text
