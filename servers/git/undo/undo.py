"""git_undo: bring back what an operation changed, byte for byte, unless something happened since."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ...output import ToolError, fenced, one_line, readable, visible
from ...source.quoted_paths import shown, taken
from ..safe import in_progress, parsing
from ..safe.process import shielded
from ..safe.quoting import names, plain_rev
from ..safe.repository import Repository
from ..safe.status import porcelain
from . import operations, worktree_files
from .operations import Operation, load, recent
from .record import alone, recorded
from .recovery_commit import MAX_KEPT_BYTES
from .snapshot import Kept, Snapshot, changed_files, entries, now

_LISTED = 20
_BATCH = 100

Entries = dict[bytes, list[tuple[str, int]]]


def undo(repo: Repository, op_id: str | None) -> str:
    """Without an id the operations that can be undone; with one, how undoing it went."""
    if op_id is None:
        return _list(repo)
    with alone(repo):
        op = load(repo, plain_rev(op_id, "op"))
        return _Undoing(repo, op).carry_out()


def _list(repo: Repository) -> str:
    ops = recent(repo)
    if not ops:
        return "nothing to undo: no operation of this server is kept here"
    lines: list[str] = []
    for op_id, did in ops[:_LISTED]:
        at = datetime.fromtimestamp(int(op_id[1:-4], 16) / 1000, UTC)
        lines.append(f"{op_id}  {at:%Y-%m-%d %H:%M:%S} UTC  {one_line(did)}")
    rest = f"\n{len(ops) - _LISTED} older ones are kept too" if len(ops) > _LISTED else ""
    text = fenced(visible("\n".join(lines)), "operations, newest first")
    return f"git_undo(op=ID) restores what was there before\n{text}{rest}"


@contextlib.contextmanager
def changing(
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
    """`recorded`, and when the body fails or is cancelled halfway, everything as it was before."""
    op_id = ""
    try:
        with recorded(
            repo,
            did,
            files=files,
            at_risk=at_risk,
            watch=watch,
            keep=keep,
            rename=rename,
            branch_config=branch_config,
        ) as op_id:
            yield op_id
    except BaseException as exc:
        with shielded():
            if op_id and any(op_id == kept for kept, _ in recent(repo)):
                _roll_back(repo, op_id, exc)
        raise


def _roll_back(repo: Repository, op_id: str, exc: BaseException) -> None:
    try:
        failed = _Undoing(repo, load(repo, op_id), finished=False)
        failed.put_back(now(repo, []))
    except (ToolError, OSError) as again:
        raise ToolError(f"{exc}; it was left half done ({again}): git_undo(op={op_id}) goes back") from exc
    operations.forget(repo, [op_id])


class _Undoing:
    """One undo: what differs, whether it is still as the operation left it, and putting it back."""

    def __init__(self, repo: Repository, op: Operation, *, finished: bool = True) -> None:
        self.repo, self.op, self.finished = repo, op, finished and op.after is not None
        self.before = op.before
        self.ref = op.commit
        with self._saved_index() as index:
            self.entries_before = _by_path(entries(repo, index) if index else [])
        self.entries_now = _by_path(entries(repo))
        self.after: Snapshot = op.after or self._as_it_stands()
        after = self.after
        self.index_changed = self.before.index != after.index
        self.paths = self._changed_paths()

    def _as_it_stands(self) -> Snapshot:
        """What an interrupted operation left behind: nobody noted it, so whatever differs now is its doing."""
        dirty = [entry.path for entry in changed_files(self.repo)] if self.op.files else []
        return now(self.repo, [*map(taken, self.before.files), *dirty])

    def carry_out(self) -> str:
        current = now(self.repo, [*self.paths, *map(taken, self.before.files)])
        if self.op.after is not None:
            self._refuse_if_moved_on(current)
        untracked = [path for path in self.paths if path not in self.entries_now]
        lost = [oid for ref, oid in current.refs.items() if self.before.refs.get(ref) != oid]
        with (
            recorded(
                self.repo,
                f"undo of {self.op.id} ({self.op.did})",
                files=self.op.files,
                watch=untracked,
                keep=lost,
            ) as new,
            readable(OSError),
        ):
            self.put_back(current)
        what = f"undone: {one_line(self.op.did)}"
        files = f"\nrestored {len(self.paths):,} files: {names(self.paths)}" if self.paths else ""
        return f"{what} · op={new}{files}"

    def put_back(self, current: Snapshot) -> None:
        """Restore everything the operation changed, whatever it is now."""
        if self.op.rename and self.before.refs != self.after.refs:
            self.repo.writing("branch", "-m", "--end-of-options", self.op.rename[1], self.op.rename[0])
        else:
            self._restore_refs(current)
        self._restore_stashes(current)
        self._restore_state()
        self._restore_index()
        self._restore_files()

    def _changed_paths(self) -> list[bytes]:
        """Work tree files the operation changed."""
        if not self.op.files:
            return []
        out: dict[bytes, None] = {}
        for name, kept in self.before.files.items():
            left = self.after.files.get(name)
            if left is None or left.digest != kept.digest or left.mode != kept.mode:
                out[taken(name)] = None
        for name in self.after.files:
            if name not in self.before.files:
                out[taken(name)] = None
        if not self.finished:
            brought = [path for path in map(taken, self.op.coming) if path not in self.entries_before]
            out |= {path: None for path in brought if worktree_files.look(self.repo.beneath, path)}
        if self.index_changed:
            for path in {**self.entries_before, **self.entries_now}:
                if self.entries_before.get(path) != self.entries_now.get(path):
                    kept, left = self.before.files.get(shown(path)), self.after.files.get(shown(path))
                    if kept is None or left is None or kept != left:
                        out[path] = None
        return [
            path
            for path in out
            if not _gitlink(self.entries_before.get(path, []) + self.entries_now.get(path, []))
        ]

    def _refuse_if_moved_on(self, current: Snapshot) -> None:
        """Undo never takes back more than its own operation."""
        after, before = self.after, self.before
        index = self.index_changed or after.head != before.head
        if index and current.head != after.head:
            raise ToolError(
                f"HEAD was on {_short(after.head)} then and is on {_short(current.head)} now; go back first"
            )
        for ref in {**before.refs, **after.refs}:
            if before.refs.get(ref) != after.refs.get(ref) != current.refs.get(ref) and ref != "refs/stash":
                raise ToolError(
                    f"{_short(ref)} has moved since {self.op.id}; undo what came later first{self._later()}"
                )
        if self.index_changed and current.index != after.index:
            raise ToolError(
                f"the index has changed since {self.op.id}; undo what came later first{self._later()}"
            )
        if before.stashes != after.stashes != current.stashes:
            raise ToolError(
                f"the stash has changed since {self.op.id}; undo what came later first{self._later()}"
            )
        dirty = {entry.path for entry in porcelain(self.repo, untracked="no").unstaged}
        moved = [path for path in self.paths if self._touched_since(path, current, dirty)]
        ours = set(self.paths)  # a folder where a file was holds nothing but what the operation put there
        moved += [
            inner
            for path in ours
            for inner in worktree_files.beneath(self.repo.beneath, path)
            if inner not in ours
        ]
        if moved:
            raise ToolError(
                f"{names(moved)} changed since {self.op.id}, and undoing it would lose that; "
                "commit it or git_stash(action=push) first"
            )

    def _touched_since(self, path: bytes, current: Snapshot, dirty: set[bytes]) -> bool:
        left = self.after.files.get(shown(path))
        if left is not None:
            return current.files[shown(path)].digest != left.digest
        return path in dirty or (path not in self.entries_now and current.files[shown(path)].kind is not None)

    def _later(self) -> str:
        ids = [op_id for op_id, _ in recent(self.repo) if op_id > self.op.id]
        return f" ({', '.join(ids[:5])})" if ids else ""

    def _restore_refs(self, current: Snapshot) -> None:
        zero = "0" * len(next(iter({**self.before.refs, **current.refs}.values()), "0" * 40))
        commands: list[bytes] = []
        for ref in {**self.before.refs, **self.after.refs}:
            old, left = self.before.refs.get(ref), self.after.refs.get(ref)
            if ref != "refs/stash" and old != left:
                known = current.refs.get(ref) or zero
                commands.append(b"update %b %b %b\n" % (taken(ref), (old or zero).encode(), known.encode()))
        git = self.repo.writing
        if commands:
            git(
                "update-ref",
                "--create-reflog",
                "-m",
                f"undo {self.op.id}",
                "--stdin",
                stdin=b"".join(commands),
            )
        if self.before.head != self.after.head:
            name = taken(self.before.head)
            if name.startswith(b"refs/"):
                git("symbolic-ref", "-m", f"undo {self.op.id}", "HEAD", name)
            else:
                git("update-ref", "--no-deref", "-m", f"undo {self.op.id}", "HEAD", name)
        for key, value in self.op.branch_config:
            git("config", "--local", "--add", key, value)

    def _restore_stashes(self, current: Snapshot) -> None:
        if self.before.stashes in (self.after.stashes, current.stashes):
            return
        git = self.repo.writing
        if current.stashes:
            git("stash", "clear")
        for oid, message in reversed(self.before.stashes):
            git("stash", "store", "--quiet", f"--message={message}", oid)

    def _restore_state(self) -> None:
        if self.before.state == self.after.state:
            return
        for name in self.after.state:
            if name not in self.before.state:
                (self.repo.git_dir / os.fsdecode(taken(name))).unlink(missing_ok=True)
        for folder in in_progress.FOLDERS:
            with contextlib.suppress(OSError):
                (self.repo.git_dir / folder).rmdir()
        for path, _, data in self._kept("state/"):
            file = self.repo.git_dir / os.fsdecode(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            temp = file.with_name(file.name + ".understudy")
            temp.write_bytes(data)
            os.replace(temp, file)

    def _restore_index(self) -> None:
        """The index as it was, behind git's own lock."""
        if not self.index_changed:
            return
        target, lock = self.repo.git_dir / "index", self.repo.git_dir / "index.lock"
        with self._saved_index() as index:
            data = index.read_bytes() if index else None
        try:
            fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            raise ToolError("another git command holds .git/index.lock; try again when it is done") from None
        try:
            with open(fd, "wb") as file:
                file.write(data or b"")
                file.flush()
                os.fsync(file.fileno())
            if data is None:
                target.unlink(missing_ok=True)
            else:
                os.replace(lock, target)
        finally:
            lock.unlink(missing_ok=True)

    def _restore_files(self) -> None:
        kept = {path for path in self.paths if shown(path) in self.before.files}
        gone = [path for path in kept if self.before.files[shown(path)].kind is None]
        gone += [path for path in self.paths if path not in kept and path not in self.entries_before]
        for path in gone:
            worktree_files.remove(self.repo.beneath, path)
        clean = [path for path in self.paths if path not in kept and path in self.entries_before]
        if clean:  # of these git has the content; what is right already need not be written
            self.repo.writing.attempt("update-index", "-q", "--refresh")
            wrong = set(parsing.fields(self.repo.git("diff-files", "--name-only", "-z")))
            clean = [path for path in clean if path in wrong]
        for path in clean:  # checkout-index would follow a folder that became a link
            worktree_files.remove(self.repo.beneath, path)
        if clean:
            self.repo.writing("checkout-index", "--force", "-z", "--stdin", stdin=b"\0".join(clean) + b"\0")
        for path, _, data in self._kept("files/"):
            if path in kept:
                was: Kept = self.before.files[shown(path)]
                item = worktree_files.Item(
                    kind="link" if was.kind == "link" else "file", mode=was.mode, size=len(data)
                )
                worktree_files.put(self.repo.beneath, path, item, data)
        self.repo.writing.attempt("update-index", "-q", "--refresh")

    def _kept(self, prefix: str) -> Iterator[tuple[bytes, str, bytes]]:
        """Path, mode and bytes of what was kept under a prefix."""
        rows: list[tuple[bytes, str, str]] = []
        for record in parsing.fields(self.repo.git("ls-tree", "-r", "-z", self.ref, "--", prefix)):
            meta, _, path = record.partition(b"\t")
            mode, _, oid = meta.decode().split()
            rows.append((path.removeprefix(prefix.encode()), mode, oid))
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            blobs = _blobs(self.repo, [oid for _, _, oid in batch])
            yield from ((path, mode, data) for (path, mode, _), data in zip(batch, blobs, strict=True))

    @contextlib.contextmanager
    def _saved_index(self) -> Generator[Path | None]:
        """The kept index as a file; None when there was none."""
        done = self.repo.git.attempt("cat-file", "blob", f"{self.ref}:index")
        if done.code:
            yield None
            return
        with tempfile.TemporaryDirectory(dir=operations.notes(self.repo).parent) as folder:
            file = Path(folder) / "index"
            file.write_bytes(done.out)
            yield file


def _blobs(repo: Repository, oids: Sequence[str]) -> Iterator[bytes]:
    """Contents by id, in order."""
    wanted = "".join(f"{oid}\n" for oid in oids).encode()
    out = memoryview(repo.git("cat-file", "--batch", stdin=wanted, max_bytes=MAX_KEPT_BYTES * 2))
    position = 0
    for _ in oids:
        end = bytes(out[position : position + 200]).index(b"\n") + position
        size = int(bytes(out[position:end]).split()[2])
        yield bytes(out[end + 1 : end + 1 + size])
        position = end + 1 + size + 1


def _by_path(listing: Sequence[tuple[bytes, str, int]]) -> Entries:
    out: Entries = {}
    for path, entry, stage in listing:
        out.setdefault(path, []).append((entry, stage))
    return out


def _gitlink(found: Sequence[tuple[str, int]]) -> bool:
    return any(entry.startswith("160000") for entry, _ in found)


def _short(ref: str) -> str:
    return one_line(ref.removeprefix("refs/heads/")[:60])
