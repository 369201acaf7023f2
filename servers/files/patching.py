"""Applying a unified diff over several files: all of them or none, never at a guessed place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..output import ToolError, fenced, masked, one_line, visible
from ..source.encoding import Charset, Text, decode
from ..source.new_text import new_file, refuse_redeclared
from ..source.syntax_check import note
from ..workspace import Change, Confirmed, Operation, Workspace, rev_of
from .editing import change_counts, look_alike, nearest, refuse_masks

_HUNK = re.compile(r"^@@(?: -(\d{1,9})(?:,(\d{1,9}))? \+\d+(?:,\d+)? @@)?")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_NAMED = {
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b'"': b'"',
    b"\\": b"\\",
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
}


@dataclass(slots=True)
class Hunk:
    """Old and new lines of one place."""

    line: int | None  # where the old lines begin by the header; None: the header does not say
    size: int | None  # how many old lines the header promises
    old: list[str] = field(default_factory=list[str])
    new: list[str] = field(default_factory=list[str])
    old_open: bool = False  # the last old line ends the file without a newline
    new_open: bool = False
    last: str = ""  # the sign of the line before


@dataclass(slots=True)
class FilePatch:
    """What a patch says of one file."""

    old: str | None  # None: the file is new
    new: str | None  # None: the file goes
    runs: bool | None = None  # whether it shall be executable; None: as it is
    hunks: list[Hunk] = field(default_factory=list[Hunk])


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


def parse(patch: str) -> list[FilePatch]:
    """The files of a unified diff, plain or git's. ToolError says which line is wrong."""
    files: list[FilePatch] = []
    hunk: Hunk | None = None
    git: FilePatch | None = None  # begun by `diff --git`, its --- and +++ still to come
    lines = patch.replace("\r\n", "\n").removesuffix("\n").split("\n")
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
            files[-1].hunks.append(hunk)
        elif hunk is not None and line == "-- " and len(hunk.old) == hunk.size:
            hunk = None  # the signature below a mailed patch
        elif hunk is not None:
            _add(hunk, line, at + 1)
        at += 1
    for one in files:
        for each in one.hunks:
            _trim(each)
    files = [one for one in files if one.hunks or one.old != one.new or one.runs is not None]
    if not files:
        raise ToolError(
            "the patch names no file; it needs --- a/PATH, +++ b/PATH and @@ lines (unified diff)"
        )
    return files


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
            at = _place(body, old, line, floor, f"{path}, hunk {number}")
        if padded and at + len(old) > len(text.body):  # the file ends in the hunk, without a newline
            old, new = old.removesuffix("\n"), new.removesuffix("\n")
        elif padded and at > len(text.body):
            at, new = len(text.body), "\n" + new
        text = text.replaced(at, at + len(old), new)
        floor_line += body.count("\n", floor, at) + new.count("\n")
        floor = at + len(new)
        drift += len(hunk.new) - len(hunk.old)
    return text


def _place(body: str, old: str, line: int | None, floor: int, what: str) -> int:
    if not old:  # an insertion without context: at its line, after it when the header counts none
        if line is None and body:
            raise ToolError(f"{what} has neither context nor a line number")
        return _start_of(body, (line or 0) + 1) if body else 0
    found = [at for at in _starts(body, old) if at >= floor]
    if len(found) == 1:
        return found[0]
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
        f"{what}: its old lines are not in the file; nothing was changed. The nearest place, {share:.0%} alike:\n"
        + fenced(masked(shown), what)
    )


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


def _begins_file(lines: Sequence[str], at: int, hunk: Hunk | None) -> bool:
    """Whether --- and +++ here name a file, rather than being lines that a hunk still expects."""
    if not lines[at].startswith("--- ") or not "".join(lines[at + 1 : at + 2]).startswith("+++ "):
        return False
    if hunk is None or hunk.size is None or len(hunk.old) >= hunk.size:
        return True
    hunk_follows = "".join(lines[at + 2 : at + 3]).startswith("@@ ")
    return hunk_follows and len(hunk.old) + 1 != hunk.size  # the header has counted wrong, as models do


def _add(hunk: Hunk, line: str, number: int) -> None:
    sign, rest = line[:1], line[1:].removesuffix("\r")
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


def _mode(was: int, runs: bool | None) -> int:
    """Permissions, made executable for whoever may read, or not executable."""
    return was if runs is None else was | (was & 0o444) >> 2 if runs else was & ~0o111


def _names(old: str, new: str) -> tuple[str | None, str | None]:
    """The names of --- and +++ lines; None for /dev/null; git's a/ and b/ taken off."""
    first, second = _unquoted(old.split("\t", maxsplit=1)[0]), _unquoted(new.split("\t", maxsplit=1)[0])
    if first.startswith(("a/", "/dev/null")) and second.startswith(("b/", "/dev/null")):
        first, second = first.removeprefix("a/"), second.removeprefix("b/")
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
    name = name.rstrip("\r")
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    raw = _ESCAPE.sub(
        lambda m: bytes([int(m[1], 8) & 255]) if len(m[1]) == 3 else _NAMED.get(m[1], m[1]),
        name[1:-1].encode("utf-8", "surrogateescape"),
    )
    return raw.decode("utf-8", "surrogateescape")
