"""How files change: locked, expected, journalled, all or none; and how a change is undone or recovered."""

from __future__ import annotations

import difflib
import errno
import os
import secrets
import sqlite3
import stat
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .beneath import Beneath, Spot, enter
from .content import content, put_bytes, rev_of, stat_rev, sync_folder, write_temp
from .home import home
from .locks import held
from .outcome import ToolError, bounded, explain
from .places import LITTER
from .undo import Record, Step, UndoStore, name_of

if TYPE_CHECKING:
    from .workspace import Root, Workspace

MAX_CHANGE_BYTES = 64 << 20
"""Of one file, before or after."""


Content = bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one file shall become."""

    path: str
    data: Content | Callable[[bytes | None], Content]  # None deletes; a function gets the old bytes, locked
    expect_rev: str | None = None  # None: whatever is there; "": nothing may be there


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    path: str  # as shown to the model
    old_rev: str | None  # None: was not there
    new_rev: str | None  # None: is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One finished change; `id` undoes it."""

    id: str
    files: tuple[Changed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One file of a change, found and read under its lock."""

    root: Root
    spot: Spot
    old: bytes | None
    new: bytes | None
    info: os.stat_result | None


class Changes:
    """The change path of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.store = UndoStore(home() / "undo")

    def apply(
        self, changes: Sequence[Change], tool: str, confirmed: Callable[[str], bool] | None = None
    ) -> Operation:
        """See Workspace.apply."""
        if not changes:
            raise ToolError("nothing to change")
        with self._locked(changes, confirmed) as found:
            return self._commit([_read(self.workspace, *one) for one in found], tool)

    def rehearse(self, changes: Sequence[Change]) -> None:
        """See Workspace.rehearse."""
        with self._locked(changes, None) as found:
            for one in found:
                _read(self.workspace, *one)

    @contextmanager
    def _locked(
        self, changes: Sequence[Change], confirmed: Callable[[str], bool] | None
    ) -> Generator[list[tuple[Root, Spot, Change]]]:
        """The changes' places, found again under their locks: a folder may move while we wait for one."""
        while True:
            names = self._real_names(changes, confirmed)
            try:
                with held(names), ExitStack() as stack:
                    found = [self._find(stack, change) for change in changes]
                    if [_absolute(root, spot.real) for root, spot, _ in found] == names:
                        yield found
                        return
            except TimeoutError as exc:
                raise ToolError(f"{changes[0].path} is busy: {exc}; nothing was changed, try again") from exc

    def _real_names(self, changes: Sequence[Change], confirmed: Callable[[str], bool] | None) -> list[str]:
        names: list[str] = []
        with ExitStack() as stack:
            for change in changes:
                root, spot, _ = self._find(stack, change)
                self.workspace.may_change(root, spot.real, confirmed=confirmed)
                name = _absolute(root, spot.real)
                if name in names:
                    raise ToolError(f"{change.path} appears twice in one change")
                names.append(name)
        return names

    def _find(self, stack: ExitStack, change: Change) -> tuple[Root, Spot, Change]:
        root, rel = self.workspace.locate(change.path)
        try:
            return root, stack.enter_context(root.find(rel, follow=change.data is not None)), change
        except OSError as exc:
            raise self.workspace.refusal(change.path, exc) from exc

    def _commit(self, targets: Sequence[_Target], tool: str) -> Operation:
        op = secrets.token_hex(4)
        steps = tuple(
            Step(
                root=str(target.root.path),
                path=target.spot.real,
                old_rev=None if target.old is None else rev_of(target.old),
                new_rev=None if target.new is None else rev_of(target.new),
                blob=None if target.old is None else name_of(target.old),
                mode=None if target.info is None else stat.S_IMODE(target.info.st_mode),
                temp=f"{LITTER}{op}-{i}",
            )
            for i, target in enumerate(targets)
        )
        record = Record(id=op, at=time.time(), tool=tool, state="begun", steps=steps)
        self._note(record, [target.old for target in targets if target.old is not None])
        try:
            with ExitStack() as stack:
                self._carry_out(stack, targets, record)
        except OSError as exc:
            what = targets[0].spot.real if len(targets) == 1 else f"one of {len(targets)} files"
            raise ToolError(f"{what} could not be changed: {explain(exc)}; nothing was changed") from exc
        self.store.finish(op)
        shown = self.workspace.display
        files = tuple(
            Changed(path=shown(t.root, t.spot.real), old_rev=s.old_rev, new_rev=s.new_rev)
            for t, s in zip(targets, steps, strict=True)
        )
        return Operation(id=op, files=files)

    def _note(self, record: Record, contents: Sequence[bytes]) -> None:
        try:
            self.store.begin(record, contents)
        except (sqlite3.Error, OSError) as exc:
            raise ToolError(
                f"the old content could not be kept for undo: {explain(exc)}; nothing was changed"
            ) from exc

    def _carry_out(self, stack: ExitStack, targets: Sequence[_Target], record: Record) -> None:
        """Write every temporary file, then rename them all; on failure take everything back."""
        made: dict[Beneath, list[str]] = {}
        folders: list[int] = []
        renamed = 0
        try:
            for target, step in zip(targets, record.steps, strict=True):
                fd = enter(target.spot, made.setdefault(target.root, []))
                stack.callback(os.close, fd)
                folders.append(fd)
                if target.new is not None:
                    write_temp(fd, step.temp or "", target.new, target.info, target.spot.name)
            for target, step, fd in zip(targets, record.steps, folders, strict=True):
                _put(fd, target, step)
                renamed += 1
            for fd in set(folders):
                sync_folder(fd)
        except BaseException:
            for target, step, fd in zip(targets[:renamed], record.steps, folders, strict=False):
                _put_back(fd, target, step)
            for step, fd in zip(record.steps, folders, strict=False):
                with suppress(FileNotFoundError):
                    os.unlink(step.temp or "", dir_fd=fd)
            for root, paths in made.items():
                remove_empty(root, paths)
            self.store.drop(record.id)
            raise

    def undo(self, op: str) -> Operation:
        """See Workspace.undo."""
        record = self.store.record(op)
        if record is None or record.state != "done":
            raise ToolError(f"there is no change {op!r} to undo; undo without an op lists the last ones")
        changes: list[Change] = []
        for step in record.steps:
            path = os.path.join(step.root, step.path)
            old = None if step.blob is None else self.store.content(step.blob)
            if step.blob is not None and old is None:
                raise ToolError(f"the content {op} replaced is no longer in the undo store")
            self._unchanged_since(path, step, old, op)
            changes.append(Change(path=path, data=old, expect_rev=step.new_rev or ""))
        done: Operation = self.apply([c for c in changes if c.data is not None or c.expect_rev], f"undo {op}")
        return done

    def _unchanged_since(self, path: str, step: Step, old: bytes | None, op: str) -> None:
        now = self.workspace.read(path, MAX_CHANGE_BYTES) if self.workspace.exists(path) else None
        if (None if now is None else rev_of(now)) == step.new_rev:
            return
        diff = difflib.unified_diff(
            (now or b"").decode("utf-8", "replace").splitlines(keepends=True),
            (old or b"").decode("utf-8", "replace").splitlines(keepends=True),
            "now",
            f"before {op}",
        )
        raise ToolError(
            f"{step.path} has changed since {op}; undoing would lose that too. What undoing would do:\n"
            + bounded("".join(diff), 8000)
        )

    def recover(self) -> None:
        """Finish or take back what a killed process left half done in these roots, and remove its litter."""
        for record in self.store.unfinished():
            mine = {str(root.path): root for root in self.workspace.all_roots()}
            if not all(step.root in mine for step in record.steps):
                continue
            names = [os.path.join(step.root, step.path) for step in record.steps]
            with suppress(TimeoutError, OSError), held(names, wait_s=0):
                current = self.store.record(record.id)
                if current is not None and current.state == "begun":  # else its own process has ended it
                    self._settle(record, mine)

    def _settle(self, record: Record, roots: dict[str, Root]) -> None:
        changed: list[Step] = []
        for step in record.steps:
            with roots[step.root].find(step.path, follow=False) as spot:
                if spot.missing:
                    continue
                with suppress(FileNotFoundError):
                    os.unlink(step.temp or "", dir_fd=spot.folder)
                now = content(spot.folder, spot.name, MAX_CHANGE_BYTES)
                if (None if now is None else rev_of(now)) == step.new_rev != step.old_rev:
                    changed.append(step)
        if len(changed) == len(record.steps):
            self.store.finish(record.id)
            return
        for step in changed:
            old = None if step.blob is None else self.store.content(step.blob)
            with roots[step.root].find(step.path, follow=False) as spot:
                put_bytes(spot.folder, spot.name, old, step.mode, f"{LITTER}{record.id}")
        self.store.drop(record.id)


def remove_empty(root: Beneath, paths: Sequence[str]) -> None:
    """Remove folders we made, deepest first, that are still empty."""
    for path in reversed(paths):
        with suppress(OSError), root.find(path, follow=False) as spot:
            os.rmdir(spot.name, dir_fd=spot.folder)


def _read(workspace: Workspace, root: Root, spot: Spot, change: Change) -> _Target:
    """The target as it is now, its expectation checked."""
    shown = workspace.display(root, spot.real)
    old: bytes | None = None
    info: os.stat_result | None = None
    if not spot.missing:
        with suppress(FileNotFoundError):
            info = os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
    if info is not None:
        if not stat.S_ISREG(info.st_mode):
            kind = "a folder" if stat.S_ISDIR(info.st_mode) else "no regular file"
            raise ToolError(f"{shown} is {kind}")
        if not info.st_mode & 0o222 or not os.access(spot.name, os.W_OK, dir_fd=spot.folder):
            mode = stat.S_IMODE(info.st_mode)
            raise ToolError(f"{shown} is read-only on disk (mode {mode:o}); nothing was changed")
        old = content(spot.folder, spot.name, MAX_CHANGE_BYTES)
    if change.expect_rev == "" and old is not None:
        raise ToolError(f"{shown} already exists (rev={rev_of(old)})")
    if change.expect_rev and old is None:
        raise ToolError(f"{shown} is no longer there; rev {change.expect_rev} was expected")
    revs = () if old is None or info is None else (rev_of(old), stat_rev(info))
    if change.expect_rev and old is not None and change.expect_rev not in revs:
        raise ToolError(
            f"{shown} has changed: rev {change.expect_rev} was expected, it is {rev_of(old)} now; read it again"
        )
    if change.data is None and old is None:
        raise ToolError(f"there is no {shown!r} to delete")
    new = change.data(old) if callable(change.data) else change.data
    if new is not None and len(new) > MAX_CHANGE_BYTES:
        raise ToolError(f"{shown} would have {len(new):,} bytes; at most {MAX_CHANGE_BYTES:,} are written")
    return _Target(root=root, spot=spot, old=old, new=new, info=info)


def _put(folder: int, target: _Target, step: Step) -> None:
    name, temp = target.spot.name, step.temp or ""
    if target.info is not None:
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (
            target.info.st_ino,
            target.info.st_size,
            target.info.st_mtime_ns,
        ):
            raise OSError(errno.EBUSY, "another program changed it at the same moment")
    if target.new is None:
        os.unlink(name, dir_fd=folder)
    elif target.info is not None:
        os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        _rename_new(folder, temp, name)


def _rename_new(folder: int, temp: str, name: str) -> None:
    """As rename, but never over something another program has just made."""
    try:
        os.link(temp, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        os.unlink(temp, dir_fd=folder)


def _put_back(folder: int, target: _Target, step: Step) -> None:
    temp = f"{step.temp}-back"
    put_bytes(folder, target.spot.name, target.old, step.mode, temp)


def _absolute(root: Root, real: str) -> str:
    return os.path.join(root.path, real)
