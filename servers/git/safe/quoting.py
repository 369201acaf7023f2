"""Names that travel through JSON: paths with any bytes, and revisions that cannot be options.

A path shown to the model is plain text, or, when it holds control or invisible characters, quotes,
backslashes or bytes that are no UTF-8, git's own C-style quoting between double quotes. The same form
is taken back as an argument, so every name a tool shows can be handed to the next tool.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...output import ToolError, one_line, visible

MAX_PATHS = 1000
MAX_REV_CHARS = 400
MAX_NAMES_CHARS = 4000

_SHORT = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
_BYTES = {short: byte for byte, short in _SHORT.items()}
_ESCAPE = re.compile(rb'\\([abtnvfr"\\]|[0-3][0-7]{2})')
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\abtnvfr]|\\[0-3][0-7]{2})*)"')


def shown(raw: bytes) -> str:
    """A path as the model reads it; `taken` gives the bytes back."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return _quoted(raw, plain_text=False)
    if '"' in text or "\\" in text or not text.isprintable():
        return _quoted(raw, plain_text=text.isprintable())
    return text


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


def taken(text: str) -> bytes:
    """The bytes of a path the model wrote, plain or quoted."""
    if len(text) > 1 and (match := _QUOTED.fullmatch(text)):
        return _ESCAPE.sub(_unescape, match.group(1).encode("utf-8", "surrogateescape"))
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        raise ToolError(f"{text!a} cannot be a path: it holds a lone surrogate") from None


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


def _quoted(raw: bytes, *, plain_text: bool) -> str:
    """C-style quoting; non-ASCII text stays readable when all of it can be seen."""
    out: list[str] = []
    for piece in raw.decode("utf-8") if plain_text else raw.decode("latin-1"):
        code = ord(piece)
        if code in _SHORT:
            out.append("\\" + _SHORT[code])
        elif code < 32 or code == 127 or (code > 127 and not plain_text):
            out.append(f"\\{code:03o}")
        else:
            out.append(piece)
    return '"' + "".join(out) + '"'


def _unescape(match: re.Match[bytes]) -> bytes:
    found = match.group(1)
    return bytes([int(found, 8) if len(found) == 3 else _BYTES[found.decode()]])
