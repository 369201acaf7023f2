"""Repositories inside a repository: submodules, work trees and clones, whose files only they themselves know."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ...source.quoted_paths import shown
from ..safe import parsing
from ..safe.repository import Repository

MAX_SUBMODULES = 50


def holder(repo: Repository, path: bytes) -> bytes | None:
    """The repository below this one that a path leads into; None when it leads into none."""
    parts = [] if path == b"." else path.split(b"/")
    for length in range(1, len(parts) + 1):
        folder = b"/".join(parts[:length])
        if os.path.lexists(os.path.join(os.fsencode(repo.top), folder, b".git")):
            return folder
    return None


def pointed_out(repo: Repository, paths: Iterable[bytes]) -> str:
    """Where to look for paths that lie in a repository of their own; "" when none does."""
    found = {folder for path in paths if (folder := holder(repo, path))}
    links = ", ".join(f'repo="{repo.called(folder)}"' for folder in sorted(found)[:5])
    which = "a repository" if len(found) == 1 else "repositories"
    return f"part of the paths lies in {which} of its own: {links} works there" if found else ""


def submodules(repo: Repository) -> str:
    """One line on the submodules there are, and that nobody looked into them; "" when there are none."""
    listing = repo.top / ".gitmodules"
    if not listing.is_file() or listing.is_symlink():
        return ""
    args = ["config", "--file", str(listing), "-z", "--get-regexp", r"^submodule\..*\.path$"]
    records = parsing.fields(repo.git.attempt(*args).out)
    paths = [record.partition(b"\n")[2] for record in records][:MAX_SUBMODULES]
    here = [path for path in paths if holder(repo, path) == path]
    empty = [path for path in paths if path not in here]
    parts = [f"changes inside submodules are not looked at: {_calls(repo, here)}"] if here else []
    if empty:
        named = ", ".join(map(shown, empty))
        parts.append(f"submodules not checked out: {named} (`git submodule update --init` brings them)")
    return "; ".join(parts)


def _calls(repo: Repository, folders: Iterable[bytes]) -> str:
    return ", ".join(f'git_status(repo="{repo.called(folder)}")' for folder in folders)
