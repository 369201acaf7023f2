"""Write all that an operation may lose into one commit under refs/understudy/undo/.

It holds the index as it was on disk, staged blobs, the bytes of files that differ from the index, untracked
files in the way, and the files of a merge or rebase under way. Its parents keep the commits alive.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...output import ToolError
from ...source.quoted_paths import shown, taken
from ..safe import parsing
from ..safe.repository import Repository
from . import worktree_files
from .operations import PREFIX, Operation, notes
from .snapshot import Listing, Snapshot, state_files

MAX_KEPT_BYTES = 2 << 30
_REPORT = re.compile(rb"\n?fast-import: dumping crash report to \S*?(fast_import_crash_\d+)")
_EMPTY_BLOBS = (
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
)


def store(repo: Repository, op: Operation, listing: Listing, keep: Sequence[str]) -> str:
    """Write the recovery commit in one go; its id."""
    total = 0
    for name in op.before.files:
        item = worktree_files.look(repo.beneath, taken(name))
        total += item.size if item else 0
    if total > MAX_KEPT_BYTES:
        raise ToolError(
            f"{total >> 20:,} MiB of changed or untracked files would have to be kept for undo, more than "
            f"{MAX_KEPT_BYTES >> 20:,}; commit or move the large ones first"
        )
    parents = [*keep, *(oid for oid, _ in op.before.stashes)]
    parents = list(dict.fromkeys([op.before.tip, *parents] if op.before.tip else parents))
    git = repo.writing.with_config(("core.compression", "1"))
    done = git.attempt(
        "fast-import", "--quiet", "--done", stdin=_stream(repo, op, listing, parents), timeout_s=600.0
    )
    if done.code:
        if report := _REPORT.search(done.err):
            (repo.git_dir / os.fsdecode(report[1])).unlink(missing_ok=True)
        said = git.said(replace(done, err=_REPORT.sub(b"", done.err)), ["fast-import"])
        raise ToolError(f"what could be lost cannot be kept for undo, so nothing was done: {said}")
    return done.out.decode().strip()


def _stream(repo: Repository, op: Operation, listing: Listing, parents: Sequence[str]) -> Iterator[bytes]:
    """The recovery commit in git's fast-import language."""
    yield f"commit {PREFIX}{op.id}\nmark :1\ncommitter Understudy <understudy@localhost> {int(op.at)} +0000\n".encode()
    yield _data(op.did.encode("utf-8", "backslashreplace"))
    for word, parent in zip(["from"] + ["merge"] * len(parents), parents, strict=False):
        yield f"{word} {parent}\n".encode()
    yield b"deleteall\n"
    yield from _blob(b"meta.json", op.model_dump_json().encode())
    index = _index_bytes(repo)
    if index is not None:
        yield from _blob(b"index", index)
    for name, data in state_files(repo):
        yield from _blob(b"state/" + name, data)
    for path, entry, stage in _staged(repo, listing, op.before):
        mode, oid = entry.split()
        if oid not in _EMPTY_BLOBS and mode != "160000":
            name = shown(b"staged/%d/%b" % (stage, path))
            yield f"M {mode} {oid} {name}\n".encode()
    for name in op.before.files:
        path = taken(name)
        item = worktree_files.look(repo.beneath, path)
        if item:
            yield f"M {'120000' if item.kind == 'link' else '100644'} inline {shown(b'files/' + path)}\n".encode()
            yield f"data {item.size}\n".encode()
            yield from (chunk for chunk in worktree_files.content(repo.beneath, path, item) if chunk)
            yield b"\n"
    yield b"get-mark :1\ndone\n"


def _staged(repo: Repository, listing: Listing, before: Snapshot) -> list[tuple[bytes, str, int]]:
    """Index entries no commit may hold."""
    if before.tip is None:
        return list(listing)
    args = ["--cached", "--name-only", "--no-renames", "-z", "--ignore-submodules=all"]
    out = repo.git("diff-index", *args, before.tip, "--")
    changed = set(parsing.fields(out))
    return [row for row in listing if row[0] in changed or row[2]]


def _index_bytes(repo: Repository) -> bytes | None:
    """The index file, in one piece even where it is split; None when there is none yet."""
    file = repo.git_dir / "index"
    if not file.exists():
        return None
    if not any(repo.git_dir.glob("sharedindex.*")):
        return file.read_bytes()
    whole = notes(repo) / f"index.{secrets.token_hex(4)}"
    try:
        whole.write_bytes(file.read_bytes())
        repo.writing.with_env(GIT_INDEX_FILE=str(whole))(
            "update-index", "--no-split-index", "--force-write-index"
        )
        return whole.read_bytes()
    finally:
        whole.unlink(missing_ok=True)


def _blob(name: bytes, data: bytes) -> Iterator[bytes]:
    yield b"M 100644 inline " + shown(name).encode() + b"\n"
    yield _data(data)


def _data(data: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(data), data)
