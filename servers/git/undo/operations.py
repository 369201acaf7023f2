"""The operations that can be undone: what each was, and what the state folder noted of it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ...output import ToolError
from ...state.home import home
from ...state.whole_file import write_whole
from ..safe import parsing
from ..safe.repository import Repository
from .snapshot import Snapshot

PREFIX = "refs/understudy/undo/"
MAX_OPS = 100
_ID = re.compile(r"u[0-9a-f]{12,20}")


class Note(BaseModel):
    """What the state folder knows of an operation. Only what is noted there is believed: refs can be forged."""

    commit: str
    after: Snapshot | None = None


class Operation(BaseModel):
    """One undoable operation. `after` is None when it was interrupted."""

    id: str
    at: float
    did: str
    files: bool  # whether it may have touched the work tree
    before: Snapshot
    coming: list[str] = []  # files it may bring that were not there: leftovers when it did not finish
    rename: tuple[str, str] | None = None
    branch_config: list[tuple[str, str]] = []
    after: Snapshot | None = None
    commit: str = ""  # what holds it


def load(repo: Repository, op_id: str) -> Operation:
    """An operation by id. ToolError when there is none."""
    note = _read(repo, op_id)
    done = repo.git.attempt("cat-file", "blob", f"{note.commit}:meta.json") if note else None
    if note is None or done is None or done.code:
        raise ToolError(f"no operation {op_id[:40]!r} is kept here; git_undo without op lists those that are")
    op = Operation.model_validate_json(done.out)
    op.after, op.commit = note.after, note.commit
    return op


def recent(repo: Repository) -> list[tuple[str, str]]:
    """Id and description of each operation, newest first."""
    form = "%(refname)%00%(objectname)%00%(contents:subject)"
    out = repo.git("for-each-ref", "--sort=-refname", f"--format={form}", PREFIX)
    rows = [line.split("\0", 2) for line in parsing.lines(out)]
    ours = [(name.removeprefix(PREFIX), oid, did) for name, oid, did in rows]
    return [(op, did) for op, oid, did in ours if (note := _read(repo, op)) and note.commit == oid]


def forget(repo: Repository, ops: Sequence[str]) -> None:
    """Drop operations and what they kept."""
    commands = "".join(f"delete {PREFIX}{op}\n" for op in ops)
    repo.writing("update-ref", "--stdin", stdin=commands.encode())
    for op in ops:
        (notes(repo) / f"{op}.json").unlink(missing_ok=True)


def notes(repo: Repository) -> Path:
    """Where the state folder keeps what operations in this work tree left behind: each has its own index and HEAD."""
    name = hashlib.blake2b(os.fsencode(repo.git_dir), digest_size=8).hexdigest()
    folder = home() / "git" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def write(repo: Repository, op_id: str, note: Note) -> None:
    """Note it in the state folder."""
    write_whole(notes(repo) / f"{op_id}.json", note.model_dump_json())


def _read(repo: Repository, op_id: str) -> Note | None:
    if not _ID.fullmatch(op_id):
        return None
    try:
        return Note.model_validate_json((notes(repo) / f"{op_id}.json").read_bytes())
    except (FileNotFoundError, ValidationError):  # the latter: torn by a crash of the machine
        return None


def prune(repo: Repository) -> None:
    """Drop the oldest beyond the cap."""
    if len(os.listdir(notes(repo))) <= MAX_OPS:
        return
    if old := [op for op, _ in recent(repo)[MAX_OPS:]]:
        forget(repo, old)
