"""Where everything stood at one moment, so that undo can tell whether anything happened since."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel

from ...output import ToolError
from ...source.quoted_paths import shown
from ..safe import in_progress, parsing
from ..safe.repository import Repository
from ..safe.status import porcelain
from . import worktree_files

_MAX_STATE_FILES = 500
_ID = re.compile(r"[0-9a-f]{40,64}")

Listing = Sequence[tuple[bytes, str, int]]
"""Path, `mode id` and stage of every index entry."""


class Kept(BaseModel):
    """How one file was: `kind` None when it was not there. `digest` hashes its bytes."""

    kind: str | None
    mode: int = 0
    digest: str | None = None


class Snapshot(BaseModel):
    """Where everything stood. Names of files and refs are in the quoted form of `names.shown`."""

    head: str  # a branch's full name, or a commit id when detached
    refs: dict[str, str]
    stashes: list[tuple[str, str]]  # id and message, newest first
    index: str  # hash of the staged entries
    files: dict[str, Kept]
    state: dict[str, str]  # hash of each file of a merge or rebase under way

    @property
    def tip(self) -> str | None:
        """The commit HEAD stood on; None on a branch without commits."""
        return self.refs.get(self.head) or (self.head if _ID.fullmatch(self.head) else None)


def now(repo: Repository, paths: Iterable[bytes], listing: Listing | None = None) -> Snapshot:
    """How things stand, with these files looked at; `listing` when the index was just read."""
    out = repo.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/stash")
    refs = [line.partition(b" ") for line in out.split(b"\n")[:-1]]
    index = hashlib.blake2b(digest_size=16)
    for path, entry, stage in entries(repo) if listing is None else listing:
        index.update(b"%b\0%b %d\0" % (path, entry.encode(), stage))
    return Snapshot(
        head=shown(os.fsencode(head(repo))),
        refs={shown(name): oid.decode() for oid, _, name in refs},
        stashes=_stashes(repo) if any(name == b"refs/stash" for _, _, name in refs) else [],
        index=index.hexdigest(),
        files={shown(path): _kept(repo, path) for path in dict.fromkeys(paths)},
        state={shown(name): hashlib.blake2b(data).hexdigest() for name, data in state_files(repo)},
    )


def entries(repo: Repository, index: Path | None = None) -> list[tuple[bytes, str, int]]:
    """Path, `mode id` and stage of every index entry."""
    git = repo.git if index is None else repo.git.with_env(GIT_INDEX_FILE=str(index))
    out: list[tuple[bytes, str, int]] = []
    for record in parsing.fields(git("ls-files", "--stage", "-z")):
        meta, _, path = record.partition(b"\t")
        mode, oid, stage = meta.decode().split()
        out.append((path, f"{mode} {oid}", int(stage)))
    return out


def head(repo: Repository) -> str:
    """The branch HEAD is on, by its full name, or the commit id when detached."""
    done = repo.git.attempt("symbolic-ref", "--quiet", "HEAD")
    if branch := os.fsdecode(done.out).rstrip("\n"):
        return branch
    commit = repo.git.attempt("rev-parse", "--verify", "--quiet", "HEAD").out.decode().strip()
    if not commit:
        raise ToolError(
            "HEAD leads to no commit: its branch has a name or a file git cannot read; `git fsck` says more, and "
            "the user can repair it with `git symbolic-ref HEAD refs/heads/BRANCH`"
        )
    return commit


def state_files(repo: Repository) -> list[tuple[bytes, bytes]]:
    """The files of a merge or rebase under way, by name inside the git dir."""
    found = [repo.git_dir / name for name in in_progress.FILES]
    for folder in in_progress.FOLDERS:
        found += sorted((repo.git_dir / folder).rglob("*"))[:_MAX_STATE_FILES]
    regular = [path for path in found if path.is_file() and not path.is_symlink()]
    return [(os.fsencode(path.relative_to(repo.git_dir)), path.read_bytes()) for path in regular]


def changed_files(repo: Repository) -> list[parsing.Entry]:
    """Tracked files that are not as the last commit has them: git rewrites these, and forgets their modes."""
    found = porcelain(repo, untracked="no")
    return found.unstaged + found.conflicts + found.staged


def hidden(repo: Repository) -> list[bytes]:
    """Files on disk that the index marks as assumed unchanged or not to be looked at."""
    rows = parsing.fields(repo.git("ls-files", "-v", "-z"))
    return [
        row[2:]
        for row in rows
        if row[:1].islower() or row[:1] == b"S"
        if worktree_files.look(repo.beneath, row[2:])
    ]


def _kept(repo: Repository, path: bytes) -> Kept:
    item = worktree_files.look(repo.beneath, path)
    if item is None:
        return Kept(kind=None)
    return Kept(kind=item.kind, mode=item.mode, digest=worktree_files.digest(repo.beneath, path))


def _stashes(repo: Repository) -> list[tuple[str, str]]:
    out = repo.git("reflog", "show", "-z", "--format=%H%n%gs", "refs/stash", "--")
    rows = [record.partition(b"\n") for record in parsing.fields(out)]
    return [(oid.decode(), parsing.text_of(message)) for oid, _, message in rows]
