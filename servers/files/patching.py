"""Applying a patch over several files: all of them or none, never at a guessed place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..output import ToolError, fenced, masked, one_line, visible
from ..source.encoding import Charset, Text, decode
from ..source.new_text import new_file, refuse_redeclared
from ..source.syntax_check import note
from ..workspace import Change, Confirmed, Operation, Workspace, rev_of
from .editing import change_counts, look_alike, nearest, refuse_masks
from .patch_files import FilePatch, Hunk
from .unified_diff import parse

_SECTION = re.compile(
    r"\s*(?:(?:export|default|pub(?:\([\w:]+\))?|async|static|public|private|protected|abstract|final|unsafe|const)\s+)*"
    r"(?:(?:def|class|func|fn|function|impl|struct|enum|interface|trait|module|sub)\b|\w[\w\s*&:<>,]*\([^;]*\)\s*\{?$)"
)
"""Lines that begin a function or a class, in most languages."""


@dataclass(slots=True)
class _Result:
    path: str
    before: bytes | None = None
    after: bytes | None = None
    runs: bool | None = None


def apply_patch(workspace: Workspace, patch: str, dry_run: bool, confirmed: Confirmed) -> str:
    """Apply the patch and report each file."""
    results: list[_Result] = []
    changes: list[Change] = []
    files = parse(patch)
    for one in files:
        changes += _changes(workspace, one, results)
    fresh = [(one.new, one.old or "") for one in files if one.new and one.new != one.old]
    twins = [f"\nnote: {twin}" for new, old in fresh if (twin := workspace.twin(new, but=old))]
    if dry_run:
        workspace.rehearse(changes, confirmed=confirmed)
        return _report(results, None) + "".join(twins)
    done = workspace.apply(changes, tool="apply_patch", confirmed=confirmed)
    return _report(results, done) + "".join(twins)


def patched(text: Text, hunks: Sequence[Hunk], path: str) -> Text:
    """The text with all hunks applied. ToolError when one fits nowhere, or in several places."""
    drift = 0
    floor, floor_line = 0, 1  # where the hunk before ended: the next one begins there or later
    for number, hunk in enumerate(hunks, 1):
        padded = text.body and not text.body.endswith("\n") and not hunk.old_open
        body = text.body + "\n" if padded else text.body
        old = "\n".join(hunk.old) + ("" if hunk.old_open or not hunk.old else "\n")
        new = "\n".join(hunk.new) + ("" if hunk.new_open or not hunk.new else "\n")
        line = None if hunk.line is None else hunk.line + drift
        at = None if line is None or line < floor_line else _start_of(body, line - floor_line + 1, floor)
        if not old or at is None or not body.startswith(old, at):
            at = _place(body, old, line, floor, hunk.headings, f"{path}, hunk {number}")
        if padded and at + len(old) > len(text.body):  # the file ends in the hunk, without a newline
            old, new = old.removesuffix("\n"), new.removesuffix("\n")
        elif padded and at > len(text.body):
            at, new = len(text.body), "\n" + new
        text = text.replaced(at, at + len(old), new)
        floor_line += body.count("\n", floor, at) + new.count("\n")
        floor = at + len(new)
        drift += len(hunk.new) - len(hunk.old)
    return text


def _place(body: str, old: str, line: int | None, floor: int, headings: Sequence[str], what: str) -> int:
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
        raise ToolError(f"{what}: its old lines are not in the file; read it again. Nothing was changed")
    first, share = near
    window = lines[first : first + old.count("\n") + 1][:40]
    shown = "\n".join(f"{n}\t{visible(one[:400])}" for n, one in enumerate(window, first + 1))
    raise ToolError(
        f"{what}: its old lines are not in the file; nothing was changed\nThe nearest place, {share:.0%} alike:\n"
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
        at = next((i for i in range(len(rows) - 1, at, -1) if rows[i].strip().startswith(goal)), -2)
        if at == -2:
            return False
    level = len(rows[at]) - len(rows[at].lstrip())
    later = (row for row in rows[at + 1 :] if _SECTION.match(row))
    return not any(len(row) - len(row.lstrip()) <= level for row in later)


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


def _changes(workspace: Workspace, one: FilePatch, results: list[_Result]) -> list[Change]:
    """The changes one file of the patch asks for; their outcome appears in `results` when computed."""
    if one.old is not None and one.new is not None and one.old != one.new:  # renamed
        data, mode = workspace.read(one.old), workspace.mode(one.old)
        result = _Result(one.new, data, runs=one.runs)
        results += [_Result(one.old, data), result]
        after = _computing(one, one.old, partial(workspace.charset, one.old), result)
        return [
            Change(path=one.old, data=None, expect_rev=rev_of(data)),
            Change(path=one.new, data=lambda _: after(data), expect_rev="", mode=_mode(mode, one.runs)),
        ]
    path = one.new or one.old or ""
    result = _Result(path, runs=one.runs)
    results.append(result)
    compute = _computing(one, path, partial(workspace.charset, path), result)
    if one.old is None:
        return [Change(path=path, data=compute, expect_rev="", mode=0o755 if one.runs else None)]
    mode = None if one.runs is None else _mode(workspace.mode(path), one.runs)
    return [Change(path=path, data=compute, mode=mode)]


def _computing(
    one: FilePatch, path: str, charset: Charset, result: _Result
) -> Callable[[bytes | None], bytes | None]:
    def compute(old: bytes | None) -> bytes | None:
        if old is None and one.old is not None:
            raise ToolError(f"there is no {path!r}, which the patch changes; nothing was changed")
        text = decode(old or b"", path, charset=charset)
        if text is None:
            raise ToolError(f"{path} is not text; nothing was changed")
        for hunk in one.hunks:
            refuse_masks(text.body, "\n".join(hunk.new), path)
        new = patched(text, one.hunks, path)
        if new.body == text.body and one.old is not None and one.old == one.new and one.runs is None:
            raise ToolError(f"{path}: the patch changes nothing in it; nothing was changed")
        if one.whole:
            result.before = old
            return None
        if one.new is None and new.body:
            raise ToolError(f"{path} has lines beyond those the patch deletes; nothing was changed")
        result.before, result.after = old, None
        if one.new is not None:
            refuse_redeclared(text, new, path)
            result.after = new_file(new.body, path, charset, None) if one.old is None else new.encode()
        return result.after

    return compute


def _report(results: Sequence[_Result], op: Operation | None) -> str:
    lines = [
        f"{len(results)} file{'s' * (len(results) != 1)} · "
        + (f"op={op.id}" if op else "dry run: nothing was changed")
    ]
    links = {file.path: file.links for file in op.files} if op else {}
    for one in results:
        before, after = decode(one.before or b"", one.path), decode(one.after or b"", one.path)
        counts = change_counts(before, after) if before and after else ""
        said = note(one.path, after.body) if after and one.after is not None else None
        runs = {None: None, True: "executable", False: "not executable"}[one.runs]
        parts = ["gone" if one.after is None else f"rev={rev_of(one.after)}", counts, runs, said]
        if count := links.get(one.path):
            parts.append(f"{count} other name{'s' * (count > 1)} (hard links) keep the old text")
        lines.append(" · ".join([one_line(one.path), *(part for part in parts if part)]))
    return "\n".join(lines)


def _mode(was: int, runs: bool | None) -> int:
    """Permissions, made executable for whoever may read, or not executable."""
    return was if runs is None else was | (was & 0o444) >> 2 if runs else was & ~0o111
