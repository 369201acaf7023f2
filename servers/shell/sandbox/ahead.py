"""A sandbox that is set up before its command is known: bubblewrap has mounted everything, and a shell in it waits for words.

Setting one up takes most of what a short command costs. It serves one command and ends with it, so commands share no more
than they would otherwise; it serves only while a new one would be mounted exactly alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

MAX_BYTES = 16 << 10  # the waiting shell reads its words slowly
_ENV = "/usr/bin/env"
_CHANGING = ("/proc/", "/dev/")


class Ahead(NamedTuple):
    """What may be started before the command is known, what must still hold when it is, and what is handed in then."""

    argv: tuple[str, ...]
    key: tuple[object, ...]
    words: tuple[str, ...]


def ahead(
    outside: Sequence[str],
    inside: Sequence[str],
    *,
    root: Path,
    cwd: Path,
    env: Mapping[str, str],
    cpu_s: int,
    processes: int | None,
) -> Ahead | None:
    """`outside` is bubblewrap's line up to where it changes the folder; None for a command that has to start by itself."""
    variables = [f"{name}={value}" for name, value in {**env, "PWD": str(cwd)}.items()]
    words = (str(cpu_s), str(cwd), *variables, *inside)
    if "=" in inside[0] or inside[0].startswith("-") or not os.path.exists(_ENV):
        return None  # env would not take it for a program
    if sum(map(len, words)) > MAX_BYTES:
        return None
    bound = f"ulimit -u {processes} 2>/dev/null; " if processes else ""
    waits = (
        'mapfile -d "" w; ulimit -t "${w[0]}"; ' + bound + 'cd -- "${w[1]}" && '
        f'exec {_ENV} -i "${{w[@]:2}}" </dev/null'
    )
    argv = (*outside, "--chdir", "/", "--", "/bin/bash", "--norc", "-c", waits)
    return Ahead(argv, (argv, *_identities(outside, root)), words)


def _identities(outside: Sequence[str], root: Path) -> list[object]:
    """Which files stand at every place that is mounted: one that was replaced has lost its mount."""
    found: list[object] = []
    for before, word in pairwise(outside):
        if not word.startswith("/") or word.startswith(_CHANGING):
            continue
        try:
            info = os.stat(word, follow_symlinks=False)
        except OSError:
            found.append(None)
            continue
        inside = word.startswith(f"{root}/")
        busy = before == "--bind" or (
            before == "--tmpfs" and not inside
        )  # what is made in it changes nothing
        found.append((info.st_dev, info.st_ino, None if busy else info.st_ctime_ns))
    return found
