"""Before git may lose bytes, everything it could lose is kept under refs/understudy/undo/.

One commit holds it all: the index as it was on disk, staged blobs, the bytes of files that differ from the
index, untracked files in the way, and the files of a merge or rebase under way. Its parents keep the
commits alive. Of files that equal their commit the bytes and the executable bit come back, as git knows
them; of changed ones the whole mode. What the operation left behind is noted in the state folder, so that
undo can tell whether anything happened since.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from .. import audit
from ..home import home
from ..locks import held
from ..outcome import ToolError
from . import disk, parsing, state
from .looking import porcelain
from .names import shown, taken
from .repository import Repository
from .running import shielded

PREFIX = "refs/understudy/undo/"
MAX_OPS = 100
MAX_KEPT_BYTES = 2 << 30
_MAX_STATE_FILES = 500
_ID = re.compile(r"u[0-9a-f]{12,20}")
_EMPTY_BLOBS = (
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
)


class Kept(BaseModel):
    """How one file was: `kind` None when it was not there. `digest` hashes its bytes."""

    kind: str | None
    mode: int = 0
    digest: str | None = None


class Snapshot(BaseModel):
    """Where everything stood. File names are in the quoted form of `names.shown`."""

    head: str  # a branch's full name, or a commit id when detached
    refs: dict[str, str]
    stashes: list[tuple[str, str]]  # id and message, newest first
    index: str  # hash of the staged entries
    files: dict[str, Kept]
    state: dict[str, str]  # hash of each file of a merge or rebase under way


class Note(BaseModel):
    """What the state folder knows of an operation. Only what is noted there is believed: refs can be forged."""

    commit: str
    after: Snapshot | None = None


class Operation(BaseModel):
    """One undoable operation. `after` is None when it was interrupted."""

    id: str
    at: float
    did: str
    files: bool  # whether it may have touched the work tree
    before: Snapshot
    rename: tuple[str, str] | None = None
    branch_config: list[tuple[str, str]] = []
    after: Snapshot | None = None
    commit: str = ""  # what holds it


@contextmanager
def alone(repo: Repository) -> Generator[None]:
    """Hold this repository against our other changes, of other server processes too."""
    try:
        with held([str(repo.common_dir)]):
            yield
    except TimeoutError as exc:
        raise ToolError(f"{exc} on this repository; try again when it is done") from exc


@contextmanager
def recorded(
    repo: Repository,
    did: str,
    *,
    files: bool = False,
    at_risk: Iterable[bytes] = (),
    watch: Sequence[bytes] = (),
    keep: Sequence[str] = (),
    rename: tuple[str, str] | None = None,
    branch_config: Sequence[tuple[str, str]] = (),
) -> Generator[str]:
    """Keep what the body may lose; yields the operation's id for git_undo.

    With `files` the work tree's changed files are kept, and of `at_risk` whatever lies untracked on disk;
    `watch` names files whose very absence matters; `keep` are commits that may lose their last reference.
    An operation that failed and changed nothing leaves no trace.
    """
    listing = entries(repo)
    paths = list(watch)
    if files:
        paths += _dirty(repo) + _in_the_way(repo, at_risk, {path for path, _, _ in listing})
    before = _snapshot(repo, listing, dict.fromkeys(paths))
    op = Operation(
        id=f"u{time.time_ns() // 1_000_000:x}{secrets.token_hex(2)}",
        at=time.time(),
        did=did,
        files=files,
        before=before,
        rename=rename,
        branch_config=list(branch_config),
    )
    note = Note(commit=_store(repo, op, listing, keep))
    _write(repo, op.id, note)
    try:
        yield op.id
    except BaseException:
        with shielded():
            if not _finish(repo, op, note, listing):
                forget(repo, [op.id])
        raise
    _finish(repo, op, note, listing)
    audit.record("git", op=op.id, did=did, root=str(repo.top))
    _prune(repo)


def _finish(repo: Repository, op: Operation, note: Note, old: Sequence[tuple[bytes, str, int]]) -> bool:
    """Note what the operation left behind; whether that is any different from before."""
    listing = entries(repo)
    paths = [taken(name) for name in op.before.files]
    if op.files:
        untracked = {path for path, _, _ in old} - {path for path, _, _ in listing}
        paths += _dirty(repo) + [path for path in untracked if disk.look(repo.beneath, path)]
    note.after = _snapshot(repo, listing, dict.fromkeys(paths))
    if note.after == op.before and op.rename is None:
        return False
    _write(repo, op.id, note)
    return True


def _write(repo: Repository, op_id: str, note: Note) -> None:
    file = notes(repo) / f"{op_id}.json"
    temp = file.with_suffix(".new")
    temp.write_text(note.model_dump_json(), encoding="utf-8")
    os.replace(temp, file)


def _read(repo: Repository, op_id: str) -> Note | None:
    if not _ID.fullmatch(op_id):
        return None
    try:
        return Note.model_validate_json((notes(repo) / f"{op_id}.json").read_bytes())
    except FileNotFoundError:
        return None


def entries(repo: Repository, index: Path | None = None) -> list[tuple[bytes, str, int]]:
    """Path, `mode id` and stage of every index entry."""
    git = repo.git if index is None else repo.git.with_env(GIT_INDEX_FILE=str(index))
    out: list[tuple[bytes, str, int]] = []
    for record in parsing.fields(git("ls-files", "--stage", "-z")):
        meta, _, path = record.partition(b"\t")
        mode, oid, stage = meta.decode().split()
        out.append((path, f"{mode} {oid}", int(stage)))
    return out


def incoming(repo: Repository, tree: str) -> list[bytes]:
    """Paths of a tree the index does not have: checking it out would create them."""
    args = ["--cached", "--name-only", "--no-renames", "--diff-filter=D", "-z", "--ignore-submodules=all"]
    return parsing.fields(repo.git("diff-index", *args, tree, "--"))


def now(repo: Repository, paths: Iterable[bytes]) -> Snapshot:
    """How things stand, with these files looked at."""
    return _snapshot(repo, entries(repo), dict.fromkeys(paths))


def load(repo: Repository, op_id: str) -> Operation:
    """An operation by id. ToolError when there is none."""
    note = _read(repo, op_id)
    done = repo.git.attempt("cat-file", "blob", f"{note.commit}:meta.json") if note else None
    if note is None or done is None or done.code:
        raise ToolError(f"no operation {op_id[:40]!r} is kept here; git_undo without op lists those that are")
    op = Operation.model_validate_json(done.out)
    op.after, op.commit = note.after, note.commit
    return op


def recent(repo: Repository) -> list[tuple[str, str]]:
    """Id and description of each operation, newest first."""
    form = "%(refname)%00%(objectname)%00%(contents:subject)"
    out = repo.git("for-each-ref", "--sort=-refname", f"--format={form}", PREFIX)
    rows = [line.split("\0", 2) for line in parsing.text_of(out).splitlines()]
    ours = [(name.removeprefix(PREFIX), oid, did) for name, oid, did in rows]
    return [(op, did) for op, oid, did in ours if (note := _read(repo, op)) and note.commit == oid]


def forget(repo: Repository, ops: Sequence[str]) -> None:
    """Drop operations and what they kept."""
    commands = "".join(f"delete {PREFIX}{op}\n" for op in ops)
    repo.writing("update-ref", "--stdin", stdin=commands.encode())
    for op in ops:
        (notes(repo) / f"{op}.json").unlink(missing_ok=True)


def notes(repo: Repository) -> Path:
    """Where the state folder keeps what operations on this repository left behind."""
    name = hashlib.blake2b(os.fsencode(repo.common_dir), digest_size=8).hexdigest()
    folder = home() / "git" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def head(repo: Repository) -> str:
    """The branch HEAD is on, by its full name, or the commit id when detached."""
    done = repo.git.attempt("symbolic-ref", "--quiet", "HEAD")
    return parsing.text_of(done.out).strip() or repo.git("rev-parse", "--verify", "HEAD").decode().strip()


def _snapshot(
    repo: Repository, listing: Sequence[tuple[bytes, str, int]], paths: Iterable[bytes]
) -> Snapshot:
    out = repo.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/stash")
    refs = [line.split(" ", 1) for line in parsing.text_of(out).splitlines()]
    index = hashlib.blake2b(digest_size=16)
    for path, entry, stage in listing:
        index.update(b"%b\0%b %d\0" % (path, entry.encode(), stage))
    return Snapshot(
        head=head(repo),
        refs={name: oid for oid, name in refs},
        stashes=_stashes(repo) if any(name == "refs/stash" for _, name in refs) else [],
        index=index.hexdigest(),
        files={shown(path): _kept(repo, path) for path in paths},
        state={name: hashlib.blake2b(data).hexdigest() for name, data in state_files(repo)},
    )


def _kept(repo: Repository, path: bytes) -> Kept:
    item = disk.look(repo.beneath, path)
    if item is None:
        return Kept(kind=None)
    return Kept(kind=item.kind, mode=item.mode, digest=disk.digest(repo.beneath, path))


def _stashes(repo: Repository) -> list[tuple[str, str]]:
    out = repo.git("reflog", "show", "-z", "--format=%H%n%gs", "refs/stash", "--")
    rows = [record.partition(b"\n") for record in parsing.fields(out)]
    return [(oid.decode(), parsing.text_of(message)) for oid, _, message in rows]


def changed_files(repo: Repository) -> list[parsing.Entry]:
    """Tracked files that are not as the last commit has them: git rewrites these, and forgets their modes."""
    found = porcelain(repo, untracked="no")
    return found.unstaged + found.conflicts + found.staged


def _dirty(repo: Repository) -> list[bytes]:
    return [entry.path for entry in changed_files(repo)]


def _in_the_way(repo: Repository, candidates: Iterable[bytes], tracked: set[bytes]) -> list[bytes]:
    """Untracked files on disk where `candidates` would be written, ignored ones included."""
    out: list[bytes] = []
    looked: set[bytes] = set()
    for path in candidates:
        parent = os.path.dirname(path)
        while parent and parent not in looked:
            looked.add(parent)
            if parent not in tracked and disk.look(repo.beneath, parent):
                out.append(parent)
            parent = os.path.dirname(parent)
        if path in tracked:
            continue
        if disk.look(repo.beneath, path):
            out.append(path)
        elif os.path.isdir(os.path.join(os.fsencode(repo.top), path)):
            out += [inner for inner in disk.beneath(repo.beneath, path) if inner not in tracked]
    return out


def state_files(repo: Repository) -> list[tuple[str, bytes]]:
    """The files of a merge or rebase under way, by name inside the git dir."""
    found = [repo.git_dir / name for name in state.FILES]
    for folder in state.FOLDERS:
        found += sorted((repo.git_dir / folder).rglob("*"))[:_MAX_STATE_FILES]
    regular = [path for path in found if path.is_file() and not path.is_symlink()]
    return [(str(path.relative_to(repo.git_dir)), path.read_bytes()) for path in regular]


def _store(
    repo: Repository, op: Operation, listing: Sequence[tuple[bytes, str, int]], keep: Sequence[str]
) -> str:
    """Write the recovery commit in one go; its id."""
    total = 0
    for name in op.before.files:
        item = disk.look(repo.beneath, taken(name))
        total += item.size if item else 0
    if total > MAX_KEPT_BYTES:
        raise ToolError(
            f"{total >> 20:,} MiB of changed or untracked files would have to be kept for undo, more than "
            f"{MAX_KEPT_BYTES >> 20:,}; commit or move the large ones first"
        )
    parents = [*keep, *(oid for oid, _ in op.before.stashes)]
    tip = op.before.refs.get(op.before.head) or ("" if op.before.head.startswith("refs/") else op.before.head)
    parents = list(dict.fromkeys([tip, *parents] if tip else parents))
    git = repo.writing.with_config(("core.compression", "1"))
    out = git("fast-import", "--quiet", "--done", stdin=_stream(repo, op, listing, parents), timeout_s=600.0)
    return out.decode().strip()


def _stream(
    repo: Repository, op: Operation, listing: Sequence[tuple[bytes, str, int]], parents: Sequence[str]
) -> Iterator[bytes]:
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
        yield from _blob(b"state/" + os.fsencode(name), data)
    for path, entry, stage in _staged(repo, listing, op.before):
        mode, oid = entry.split()
        if oid not in _EMPTY_BLOBS and mode != "160000":
            name = shown(b"staged/%d/%b" % (stage, path))
            yield f"M {mode} {oid} {name}\n".encode()
    for name in op.before.files:
        path = taken(name)
        item = disk.look(repo.beneath, path)
        if item:
            yield f"M {'120000' if item.kind == 'link' else '100644'} inline {shown(b'files/' + path)}\n".encode()
            yield f"data {item.size}\n".encode()
            yield from (chunk for chunk in disk.content(repo.beneath, path, item) if chunk)
            yield b"\n"
    yield b"get-mark :1\ndone\n"


def _staged(
    repo: Repository, listing: Sequence[tuple[bytes, str, int]], before: Snapshot
) -> list[tuple[bytes, str, int]]:
    """Index entries no commit may hold."""
    tip = before.refs.get(before.head) if before.head.startswith("refs/") else before.head
    if tip is None:
        return list(listing)
    out = repo.git(
        "diff-index", "--cached", "--name-only", "--no-renames", "-z", "--ignore-submodules=all", tip, "--"
    )
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


def _prune(repo: Repository) -> None:
    if len(os.listdir(notes(repo))) <= MAX_OPS:
        return
    if old := [op for op, _ in recent(repo)[MAX_OPS:]]:
        forget(repo, old)
