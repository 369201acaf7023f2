"""Before git may lose bytes, everything it could lose is kept, so that git_undo brings it back.

Of files that equal their commit the bytes and the executable bit come back, as git knows them; of changed
ones the whole mode. What the operation left behind is noted in the state folder.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from ...output import ToolError, one_line
from ...source.quoted_paths import shown, taken
from ...state import audit
from ...workspace.locks import held
from ..safe import parsing
from ..safe.process import shielded
from ..safe.repository import Repository
from . import worktree_files
from .operations import Note, Operation, forget, prune, write
from .recovery_commit import store
from .snapshot import Listing, changed_files, entries, hidden, now


@contextmanager
def alone(repo: Repository) -> Generator[None]:
    """Hold this repository against our other changes, of other server processes too."""
    try:
        with held([str(repo.common_dir)]):
            yield
    except TimeoutError as exc:
        raise ToolError(f"{exc} on this repository; try again when it is done") from exc
    except OSError as exc:
        name = os.fsdecode(exc.filename) if isinstance(exc.filename, str | bytes) else ""
        beyond = os.path.isabs(name) and not name.startswith(f"{repo.top}/")
        where = (
            " (the folder UNDERSTUDY_HOME)"
            if beyond
            else f" ({one_line(repo.git.shorten(name))})" * bool(name)
        )
        raise ToolError(
            f"what could be lost cannot be kept for undo, so nothing was done: {exc.strerror}{where}"
        ) from exc


@contextmanager
def recorded(
    repo: Repository,
    did: str,
    *,
    files: bool = False,
    at_risk: Iterable[bytes] = (),
    watch: Sequence[bytes] = (),
    keep: Sequence[str] = (),
    rename: tuple[str, str] | None = None,
    branch_config: Sequence[tuple[str, str]] = (),
) -> Generator[str]:
    """Keep what the body may lose; yields the operation's id for git_undo.

    With `files` the work tree's changed files are kept, and of `at_risk` whatever lies untracked on disk;
    `watch` names files whose very absence matters; `keep` are commits that may lose their last reference.
    An operation that failed and changed nothing leaves no trace.
    """
    if files and repo.settings.unsteady:
        raise ToolError(
            f"{repo.settings.unsteady}, so what this call writes could change the repository's settings while git "
            "runs; the user can move them into a .git/config of its own"
        )
    listing = entries(repo)
    paths, at_risk = list(watch), list(at_risk)
    tracked = {path for path, _, _ in listing}
    if files:
        dirty = _dirty(repo)
        paths += dirty + _in_the_way(repo, [*at_risk, *dirty], tracked)
    before = now(repo, paths, listing)
    op = Operation(
        id=f"u{time.time_ns() // 1_000_000:x}{secrets.token_hex(2)}",
        at=time.time(),
        did=one_line(did),
        files=files,
        before=before,
        coming=[
            name for path in at_risk if path not in tracked and (name := shown(path)) not in before.files
        ],
        rename=rename,
        branch_config=list(branch_config),
    )
    note = Note(commit=store(repo, op, listing, keep))
    write(repo, op.id, note)
    try:
        yield op.id
    except BaseException:
        with shielded():
            if not _finish(repo, op, note, listing):
                forget(repo, [op.id])
        raise
    _finish(repo, op, note, listing)
    audit.record("git", op=op.id, did=did, root=str(repo.top))
    prune(repo)


def incoming(repo: Repository, tree: str) -> list[bytes]:
    """Paths of a tree the index does not have: checking it out would create them."""
    args = ["--cached", "--name-only", "--no-renames", "--diff-filter=D", "-z", "--ignore-submodules=all"]
    return parsing.fields(repo.git("diff-index", *args, tree, "--"))


def _finish(repo: Repository, op: Operation, note: Note, old: Listing) -> bool:
    """Note what the operation left behind; whether that is any different from before."""
    listing = entries(repo)
    paths = [taken(name) for name in op.before.files]
    if op.files:
        untracked = {path for path, _, _ in old} - {path for path, _, _ in listing}
        paths += _dirty(repo) + [path for path in untracked if worktree_files.look(repo.beneath, path)]
    note.after = now(repo, paths, listing)
    brought = any(worktree_files.look(repo.beneath, taken(name)) for name in op.coming)
    if note.after == op.before and op.rename is None and not brought:
        return False
    write(repo, op.id, note)
    return True


def _dirty(repo: Repository) -> list[bytes]:
    """Tracked files that may hold what no commit holds; of those git is told not to look at, all there are."""
    return [entry.path for entry in changed_files(repo)] + hidden(repo)


def _in_the_way(repo: Repository, candidates: Iterable[bytes], tracked: set[bytes]) -> list[bytes]:
    """Untracked files on disk where `candidates` would be written, ignored ones included."""
    out: list[bytes] = []
    looked: set[bytes] = set()
    for path in candidates:
        parent = os.path.dirname(path)
        while parent and parent not in looked:
            looked.add(parent)
            if parent not in tracked and worktree_files.look(repo.beneath, parent):
                out.append(parent)
            parent = os.path.dirname(parent)
        if worktree_files.look(repo.beneath, path):
            out += [path] * (path not in tracked)
        elif os.path.isdir(os.path.join(os.fsencode(repo.top), path)):
            out += [inner for inner in worktree_files.beneath(repo.beneath, path) if inner not in tracked]
    return out
