"""How files change: places locked, expectations checked, intentions journalled, all files or none."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from ..output import ToolError, explain
from ..state import audit
from .file_io import content, is_foreign, put_bytes, rev_of, stat_rev, sync_folder, write_temp
from .locks import held
from .openat import Beneath, Spot, enter
from .protected_paths import LITTER
from .root import Root
from .roots import Confirmed, Roots, nobody
from .trees import rename_new
from .undo_store import Record, Step, UndoStore, name_of

log = logging.getLogger(__name__)

MAX_CHANGE_BYTES = 64 << 20
"""Of one file, before or after."""

MAX_NEW_FOLDERS = 50
MAX_PATH_BYTES = 4000  # what other programs can still open by name

Content = bytes | None
Place = tuple["Root", Spot]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one file shall become."""

    path: str
    data: Content | Callable[[bytes | None], Content]  # None deletes; a function gets the old bytes, locked
    expect_rev: str | None = None  # None: whatever is there; "": nothing may be there
    mode: int | None = None  # permissions; None: as they are, of a new file as the system has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    path: str  # as shown to the model
    old_rev: str | None  # None: was not there
    new_rev: str | None  # None: is gone, or is no regular file
    links: int = 0  # further names of the old content, which keep it


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
    mode: int | None


def apply(
    roots: Roots, store: UndoStore, changes: Sequence[Change], tool: str, confirmed: Confirmed = nobody
) -> Operation:
    """Make these changes, all or none. See Workspace.apply."""
    if not changes:
        raise ToolError("nothing to change")
    with _found(roots, changes, confirmed) as targets:
        return _commit(roots, store, targets, tool)


def rehearse(roots: Roots, changes: Sequence[Change], confirmed: Confirmed = nobody) -> None:
    """Check and compute these changes, changing nothing."""
    with _found(roots, changes, confirmed):
        pass


@contextmanager
def locked(
    roots: Roots,
    paths: Sequence[tuple[str, bool]],
    *,
    confirmed: Confirmed = nobody,
    everything: bool = False,
) -> Generator[list[Place]]:
    """Where these paths live, permitted and locked; each with whether a link in the last place is followed.

    They are found again under their locks, since a folder may move while we wait. `everything` locks all
    places, for moving a folder with whatever is in it.
    """
    while True:
        with ExitStack() as stack:
            names = _names(roots, [place_of(roots, stack, *one) for one in paths], confirmed)
        try:
            with held(None if everything else names), ExitStack() as stack:
                places = [place_of(roots, stack, *one) for one in paths]
                if [absolute(*place) for place in places] == names:
                    yield places
                    return
        except TimeoutError as exc:
            raise ToolError(f"{paths[0][0]} is busy: {exc}; nothing was changed, try again") from exc


def begin(store: UndoStore, record: Record, contents: Sequence[bytes] = (), *, synced: bool = True) -> None:
    """Note what is about to happen. ToolError when it cannot be noted: then nothing may happen."""
    try:
        store.begin(record, contents, synced=synced)
    except OSError as exc:
        raise ToolError(
            f"the old state could not be kept for undo: {explain(exc)}; nothing was changed"
        ) from exc


def finish(store: UndoStore, record: Record) -> None:
    """Note that it has happened, in the journal and in the audit.

    Of one written file the note need not last: should a power cut take it back, the file's content tells. Of several
    files, or a tree, what has been changed since by hand could be taken for a change that broke off.
    """
    try:
        store.finish(record.id, synced=[step.kind for step in record.steps] != ["write"])
    except OSError as exc:  # the next start finds it done and notes it then
        log.error("a finished change could not be noted: %s", explain(exc))
    names = [step.path if step.to_root is None else f"{step.path} -> {step.to}" for step in record.steps]
    audit.record("files", op=record.id, tool=record.tool, root=record.steps[0].root, paths=", ".join(names))


def new_op() -> str:
    return secrets.token_hex(4)


def place_of(roots: Roots, stack: ExitStack, path: str, follow: bool) -> Place:
    """Where a path lives; open until the stack closes."""
    root, rel = roots.locate(path)
    if path.endswith("/"):
        raise ToolError(f"{path!r} ends with a slash; name the file, or the folder without it")
    try:
        return root, stack.enter_context(root.find(rel, follow=follow))
    except OSError as exc:
        raise roots.refusal(path, exc) from exc


def absolute(root: Root, spot: Spot) -> str:
    return os.path.join(root.path, spot.real)


def folders_to_make(root: Root, spot: Spot) -> list[tuple[str, str]]:
    """The missing folders on the way to a spot, outermost first, as a record's `made` has them."""
    parts = spot.real.split("/")
    first = len(parts) - len(spot.missing)
    return [(str(root.path), "/".join(parts[:i])) for i in range(first, first + len(spot.missing))]


def remove_empty(root: Beneath, paths: Sequence[str]) -> None:
    """Remove folders we made, deepest first, that are still empty."""
    for path in sorted(set(paths), reverse=True):
        with suppress(OSError), root.find(path, follow=False) as spot:
            os.rmdir(spot.name, dir_fd=spot.folder)


def _names(roots: Roots, places: Sequence[Place], confirmed: Confirmed) -> list[str]:
    names: list[str] = []
    for root, spot in places:
        if len(spot.missing) > MAX_NEW_FOLDERS or len(os.fsencode(absolute(root, spot))) > MAX_PATH_BYTES:
            raise ToolError(
                f"{roots.display(root, spot.real)[:80]}... is too long or too deep a path: at most "
                f"{MAX_PATH_BYTES:,} bytes and {MAX_NEW_FOLDERS} new folders"
            )
        most = os.fpathconf(spot.folder, "PC_NAME_MAX")
        if any(len(os.fsencode(part)) > most for part in (*spot.missing, spot.name)):
            raise roots.too_long(spot.real, most)
        roots.may_change(root, spot.real, confirmed=confirmed)
        name = absolute(root, spot)
        if name in names:
            raise ToolError(
                f"{roots.display(root, spot.real)} appears twice in one change; put all that happens to it together"
            )
        names.append(name)
    return names


@contextmanager
def _found(roots: Roots, changes: Sequence[Change], confirmed: Confirmed) -> Generator[list[_Target]]:
    paths = [(change.path, change.data is not None) for change in changes]
    with locked(roots, paths, confirmed=confirmed) as places:
        yield [_read(roots, *place, change) for place, change in zip(places, changes, strict=True)]


def _commit(roots: Roots, store: UndoStore, targets: Sequence[_Target], tool: str) -> Operation:
    op = new_op()
    steps = tuple(_step(target, f"{LITTER}{op}-{i}") for i, target in enumerate(targets))
    made = dict.fromkeys(one for target in targets for one in folders_to_make(target.root, target.spot))
    record = Record(id=op, at=time.time(), tool=tool, state="begun", steps=steps, made=tuple(made))
    begin(store, record, [target.old for target in targets if target.old is not None], synced=False)
    try:
        with ExitStack() as stack:
            _carry_out(store, stack, targets, record)
    except OSError as exc:
        what = targets[0].spot.real if len(targets) == 1 else f"one of {len(targets)} files"
        raise ToolError(f"{what} could not be changed: {explain(exc)}; nothing was changed") from exc
    finish(store, record)
    files = tuple(
        Changed(
            path=roots.display(target.root, target.spot.real),
            old_rev=step.old_rev,
            new_rev=step.new_rev,
            links=target.info.st_nlink - 1 if target.info is not None else 0,
        )
        for target, step in zip(targets, steps, strict=True)
    )
    return Operation(id=op, files=files)


def _step(target: _Target, temp: str) -> Step:
    return Step(
        root=str(target.root.path),
        path=target.spot.real,
        old_rev=None if target.old is None else rev_of(target.old),
        new_rev=None if target.new is None else rev_of(target.new),
        blob=None if target.old is None else name_of(target.old),
        mode=None if target.info is None else stat.S_IMODE(target.info.st_mode),
        new_mode=target.mode,
        temp=temp,
    )


def _carry_out(store: UndoStore, stack: ExitStack, targets: Sequence[_Target], record: Record) -> None:
    """Write every temporary file, then rename them all; on failure take everything back.

    No name changes before the note of what shall happen and all new contents are on disk.
    """
    made: dict[Beneath, list[str]] = {}
    folders: list[int] = []
    renamed = 0
    try:
        with store.syncing():  # the note and the new files at once: a disk takes both in the time of one
            for target, step in zip(targets, record.steps, strict=True):
                fd = enter(target.spot, made.setdefault(target.root, []))
                stack.callback(os.close, fd)
                folders.append(fd)
                if target.new is not None:
                    write_temp(fd, step.temp or "", target.new, target.info, target.spot.name, target.mode)
        for target, step, fd in zip(targets, record.steps, folders, strict=True):
            _put(fd, target, step)
            renamed += 1
        for fd in {os.fstat(fd).st_ino: fd for fd in folders}.values():
            sync_folder(fd)
    except BaseException:
        for target, step, fd in zip(targets[:renamed], record.steps, folders, strict=False):
            put_bytes(fd, target.spot.name, target.old, step.mode, f"{step.temp}-back")
        for step, fd in zip(record.steps, folders, strict=False):
            with suppress(FileNotFoundError):
                os.unlink(step.temp or "", dir_fd=fd)
        for root, paths in made.items():
            remove_empty(root, paths)
        with suppress(OSError):
            store.drop(record.id)
        raise


def _read(roots: Roots, root: Root, spot: Spot, change: Change) -> _Target:
    """The target as it is now, its expectation checked, its new content computed."""
    shown = roots.display(root, spot.real)
    info = _info(shown, root, spot)
    old = None if info is None else content(spot.folder, spot.name, MAX_CHANGE_BYTES)
    if change.expect_rev == "" and old is not None:
        raise ToolError(f"{shown} already exists (rev={rev_of(old)})")
    if change.expect_rev and (old is None or info is None):
        raise ToolError(f"{shown} is not there; rev {change.expect_rev} was expected")
    if change.expect_rev and old is not None and info is not None:
        now = rev_of(old)
        if change.expect_rev.removeprefix("rev=") not in (now, stat_rev(info)):
            raise ToolError(
                f"{shown} has changed: rev {change.expect_rev} was expected, it is {now} now; read it again"
            )
    new = change.data(old) if callable(change.data) else change.data
    if new is None and old is None:
        raise roots.refusal(change.path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    if new is not None and len(new) > MAX_CHANGE_BYTES:
        raise ToolError(f"{shown} would have {len(new):,} bytes; at most {MAX_CHANGE_BYTES:,} are written")
    return _Target(root=root, spot=spot, old=old, new=new, info=info, mode=change.mode)


def _info(shown: str, root: Root, spot: Spot) -> os.stat_result | None:
    """The target's stat; None when it is not there. ToolError when it is nothing we may change."""
    if spot.missing:
        return None
    try:
        info = os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(info.st_mode):
        raise ToolError(f"{shown} is {'a folder' if stat.S_ISDIR(info.st_mode) else 'no regular file'}")
    if is_foreign(info, root.owner):
        raise ToolError(f"{shown} is a hard link to another user's file, which may belong elsewhere")
    if not info.st_mode & 0o222 or not os.access(spot.name, os.W_OK, dir_fd=spot.folder):
        mode = stat.S_IMODE(info.st_mode)
        raise ToolError(f"{shown} is read-only on disk (mode {mode:o}); nothing was changed")
    return info


def _put(folder: int, target: _Target, step: Step) -> None:
    name, temp = target.spot.name, step.temp or ""
    if target.info is not None:
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
        was = target.info
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (was.st_ino, was.st_size, was.st_mtime_ns):
            raise OSError(errno.EBUSY, "another program changed it at the same moment")
    if target.new is None:
        os.unlink(name, dir_fd=folder)
    elif target.info is not None:
        os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        rename_new(folder, temp, folder, name)
