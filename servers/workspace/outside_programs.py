"""Programs for our own use: on PATH, but in no workspace, where a command could have put or changed them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path


def safe_path(*roots: Path) -> str:
    """PATH without relative folders and without folders of the workspaces, which are real paths."""
    return _safe(os.environ.get("PATH", os.defpath), roots)


def outside_program(name: str, *roots: Path, beside: Sequence[str] = ()) -> str | None:
    """A program's full path, looked for in the folders `beside` too; None where there is none that may be trusted."""
    folders = _safe(os.pathsep.join((os.environ.get("PATH", os.defpath), *beside)), roots)
    for folder in folders.split(os.pathsep):
        found = shutil.which(name, path=folder)
        if found and not _within(os.path.realpath(found), roots):
            return found
    return None


@lru_cache(64)
def _safe(path: str, roots: tuple[Path, ...]) -> str:
    return os.pathsep.join(
        folder
        for folder in path.split(os.pathsep)
        if os.path.isabs(folder)
        and not _within(os.path.normpath(folder), roots)
        and not _within(os.path.realpath(folder), roots)
    )


def _within(path: str, roots: Sequence[Path]) -> bool:
    return any(Path(path).is_relative_to(root) for root in roots)
