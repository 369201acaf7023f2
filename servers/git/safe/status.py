"""What git says of the index and the work tree, asked in one way everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from . import parsing
from .repository import Repository

COUNTS_STASHES = (2, 35)  # since this git


def porcelain(
    repo: Repository, paths: Sequence[bytes] = (), *, untracked: str = "normal"
) -> parsing.Porcelain:
    """git's own status, of everything or of some paths."""
    args = [
        "status",
        "--porcelain=v2",
        "--branch",
        "-z",
        "--ignore-submodules=dirty",
        f"--untracked-files={untracked}",
    ]
    if repo.git.version >= COUNTS_STASHES:
        args.append("--show-stash")
    return parsing.porcelain(repo.git(*args, "--", *paths))
