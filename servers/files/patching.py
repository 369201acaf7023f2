"""Applying a patch over several files: all of them or none, never at a guessed place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..output import ToolError, one_line
from ..source.encoding import Charset, decode
from ..source.new_text import codec, edited, new_file
from ..source.patch.apply import patched
from ..source.patch.patch import FilePatch, Hunk
from ..source.patch.unified_diff import parse
from ..source.syntax_check import note
from ..workspace import Change, Confirmed, Operation, Workspace, rev_of
from .editing import change_counts, refuse_masks


@dataclass(slots=True)
class _Result:
    path: str
    before: bytes | None = None
    after: bytes | None = None
    runs: bool | None = None


def apply_patch(
    workspace: Workspace, patch: str, dry_run: bool, confirmed: Confirmed, *, encoding: str | None = None
) -> str:
    """Apply the patch and report each file; `encoding` is what the caller knows of all of them."""
    named = codec(encoding)
    results: list[_Result] = []
    changes: list[Change] = []
    files = parse(patch)
    for one in files:
        changes += _changes(workspace, one, results, named)
    fresh = [(one.new, one.old or "") for one in files if one.new and one.new != one.old]
    twins = [f"\nnote: {twin}" for new, old in fresh if (twin := workspace.twin(new, but=old))]
    if dry_run:
        workspace.rehearse(changes, confirmed=confirmed)
        return _report(results, None, named) + "".join(twins)
    done = workspace.apply(changes, tool="apply_patch", confirmed=confirmed)
    return _report(results, done, named) + "".join(twins)


def _changes(workspace: Workspace, one: FilePatch, results: list[_Result], named: str | None) -> list[Change]:
    """The changes one file of the patch asks for; their outcome appears in `results` when computed."""
    if one.old is not None and one.new is not None and one.old != one.new:  # renamed
        data, mode = workspace.read(one.old), workspace.mode(one.old)
        result = _Result(one.new, data, runs=one.runs)
        results += [_Result(one.old, data), result]
        after = _computing(one, one.old, partial(workspace.charset, one.old), result, named)
        return [
            Change(path=one.old, data=None, expect_rev=rev_of(data)),
            Change(path=one.new, data=lambda _: after(data), expect_rev="", mode=_mode(mode, one.runs)),
        ]
    path = one.new or one.old or ""
    result = _Result(path, runs=one.runs)
    results.append(result)
    compute = _computing(one, path, partial(workspace.charset, path), result, named)
    if one.old is None:
        return [Change(path=path, data=compute, expect_rev="", mode=0o755 if one.runs else None)]
    mode = None if one.runs is None else _mode(workspace.mode(path), one.runs)
    return [Change(path=path, data=compute, mode=mode)]


def _computing(
    one: FilePatch, path: str, charset: Charset, result: _Result, named: str | None
) -> Callable[[bytes | None], bytes | None]:
    def compute(old: bytes | None) -> bytes | None:
        if old is None and one.old is not None:
            raise ToolError(f"there is no {path!r}, which the patch changes; nothing was changed")
        if (
            old is not None and not one.hunks and one.new is not None
        ):  # another name or mode alone: of any file
            result.before = result.after = old
            return old
        if one.whole:
            result.before = old
            return None
        text = decode(old or b"", path, charset=charset, encoding=named)
        if text is None:
            why = f"is not in {named}" if named else "is not text"
            raise ToolError(f"{path} {why}; nothing was changed")
        for hunk in one.hunks:
            refuse_masks(text.body, "\n".join(hunk.new), path)
        new = patched(text, one.hunks, path)
        if new.body == text.body and one.old is not None and one.old == one.new and one.runs is None:
            raise ToolError(f"{path}: the patch changes nothing in it; nothing was changed")
        if one.new is None and new.body:
            raise ToolError(f"{path} has lines beyond those the patch deletes; nothing was changed")
        result.before, result.after = old, None
        if one.new is not None:
            result.after = (
                new_file(_made(one.hunks), path, charset, named)
                if one.old is None
                else edited(text, new, path, charset)
            )
        return result.after

    return compute


def _made(hunks: Sequence[Hunk]) -> str:
    """The text of a new file: its lines with the ends they have in the patch."""
    body = "".join(line + "\n" for hunk in hunks for line in hunk.new)
    return body.removesuffix("\n") if hunks and hunks[-1].new_open else body


def _report(results: Sequence[_Result], op: Operation | None, named: str | None) -> str:
    lines = [
        f"{len(results)} file{'s' * (len(results) != 1)} · "
        + (f"op={op.id}" if op else "dry run: nothing was changed")
    ]
    links = {file.path: file.links for file in op.files} if op else {}
    for one in results:
        before, after = (decode(data or b"", one.path, encoding=named) for data in (one.before, one.after))
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
