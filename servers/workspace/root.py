"""One folder a server may touch, and what is there under names that look the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from ..characters import folded
from ..output import explain
from .openat import Beneath

_FOLDED = 50_000  # names of a folder among which look-alikes are sought


class Root(Beneath):
    """One folder a server may touch."""

    def __init__(self, path: Path, given: str, name: str) -> None:
        super().__init__(path, [os.path.abspath(given)])
        self.name = name
        self.owner = os.fstat(self.fd).st_uid


def opened(given: Sequence[str]) -> tuple[Root, ...]:
    """The roots, each under a name of its own. ValueError says in one sentence why one cannot be a root."""
    if not given:
        raise ValueError("no root: name at least one folder")
    roots: list[Root] = []
    for one in given:
        path = Path(one).expanduser()
        if not path.exists():
            raise ValueError(f"root {one!r} does not exist")
        if not path.is_dir():
            raise ValueError(f"root {one!r} is not a folder")
        real = path.resolve()
        if any(root.path == real for root in roots):
            continue
        taken = {root.name for root in roots}
        base = real.name or "root"
        name = next(n for n in (base, *(f"{base}-{i}" for i in range(2, len(taken) + 3))) if n not in taken)
        try:
            roots.append(Root(real, str(path), name))
        except OSError as exc:
            raise ValueError(f"root {one!r}: {explain(exc)}") from exc
    return tuple(roots)


def is_there(root: Root, path: str) -> bool:
    """Whether anything that can be opened beneath the root is at this path."""
    try:
        os.close(root.open(path, getattr(os, "O_PATH", os.O_RDONLY))[0])
    except OSError:
        return False
    return True


def twin_of(root: Root, path: str) -> str | None:
    """The path with each name that is not there replaced by the one beside it that looks the same; None: none is."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    replaced = False
    for i, name in enumerate(parts):
        above = "/".join(parts[:i])
        if not is_there(root, f"{above}/{name}" if above else name):
            twins = _names_like(root, above, name)
            if len(twins) != 1:
                break
            parts[i], replaced = twins[0], True
    return "/".join(parts) if replaced else None


def _names_like(root: Root, folder: str, name: str) -> list[str]:
    goal = folded(name)
    try:
        fd, _ = root.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        with os.scandir(fd) as entries:
            return [entry.name for entry in islice(entries, _FOLDED) if folded(entry.name) == goal]
    finally:
        os.close(fd)
