"""Writing and editing text files: exact replacement, line replacement, what changed and what no longer parses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pydantic import BaseModel

from ..output import ToolError, bounded, fenced, masked, one_line, visible
from ..source.common import common_end, common_start
from ..source.encoding import Charset, Text, decode
from ..source.nearest import look_alike, nearest
from ..source.new_text import codec, edited, manner_changed, new_file, overwritten
from ..source.syntax_check import note
from ..workspace import Change, Confirmed, Operation, Workspace, nobody, rev_of

MAX_DIFF_BYTES = 12_000
MAX_DIFFED_LINES = 20_000  # beyond it a diff would take seconds


class Edit(BaseModel, extra="forbid"):
    # One replacement: of an exact text, or of the lines start..end. A docstring would join the tool's schema.
    new: str
    old: str | None = None
    count: int = 1
    start: int | None = None
    end: int | None = None
    symbol: bool = False


@dataclass(slots=True, kw_only=True)
class _Seen:
    """What a change saw under its lock: filled in by its computation, read by its report."""

    old: bytes | None = None
    new: bytes = b""


def write(
    workspace: Workspace,
    path: str,
    content: str,
    if_exists: Literal["fail", "overwrite", "append"],
    expect_rev: str | None,
    confirmed: Confirmed = nobody,
    *,
    encoding: str | None = None,
) -> str:
    """Create, overwrite or extend a file; encoding and line endings of what was there stay."""

    named = codec(encoding)
    charset = partial(workspace.charset, path)

    def compute(old: bytes | None) -> bytes:
        if old is None:
            if if_exists == "fail":
                workspace.refuse_twin(path, "if_exists=overwrite makes it all the same")
            return new_file(content, path, charset, named)
        if if_exists == "fail":
            raise ToolError(
                f"{path} already exists (rev={rev_of(old)}); edit_file changes it, if_exists=overwrite replaces it"
            )
        was = decode(old, path, charset=charset, encoding=named if if_exists == "append" else None)
        if was is None:
            if if_exists == "append":
                raise ToolError(
                    f"{path} is binary{' or not ' + named if named else ''}; text cannot be appended to it"
                )
            return new_file(content, path, charset, named)
        refuse_masks(was.body, content, path)
        if if_exists == "append":
            return edited(was, was.replaced(len(was.body), len(was.body), content), path, charset)
        return overwritten(was, content, path, charset, named)

    return _change(
        workspace, path, compute, "write_file", expect_rev, confirmed, charset=charset, encoding=named
    )


def edit(
    workspace: Workspace,
    path: str,
    edits: Sequence[Edit],
    expect_rev: str | None,
    dry_run: bool,
    confirmed: Confirmed = nobody,
    *,
    encoding: str | None = None,
) -> str:
    """Replace exact texts, or line ranges of the revision `expect_rev`."""
    by_line = _checked(edits, expect_rev)
    named = codec(encoding)
    charset = partial(workspace.charset, path)

    def compute(old: bytes | None) -> bytes:
        if old is None:
            raise workspace.refusal(path, FileNotFoundError(2, "No such file or directory"))
        text = decode(old, path, charset=charset, encoding=named)
        if text is None:
            why = f"is not in {named}" if named else "is not text"
            raise ToolError(f"{path} {why}: it is not edited")
        for one in edits:
            refuse_masks(text.body, one.new, path)
        new = replace_lines(text, edits, path) if by_line else replace_texts(text, edits, path)
        if new.body == text.body:
            raise ToolError(f"{path}: the edit changes nothing")
        return edited(text, new, path, charset)

    return _change(
        workspace,
        path,
        compute,
        "edit_file",
        expect_rev,
        confirmed,
        charset=charset,
        encoding=named,
        dry_run=dry_run,
    )


def refuse_masks(old: str, new: str, path: str) -> None:
    """ToolError when a new text holds the stand-in of a masked secret: the file's real one would be lost."""
    if (mark := _MASK.search(new)) and mark[0] not in old:
        raise ToolError(
            f"{path}: the new text has {mark[0]!r}, which only stands for a secret in the file; "
            "writing it would lose the secret: edit the lines around it"
        )


def replace_texts(text: Text, edits: Sequence[Edit], path: str) -> Text:
    """Apply exact replacements in order. ToolError when a text occurs more or less often than said."""
    for edit in edits:
        old = (edit.old or "").replace("\r\n", "\n")
        found = _places(text.body, old)
        if len(found) != edit.count:
            raise ToolError(_miscount(text, old, found, edit.count, path))
        for at in found:
            if text.body.find(old, at + 1, at + 2 * len(old) - 1) >= 0:
                line = text.body.count("\n", 0, at) + 1
                raise ToolError(
                    f"{path}: old fits in two ways that overlap at line {line}; add neighbouring lines to it"
                )
        text = text.replaced_all([(at, at + len(old)) for at in found], edit.new)
    return text


def replace_lines(text: Text, edits: Sequence[Edit], path: str) -> Text:
    """Apply line replacements; all numbers are those of the file as it was."""
    total = len(text.lines)
    ranges = sorted(
        ((e.start or 1, e.end if e.end is not None else e.start or 1, e.new) for e in edits), reverse=True
    )
    after = total + 2
    for start, end, new in ranges:
        if not 1 <= start <= total + 1 or not start - 1 <= end <= total:
            raise ToolError(f"{path} has lines 1-{total}; {start}-{end} is no range in it")
        if end >= after or start >= after:
            raise ToolError(f"{path}: two edits touch line {max(start, min(end, after))}; make one of them")
        after = start
        offset = _line_offset(text.body, start)
        until = _line_offset(text.body, end + 1)
        if (
            new
            and not new.endswith("\n")
            and (until < len(text.body) or text.body[offset:until].endswith("\n"))
        ):
            new += "\n"
        if new and offset == len(text.body) and text.body and not text.body.endswith("\n"):
            new = "\n" + new
        text = text.replaced(offset, until, new)
    return text


def report(
    op: Operation | None,
    path: str,
    old: bytes | None,
    new: bytes | None,
    *,
    charset: Charset = lambda: None,
    encoding: str | None = None,
) -> str:
    """What changed in one file, for the model: header, diff, whether it still parses."""
    before = decode(old or b"", path, charset=charset, encoding=encoding) or decode(
        old or b"", path, charset=charset
    )
    after = decode(new or b"", path, charset=charset, encoding=encoding)
    head = [one_line(path), "deleted" if new is None else f"rev={rev_of(new)}"]
    head.append(f"op={op.id}" if op else "dry run: nothing was changed")
    links = op.files[0].links if op else 0
    head += [f"{links} other name{'s' * (links > 1)} (hard links) keep the old text"] if links else []
    if before is None or after is None:
        what = "replaced a binary file" if before is None and after is not None else "binary"
        return " · ".join([*head, f"{what}, {len(new or b''):,} bytes"])
    if old and new and (changed := manner_changed(before, after)):
        head.append(changed)
    diff, counts = _diff(before, after)
    head.insert(1, counts)
    if new is not None and (said := note(path, after.body)):
        head.append(said)
    if diff:
        return " · ".join(head) + "\n" + fenced(diff, f"diff {path}")
    return " · ".join(head)


def change_counts(before: Text, after: Text) -> str:
    """`+3 -1`."""
    return _diff(before, after)[1]


def _change(
    workspace: Workspace,
    path: str,
    compute: Callable[[bytes | None], bytes],
    tool: str,
    expect_rev: str | None,
    confirmed: Confirmed,
    *,
    charset: Charset,
    encoding: str | None,
    dry_run: bool = False,
) -> str:
    seen = _Seen()

    def remember(old: bytes | None) -> bytes:
        seen.old, seen.new = old, compute(old)
        return seen.new

    change = Change(path=path, data=remember, expect_rev=expect_rev)
    if dry_run:
        workspace.rehearse([change], confirmed=confirmed)
        return report(None, workspace.shown(path), seen.old, seen.new, charset=charset, encoding=encoding)
    op = workspace.apply([change], tool=tool, confirmed=confirmed)
    return report(op, op.files[0].path, seen.old, seen.new, charset=charset, encoding=encoding)


def _checked(edits: Sequence[Edit], expect_rev: str | None) -> bool:
    """Whether the edits are by line. ToolError when they are neither form, or both."""
    if not edits:
        raise ToolError("edits is empty; give {old, new} or {start, end, new}")
    kinds = {edit.start is not None for edit in edits}
    for edit in edits:
        if (edit.old is None) == (edit.start is None) or (edit.end is not None and edit.start is None):
            raise ToolError("an edit is either {old, new, count} or {start, end, new}")
        if edit.old == "":
            raise ToolError(
                "old is empty; to insert, use {start: N, end: N-1, new}, or old with a neighbouring line"
            )
        if edit.count < 1:
            raise ToolError(f"count says how often old occurs, at least 1; found {edit.count}")
    if len(kinds) > 1:
        raise ToolError("one call edits by text or by line, not both: line numbers would shift")
    if kinds == {True} and not expect_rev:
        raise ToolError("line edits need expect_rev, the rev read_file showed with these line numbers")
    return kinds == {True}


def _places(body: str, old: str) -> list[int]:
    found: list[int] = []
    at = body.find(old)
    while at >= 0:
        found.append(at)
        at = body.find(old, at + len(old))
    return found


def _miscount(text: Text, old: str, found: Sequence[int], count: int, path: str) -> str:
    if found:
        lines = [str(text.body.count("\n", 0, at) + 1) for at in found[:20]]
        more = ["..."] if len(found) > 20 else []
        return (
            f"{path}: old occurs {len(found):,} times, not {count:,}: lines {', '.join(lines + more)}; "
            f"add neighbouring lines to make it unique, or set count={len(found)}"
        )
    if _NUMBERED.match(old):
        return f"{path}: old begins with a line number; those are not in the file, leave them out"
    if _MASK.search(old):
        return f"{path}: old has the stand-in of a masked secret; choose text around it"
    if said := look_alike(text.body, old):
        return f"{path}: old does not occur exactly; {said}"
    doubt = text.doubt(old)
    near = nearest(text.lines, old.removesuffix("\n").split("\n"))
    if near is None:
        return f"{path}: old does not occur, nor anything like it; read the file again{doubt}"
    first, share = near
    wanted = old.removesuffix("\n").split("\n")
    there = text.lines[first : first + len(wanted)]
    shown = "\n".join(f"{n}\t{visible(line[:400])}" for n, line in enumerate(there[:40], first + 1))
    same = [line.split() for line in there] == [line.split() for line in wanted]
    why = "it differs in white space alone" if same else f"{share:.0%} alike{doubt}"
    return f"{path}: old does not occur exactly. The nearest is here, {why}:\n" + fenced(masked(shown), path)


def _line_offset(body: str, line: int) -> int:
    """Where a line begins; the body's length for the line after the last."""
    at = 0
    for _ in range(line - 1):
        at = body.find("\n", at) + 1
        if not at:
            return len(body)
    return at


def _shown(body: str) -> str:
    """The text, a private key masked as a whole: the lines around a change may be its inside."""
    return masked(body) if "PRIVATE KEY-----" in body else body


def _rows(body: str) -> list[str]:
    """Lines of which the last shows it when the final newline is missing."""
    *rows, last = body.split("\n")
    return [*rows, last + "\n\\ no newline at the end"] if last else rows


def _differing(old: str, new: str) -> tuple[int, list[str], list[str]]:
    """The rows between those that two texts begin and end with, a few of these beside them; how many come before.

    The texts are compared whole, and few rows made of them: a small edit of a big file stays cheap.
    """
    same = old.rfind("\n", 0, common_start(old, new)) + 1
    left = common_end(old[same:], new[same:])
    if not all(len(text) - left == same or text[len(text) - left - 1] == "\n" for text in (old, new)):
        left = len(old) - _next_line(old, len(old) - left)  # no row begins there in one of them
    start, end = same, len(old) - left
    for _ in range(_CONTEXT):
        start, end = old.rfind("\n", 0, max(start - 1, 0)) + 1, _next_line(old, end)
    until = len(new) - (len(old) - end)
    return old.count("\n", 0, start), _rows(old[start:end]), _rows(new[start:until])


def _next_line(text: str, at: int) -> int:
    """Where the next line begins; the text's length where none does."""
    return text.find("\n", at) + 1 or len(text)


def text_diff(before: str, after: str) -> tuple[str, str]:
    """A bounded diff of two plain texts, and its counts."""
    return _diff(Text(body=before), Text(body=after))


def _diff(before: Text, after: Text) -> tuple[str, str]:
    """A bounded unified diff without file names, and `+3 -1`."""
    if before.body == after.body:
        return "", "+0 -0"
    first, old, new = _differing(_shown(before.body), _shown(after.body))
    if len(old) + len(new) > MAX_DIFFED_LINES:
        return "", f"{len(old):,} lines became {len(new):,}"
    lines = list(difflib.unified_diff(old, new, n=_CONTEXT, lineterm=""))[2:]
    plus, minus = (sum(line.startswith(sign) for line in lines) for sign in "+-")
    shown = "\n".join(
        _HUNK.sub(lambda m: f"@@ -{int(m[1]) + first}{m[2]} +{int(m[3]) + first}{m[4]} @@", line)
        for line in lines
    )
    return bounded(masked(visible(shown)), MAX_DIFF_BYTES), f"+{plus} -{minus}"


_MASK = re.compile(r"\[\d+ characters masked\]")
_NUMBERED = re.compile(r"\d+\t")
_CONTEXT = 2
_HUNK = re.compile(r"^@@ -(\d+)(\S*) \+(\d+)(\S*) @@$")
