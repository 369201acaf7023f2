"""Renaming a Python symbol wherever it is used: one change of many files, shown or made, undone as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ..output import ToolError, bounded, fenced, masked, one_line, visible
from ..source.encoding import decode
from ..source.new_text import edited
from ..source.syntax_check import note
from ..workspace import Change, Confirmed, Workspace
from .editing import Edit, text_diff

TIMEOUT_S = 60.0
MAX_SHOWN_BYTES = 24_000


def rename(
    workspace: Workspace, path: str, edits: Sequence[Edit], dry_run: bool, confirmed: Confirmed
) -> str:
    """Rename `old`, defined at the top of `path` or as Class.member, in all Python files of its root."""
    if len(edits) != 1 or not edits[0].old or edits[0].start is not None:
        raise ToolError(
            "symbol=true takes one edit alone: old, such as f or Class.method, and new, a plain name"
        )
    old, new = edits[0].old, edits[0].new
    fd, root, real = workspace.open_real(path)
    os.close(fd)
    found = _asked({"root": str(root.path), "path": str(root.path / real), "old": old, "new": new})
    texts: dict[str, list[str]] = found["texts"]
    names = {workspace.display(root, file): file for file in texts}
    changes = [
        Change(path=name, data=partial(_renamed, workspace, name, texts[file]))
        for name, file in names.items()
    ]
    workspace.rehearse(changes, confirmed=confirmed)
    op = None if dry_run else workspace.apply(changes, tool="edit_file", confirmed=confirmed)
    rows, diffs = list[str](), list[str]()
    for name, file in sorted(names.items()):
        diff, counts = text_diff(*texts[file])
        said = note(name, texts[file][1])
        rows.append(" · ".join(part for part in (one_line(name), counts, said) if part))
        diffs.append(f"--- {one_line(name)}\n{diff}")
    head = f"{one_line(old)} -> {one_line(new)} in {len(rows)} file{'s' * (len(rows) != 1)}"
    done = f"op={op.id}" if op else "dry run: nothing was changed"
    left = ", ".join(map(one_line, found["left"]))
    tail = (
        f"\nleft as they are, since another thing, a string or a comment may be meant: {left}" if left else ""
    )
    shown = fenced(bounded(masked(visible("\n".join(diffs))), MAX_SHOWN_BYTES), "rename")
    return "\n".join([f"{head} · {done}", *rows, shown]) + tail


def _renamed(workspace: Workspace, name: str, texts: list[str], data: bytes | None) -> bytes:
    """The file's new bytes, in its own encoding and with its own line ends."""
    charset = partial(workspace.charset, name)
    text = decode(data or b"", name, charset=charset)
    if text is None or text.body != texts[0].replace("\r\n", "\n"):
        raise ToolError(f"{name} has changed meanwhile, or is not text; nothing was changed, call again")
    return edited(text, replace(text, body=texts[1].replace("\r\n", "\n")), name, charset)


def _asked(wanted: dict[str, str]) -> dict[str, Any]:
    """The answer of a process of its own: source made to be slow ends with it."""
    command = [sys.executable, "-I", "-c", "from servers.files.rename_symbol import main; main()"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(wanted).encode(),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            cwd="/",
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise ToolError(f"the uses were not found within {TIMEOUT_S:g} s; nothing was changed") from None
    except ValueError:
        raise ToolError("finding the uses failed; nothing was changed, edits rename as well") from None
    if "refused" in found:
        raise ToolError(f"{found['refused']}; nothing was changed")
    return found
