"""Reading unified diffs, plain or git's, with the slips that models make in them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ...output import ToolError
from ..quoted_paths import taken
from . import as_printed, begin_patch
from .patch import FilePatch, Hunk, worth_doing

_HUNK = re.compile(r"^@@(?: -(\d{1,9})(?:,(\d{1,9}))? \+\d+(?:,\d+)? @@)?(.*)")

_COMBINED = re.compile(r"@@@+ -|diff --(?:cc|combined) ")
_SIDES = frozenset(
    ("ab", "iw", "cw", "ci", "ow", "ba", "wi", "wc", "ic", "wo")
)  # git's prefixes, both ways round


def parse(patch: str) -> list[FilePatch]:
    """The files of a unified diff, plain or git's, or of a text between *** Begin Patch and *** End Patch.

    ToolError says which line is wrong.
    """
    patch = as_printed.plain(patch)
    if begin_patch.is_one(patch):
        return begin_patch.parse(patch)
    files: list[FilePatch] = []
    hunk: Hunk | None = None
    git: FilePatch | None = None  # begun by `diff --git`, its --- and +++ still to come
    lines = as_printed.rows(patch)
    at = 0
    while at < len(lines):
        line = lines[at]
        if _begins_file(lines, at, hunk):
            old, new = _names(line[4:], lines[at + 1][4:])
            if git is None:
                files.append(FilePatch(new if old and new else old, new))
            elif git.old == git.new:  # neither new, deleted nor renamed by its own header
                git.old, git.new = old, new
            git, hunk, at = None, None, at + 2
            continue
        if line.startswith("diff --git "):
            names = _git_names(line[11:])
            git, hunk = FilePatch(*names), None
            files.append(git)
        elif _COMBINED.match(line):
            raise ToolError(
                f"line {at + 1} of the patch belongs to a combined diff, which compares a merge with all its parents at once "
                "and cannot be applied; a diff against one of them can: git diff HEAD -- FILE in the middle of a merge, "
                "git diff COMMIT^1 COMMIT of a finished one"
            )
        elif line.startswith(("GIT binary patch", "Binary files ")):
            raise ToolError(f"line {at + 1} of the patch is binary; only text can be patched")
        elif hunk is None and files and _header(files[-1], line):
            pass
        elif line.startswith("@@") and (match := _HUNK.match(line)):
            if not files:
                raise ToolError(
                    "the patch begins with @@; it needs --- OLD and +++ NEW lines that name the file"
                )
            start, size = match[1], match[2]
            hunk = Hunk(int(start) if start else None, int(size) if size else 1 if start else None)
            hunk.headings += [heading] if (heading := match[3].strip().removesuffix("@@").strip()) else []
            files[-1].hunks.append(hunk)
        elif hunk is not None and line == "-- " and len(hunk.old) == hunk.size:
            hunk = None  # the signature below a mailed patch
        elif hunk is not None:
            _add(hunk, line if files[-1].old is None else line.removesuffix("\r"), at + 1)
        at += 1
    for one in files:
        for each in one.hunks:
            _trim(each)
    if not files and (other := as_printed.other_form(patch)):
        raise ToolError(f"{other}; nothing was changed")
    return worth_doing(files)


def _begins_file(lines: Sequence[str], at: int, hunk: Hunk | None) -> bool:
    """Whether --- and +++ here name a file, rather than being lines that a hunk still expects."""
    if not lines[at].startswith("--- ") or not "".join(lines[at + 1 : at + 2]).startswith("+++ "):
        return False
    if hunk is None or hunk.size is None or len(hunk.old) >= hunk.size:
        return True
    hunk_follows = "".join(lines[at + 2 : at + 3]).startswith("@@ ")
    return hunk_follows and len(hunk.old) + 1 != hunk.size  # the header has counted wrong, as models do


def _add(hunk: Hunk, line: str, number: int) -> None:
    sign, rest = line[:1], line[1:]
    if sign == "\\":  # "\ No newline at end of file" speaks of the line before
        hunk.old_open |= hunk.last in (" ", "-")
        hunk.new_open |= hunk.last in (" ", "+")
        return
    if sign not in ("", " ", "-", "+"):
        raise ToolError(
            f"line {number} of the patch begins with {sign!r}; within a hunk it is blank, -, + or \\"
        )
    if sign != "+":  # an empty line is a context line whose blank an editor has stripped
        hunk.old.append(rest)
    if sign != "-":
        hunk.new.append(rest)
    hunk.last = sign


def _trim(hunk: Hunk) -> None:
    """Drop empty lines at the end that only separate this hunk from what follows."""
    while hunk.last == "" and hunk.old and hunk.old[-1] == "" and len(hunk.old) > (hunk.size or 0):
        hunk.old.pop()
        hunk.new.pop()


def _header(one: FilePatch, line: str) -> bool:
    """Take in one of git's extended header lines; whether it was one."""
    match line.split(" "):
        case ["new", "file", "mode", "120000" | "160000"] | ["new", "mode", "120000" | "160000"]:
            raise ToolError(
                "the patch makes a link or a submodule, which no tool here makes; leave that file out"
            )
        case ["new", "file", "mode", mode]:
            one.old, one.runs = None, mode == "100755"
        case ["new", "mode", mode]:
            one.runs = mode == "100755"
        case ["deleted", "file", "mode", _]:
            one.new = None
        case ["rename", "from", *name]:
            one.old = _unquoted(" ".join(name))
        case ["rename", "to", *name]:
            one.new = _unquoted(" ".join(name))
        case ["copy", "from" | "to", *_]:
            raise ToolError("the patch copies a file; use move_file with copy=true, then patch the copy")
        case _:
            return False
    return True


def _names(old: str, new: str) -> tuple[str | None, str | None]:
    """The names of --- and +++ lines; None for /dev/null; git's a/ and b/ taken off, or what it has in their place."""
    first, second = _unquoted(old.split("\t", maxsplit=1)[0]), _unquoted(new.split("\t", maxsplit=1)[0])
    if first.startswith(("a/", "/dev/null")) and second.startswith(("b/", "/dev/null")):
        first, second = first.removeprefix("a/"), second.removeprefix("b/")
    elif first[1:2] == second[1:2] == "/" and first[0] + second[0] in _SIDES:
        first, second = first[2:], second[2:]
    if first == second == "/dev/null":
        raise ToolError("a file of the patch is /dev/null on both sides")
    return (None if first == "/dev/null" else first, None if second == "/dev/null" else second)


def _git_names(rest: str) -> tuple[str | None, str | None]:
    """Of `a/NAME b/NAME`; different names come again as `rename` lines."""
    half = len(rest) // 2
    first, second = _names(rest[:half], rest[half + 1 :])
    return (first, second) if first == second else ("", "")


def _unquoted(name: str) -> str:
    """A name as it is: git quotes and escapes unusual ones."""
    return os.fsdecode(taken(name.rstrip("\r")))
