"""Files by name: what ripgrep lists where it is installed, what our own walk finds elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from itertools import islice

from ..workspace import Root, Workspace
from ..workspace.globs import is_simple, matcher
from ..workspace.walk import Clock, walk
from . import ripgrep

MAX_FOUND = 300_000


def find(
    workspace: Workspace,
    root: Root,
    start: str,
    *,
    globs: Sequence[str] = (),
    depth: int | None = None,
    hidden: bool = True,
    ignored: bool = False,
    check: Callable[[], None] = lambda: None,
) -> list[bytes]:
    """Root-relative paths of files below a folder in tree order; links are left out. TimeoutError when late."""
    matches = matcher(globs)
    program = ripgrep.ripgrep(workspace.roots)
    if program is None:
        walked = filter(matches, _walked(root, start, depth, hidden, ignored, check))
        return list(map(os.fsencode, islice(walked, MAX_FOUND)))
    query = ripgrep.Query(
        root=root.fd,
        start=start,
        is_file=False,
        pattern="",
        globs=globs,
        mode="names",
        depth=depth,
        hidden=hidden,
        ignored=ignored,
    )
    found = ripgrep.names(query, program, check)
    if not all(map(is_simple, globs)):  # else ripgrep has matched them itself
        found = [path for path in found if matches(os.fsdecode(path))]
    return found[:MAX_FOUND]


def tree_order(path: bytes) -> bytes:
    """A key that sorts a folder's files behind it, as a walk in name order meets them."""
    return path.replace(b"/", b"\0")


def _walked(
    root: Root, start: str, depth: int | None, hidden: bool, ignored: bool, check: Callable[[], None]
) -> Generator[str]:
    clock = Clock(check)
    for entry in walk(root.fd, start, depth=depth, into_ignored=ignored, into_hidden=hidden):
        clock.tick()
        if entry.is_folder or entry.is_link or (entry.ignored and not ignored):
            continue
        if hidden or not entry.name.startswith("."):
            yield entry.path
