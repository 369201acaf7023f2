"""Why git has nothing to show: paths it does not know, and what lies on the other side of the index."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...characters import difference, folded
from ...output import ToolError
from ..safe import parsing
from ..safe.quoting import names
from ..safe.repository import Repository
from ..safe.status import porcelain
from .nested import pointed_out

_MAX_NAMES_BYTES = 4 << 20


def refuse_unknown(repo: Repository, where: Sequence[bytes], revs: Sequence[str]) -> str:
    """ToolError when git knows none of these paths, neither in the work tree, the index nor at these revisions.

    Where some of them are known, the others are named in the note that is returned.
    """
    unknown = [
        path for path in dict.fromkeys(where) if path != b"." and not _known(repo, path, revs or ["HEAD"])
    ]
    if not unknown:
        return ""
    glob = (
        "; paths are taken as they are, * matches nothing else"
        if any(b"*" in path for path in unknown)
        else ""
    )
    said = f"there is no {names(unknown)}{_twins(repo, unknown)}{glob}"
    if len(unknown) == len(set(where)):
        if own := pointed_out(repo, unknown):
            said += f"; {own}"
        raise ToolError(f"{said}; git_status lists what changed, git_log(paths=[...]) where a path was")
    return said


def _known(repo: Repository, path: bytes, revs: Sequence[str]) -> bool:
    if os.path.lexists(os.path.join(os.fsencode(repo.top), path)):
        return True
    if repo.git.attempt("ls-files", "-z", "--", path).out:
        return True
    return any(repo.git.attempt("ls-tree", "-z", "--full-tree", rev, "--", path).out for rev in revs)


def _twins(repo: Repository, unknown: Sequence[bytes]) -> str:
    """The tracked path that looks like the first unknown one, and where they differ."""
    asked = os.fsdecode(unknown[0])
    tracked = map(
        os.fsdecode, parsing.fields(repo.git.attempt("ls-files", "-z", max_bytes=_MAX_NAMES_BYTES).out)
    )
    twin = next((name for name in tracked if folded(name) == folded(asked)), None)
    return f"; {twin!a} looks the same, but has at {difference(asked, twin)}" if twin else ""


def elsewhere(repo: Repository, scope: str, where: Sequence[bytes]) -> str:
    """What a diff without changes did not look at: the other side of the index, and what git does not track."""
    if scope not in ("worktree", "staged"):
        return ""
    found = porcelain(repo, where, untracked="all")
    counts = (
        (len(found.staged) if scope == "worktree" else 0, 'staged (scope="staged" shows them)'),
        (
            len(found.unstaged) if scope == "staged" else 0,
            'changed but not staged (scope="worktree" shows them)',
        ),
        (len(found.untracked), "untracked (read_file shows them, git_stage adds them)"),
        (len(found.conflicts), "in conflict"),
    )
    parts = [f"{number:,} {what}" for number, what in counts if number]
    parts += _ignored_count(repo, where)
    parts += _unlooked_count(repo, where) if scope == "worktree" else []
    return f"; not looked at: {', '.join(parts)}" if parts else ""


def _unlooked_count(repo: Repository, where: Sequence[bytes]) -> list[str]:
    """Files on disk that the index says not to compare; one outside a sparse checkout is not on disk."""
    found = parsing.fields(
        repo.git.attempt("ls-files", "-v", "-z", "--", *where, max_bytes=_MAX_NAMES_BYTES).out
    )
    top = os.fsencode(repo.top)
    number = sum(
        (row[:1].islower() or row[:1] == b"S") and os.path.lexists(os.path.join(top, row[2:]))
        for row in found
    )
    return [f"{number:,} marked assume-unchanged or skip-worktree (git ls-files -v)"] if number else []


def _ignored_count(repo: Repository, where: Sequence[bytes]) -> list[str]:
    args = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]
    number = len(parsing.fields(repo.git.attempt(*args, "--", *where, max_bytes=_MAX_NAMES_BYTES).out))
    return [f"{number:,} ignored"] if number else []
