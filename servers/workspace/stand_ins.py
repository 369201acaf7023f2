"""Where protected places of a folder really lie: targets of links, and hooks that git is told to look for elsewhere."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache

from .protected_paths import PROTECTED

_GIT = ("config", "config.worktree", "hooks", "info")
_HOOKS = re.compile(rb"""^\s*hookspath\s*=\s*"?([^"\n\r;#]+)""", re.IGNORECASE | re.MULTILINE)
_NAMES = frozenset(PROTECTED)
_SMALL_FOLDER = 4096  # its own bytes: some hundred names
_MAX_CONFIG_BYTES = 64 << 10
_RACY_S = 2.0  # two changes within a clock's tick have one time


def stand_ins(folder: str, root: str) -> frozenset[str]:
    """Places below `root`, relative to it, that run or configure what a protected place of `folder` does.

    A link may lead to a folder of any name, and husky and its like have git take its hooks from the work tree.
    """
    changed = tuple(_changed(f"{folder}/{name}") for name in ("", ".git", ".git/config"))
    recent = max(changed) / 1e9 > time.time() - _RACY_S
    return (_found.__wrapped__ if recent else _found)(folder, root, changed)


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_ctime_ns
    except OSError:
        return 0


@lru_cache(64)
def _found(folder: str, root: str, _changed: tuple[int, ...]) -> frozenset[str]:
    names = [*_present(folder), *(f".git/{name}" for name in _GIT)]
    found = {os.path.realpath(path) for name in names if os.path.islink(path := f"{folder}/{name}")}
    found.update(_hooks(folder))
    return frozenset(os.path.relpath(place, root) for place in found if place.startswith(f"{root}/"))


def _present(folder: str) -> Collection[str]:
    """The protected names that may be there: one look at a small folder is cheaper than one for each name."""
    with suppress(OSError):
        if os.stat(folder).st_size <= _SMALL_FOLDER:
            return _NAMES.intersection(os.listdir(folder))
    return _NAMES


def _hooks(folder: str) -> list[str]:
    """The folder that core.hooksPath names, as git finds it from the work tree."""
    try:
        with open(f"{folder}/.git/config", "rb") as file:
            named = _HOOKS.findall(file.read(_MAX_CONFIG_BYTES))
    except OSError:
        return []
    paths = (os.fsdecode(name).strip() for name in named if b"\0" not in name)
    return [
        os.path.realpath(
            os.path.join(folder, path.removesuffix("/").removesuffix("/_"))
        )  # what is in _ runs what is beside it
        for path in paths
    ]
