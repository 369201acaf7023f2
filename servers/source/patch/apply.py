"""Applying hunks to one text: never at a guessed place."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...output import ToolError, fenced, masked, one_line, visible
from ..encoding import Text
from ..nearest import look_alike, nearest
from .patch import Hunk

_SECTION = re.compile(
    r"\s*(?:(?:export|default|pub(?:\([\w:]+\))?|async|static|public|private|protected|abstract|final|unsafe|const)\s+)*"
    r"(?:(?:def|class|func|fn|function|impl|struct|enum|interface|trait|module|sub)\b|\w[\w\s*&:<>,]*\([^;]*\)\s*\{?$)"
)
"""Lines that begin a function or a class, in most languages."""
_MARKS = re.compile(r"\W*")
_CUT = 70  # characters; git shows 80 bytes of a heading


def patched(text: Text, hunks: Sequence[Hunk], path: str) -> Text:
    """The text with all hunks applied. ToolError when one fits nowhere, or in several places."""
    drift = 0
    floor, floor_line = 0, 1  # where the hunk before ended: the next one begins there or later
    for number, hunk in enumerate(hunks, 1):
        padded = bool(text.body) and not text.body.endswith("\n")
        body = text.body + "\n" if padded else text.body
        old, new = ("".join(line + "\n" for line in lines) for lines in (hunk.old, hunk.new))
        line = None if hunk.line is None else hunk.line + drift
        at = None if line is None or line < floor_line else _start_of(body, line - floor_line + 1, floor)
        if not old or at is None or not body.startswith(old, at):
            at = _place(body, old, line, floor, hunk.headings, f"{path}, hunk {number}", text.doubt(old))
        end = at + len(old)
        if end == len(body):
            changed = hunk.old_open != hunk.new_open  # what the hunk says of the last newline
            new = new.removesuffix("\n") if (hunk.new_open if changed else padded) else new
        elif hunk.old_open or hunk.new_open:
            raise ToolError(
                f"{path}, hunk {number} says that the file ends with its lines (no newline at end of file), "
                f"but {body.count(chr(10), end):,} more follow. Nothing was changed"
            )
        if at > len(text.body):  # behind a last line that has no newline
            at, new = len(text.body), "\n" + new
        text = text.replaced(at, min(end, len(text.body)), new)
        floor_line += body.count("\n", floor, at) + new.count("\n")
        floor = at + len(new)
        drift += len(hunk.new) - len(hunk.old)
    return text


def _place(
    body: str, old: str, line: int | None, floor: int, headings: Sequence[str], what: str, doubt: str
) -> int:
    if not old:
        return _insertion(body, line, headings, what) if body else 0
    everywhere = _starts(body, old)
    found = [at for at in everywhere if at >= floor]
    if len(found) > 1 and headings:
        found = [at for at in found if _in_section(body[:at], headings)] or found
    if len(found) == 1:
        return found[0]
    if everywhere and not found:
        lines = ", ".join(str(body.count("\n", 0, at) + 1) for at in everywhere[:5])
        raise ToolError(
            f"{what} is out of order: its old lines stand at line {lines}, before the hunk above it; "
            "sort the hunks by line. Nothing was changed"
        )
    if found:
        lines = ", ".join(str(body.count("\n", 0, at) + 1) for at in found[:20])
        raise ToolError(
            f"{what} fits in {len(found)} places (lines {lines}); add context or a right line number"
        )
    if said := look_alike(body, old):
        raise ToolError(f"{what}: its old lines are not in the file; {said}. Nothing was changed")
    lines = body.split("\n")
    near = nearest(lines, old.removesuffix("\n").split("\n"))
    if near is None:
        raise ToolError(
            f"{what}: its old lines are not in the file; read it again{doubt}. Nothing was changed"
        )
    first, share = near
    window = lines[first : first + old.count("\n") + 1][:40]
    shown = "\n".join(f"{n}\t{visible(one[:400])}" for n, one in enumerate(window, first + 1))
    wanted = old.removesuffix("\n").split("\n")
    blanks = [one.split() for one in window[: len(wanted)]] == [one.split() for one in wanted]
    how = "different in white space alone" if blanks else f"{share:.0%} alike"
    raise ToolError(
        f"{what}: its old lines are not in the file; nothing was changed{doubt}\nThe nearest place, {how}:\n"
        + fenced(masked(shown), what)
    )


def _insertion(body: str, line: int | None, headings: Sequence[str], what: str) -> int:
    """Where lines without context go: behind the line the header names, if nothing speaks against it."""
    if line is None:
        raise ToolError(f"{what} has neither context nor a line number")
    total = body.count("\n") + (not body.endswith("\n"))
    if line > total:
        raise ToolError(
            f"{what} has no context, and its line {line:,} is past the end of {total:,} lines; "
            "add the lines around it. Nothing was changed"
        )
    at = _start_of(body, line + 1)
    if headings and not _in_section(body[:at], headings):
        raise ToolError(
            f"{what} has no context, and line {line:,} is not in {one_line(headings[-1])!r}, which its header names; "
            "add the lines around it. Nothing was changed"
        )
    return at


def _in_section(before: str, headings: Sequence[str]) -> bool:
    """Whether these lines end in the section that the headings name: no other begins behind its first line."""
    rows = before.split("\n")
    at = -1
    for heading in headings:
        goal = heading.strip()
        at = next((i for i in range(len(rows) - 1, at, -1) if _is_heading(rows[i].strip(), goal)), -2)
        if at == -2:
            return False
    level, shape = len(rows[at]) - len(rows[at].lstrip()), _shape(rows[at])
    later = (row for row in rows[at + 1 :] if _SECTION.match(row) or _shape(row) == shape)
    return not any(len(row) - len(row.lstrip()) <= level for row in later)


def _is_heading(row: str, goal: str) -> bool:
    """Whether a line is the heading that a hunk names, which git cuts off when it is long."""
    cut = len(goal) >= _CUT
    return row.startswith(goal) and (cut or not re.match(r"\w\w", goal[-1:] + row[len(goal) :][:1]))


def _shape(row: str) -> str:
    """What a line ends with, or begins with where that is a letter: heads of sections are alike in it in any format."""
    row = row.strip()
    return (_MARKS.match(row) or row)[0] or row if row[-1:].isalnum() else row[-1:]


def _starts(body: str, old: str) -> list[int]:
    """Where `old` occurs at the beginning of a line."""
    found: list[int] = []
    at = body.find(old)
    while at >= 0:
        if at == 0 or body[at - 1] == "\n":
            found.append(at)
        at = body.find(old, at + 1)
    return found


def _start_of(body: str, line: int, at: int = 0) -> int:
    """Where a line begins, the first being the one that begins at `at`."""
    for _ in range(line - 1):
        at = body.find("\n", at) + 1
        if not at:
            return len(body)
    return at
