"""What git_status and git_log return: complete records, capped by bytes with totals kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from ...output import MAX_RESULT_BYTES
from ...source.quoted_paths import shown
from ..safe.parsing import Entry

LIST_BYTES = MAX_RESULT_BYTES // 4  # a record travels as text and as structure; two lists may be long


class File(BaseModel):
    path: str
    change: str
    source: str | None = None  # where a rename came from


class Counts(BaseModel):
    staged: int
    unstaged: int
    untracked: int
    conflicts: int
    stashes: int | None  # None where the stash cannot be read


class Status(BaseModel):
    """`branch` is None when detached, `head` None on a branch without commits."""

    branch: str | None
    head: str | None
    upstream: str | None
    ahead: int | None
    behind: int | None
    state: Literal["clean", "merge", "rebase", "cherry_pick", "revert", "am", "bisect", "conflict"]
    detail: str
    next_step: str | None
    counts: Counts
    conflicts: list[File]
    staged: list[File]
    unstaged: list[File]
    untracked: list[str]
    left_out: int
    notes: list[str]


class Commit(BaseModel):
    """One commit. `author` is name and address, `date` ISO 8601 with its offset; None where the commit has none."""

    commit: str
    parents: list[str]
    author: str
    date: str | None
    refs: list[str]
    subject: str
    body: str
    patch: str | None = None  # between fences; None when it was not asked for


class Log(BaseModel):
    """`cursor` continues behind the last commit; None at the end of history."""

    rev: str
    commits: list[Commit]
    cursor: str | None
    notes: list[str]


def files(entries: Sequence[Entry], room: int = LIST_BYTES) -> list[File]:
    """As many entries as fit into `room` bytes of JSON."""
    out: list[File] = []
    for entry in entries:
        source = shown(entry.source) if entry.source is not None else None
        file = File(path=shown(entry.path), change=entry.change, source=source)
        room -= len(file.model_dump_json(exclude_defaults=True)) + 1
        if room < 0:
            break
        out.append(file)
    return out
