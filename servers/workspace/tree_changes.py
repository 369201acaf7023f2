"""Moving, copying and deleting whole names, folders included: journalled, never over something unseen, undoable."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from ..output import ToolError, explain, one_line
from .file_io import content, is_foreign, rev_of, sync_folder
from .openat import Spot, enter
from .protected_paths import LITTER, allowed, protected
from .root import Root
from .roots import Confirmed, Roots, nobody
from .transaction import (
    Change,
    Changed,
    Operation,
    Place,
    apply,
    begin,
    finish,
    folders_to_make,
    locked,
    new_op,
    place_of,
    remove_empty,
)
from .trees import Measure, copy_tree, exists, fingerprint, measure, remove_tree, rename_new
from .undo_store import MAX_STORE_BYTES, Record, Step, UndoStore, name_of

MAX_KEPT_BYTES = 64 << 20  # of a file that a move overwrites


def move(
    roots: Roots,
    store: UndoStore,
    src: str,
    dst: str,
    *,
    overwrite: bool = False,
    tool: str = "move_file",
    confirmed: Confirmed = nobody,
) -> Operation:
    """Move one name, a folder with all that is in it. With `overwrite` a file may take a file's place."""
    with _two(roots, src, dst, confirmed) as ((root, spot), (to_root, to)):
        info = _info(roots, src, spot)
        _tree_allowed(roots, root, spot, spot.real)
        old = _taken(roots, dst, to, info, overwrite)
        if stat.S_ISDIR(info.st_mode) and root is to_root and f"{to.real}/".startswith(f"{spot.real}/"):
            raise ToolError(f"{dst} lies inside {src}; a folder cannot be moved into itself")
        op = new_op()
        step = Step(
            kind="move",
            root=str(root.path),
            path=spot.real,
            to_root=str(to_root.path),
            to=to.real,
            temp=f"{LITTER}{op}",
            blob=None if old is None else name_of(old),
            old_rev=None if old is None else rev_of(old),
            mode=None if old is None else stat.S_IMODE(os.stat(to.name, dir_fd=to.folder).st_mode),
        )
        with _journalled(roots, store, step, to_root, to, tool, op, [] if old is None else [old]) as folder:
            _move_across(store, spot, folder, to.name, step, over=old is not None)
    return _done(roots, op, (root, spot), (to_root, to))


def copy(
    roots: Roots,
    store: UndoStore,
    src: str,
    dst: str,
    *,
    overwrite: bool = False,
    tool: str = "move_file",
    confirmed: Confirmed = nobody,
) -> Operation:
    """Copy one name, a folder with all that is in it. With `overwrite` a file's content replaces a file's."""
    if overwrite and roots.exists(dst):
        return apply(roots, store, [Change(path=dst, data=roots.read(src, MAX_KEPT_BYTES))], tool, confirmed)
    with (
        locked(roots, [(dst, False)], confirmed=confirmed, everything=True) as ((to_root, to),),
        ExitStack() as stack,
    ):
        root, spot = place_of(roots, stack, src, follow=False)
        info = _info(roots, src, spot)
        roots.may_read(root, spot.real, info)
        _tree_allowed(roots, root, spot, to.real)
        _taken(roots, dst, to, info, overwrite=False)
        if stat.S_ISDIR(info.st_mode) and root is to_root and f"{to.real}/".startswith(f"{spot.real}/"):
            raise ToolError(f"{dst} lies inside {src}; a folder cannot be copied into itself")
        op = new_op()
        step = Step(
            kind="made",
            root=str(to_root.path),
            path=to.real,
            temp=f"{LITTER}{op}",
            new_rev=fingerprint(spot.folder, spot.name),
        )
        with _journalled(roots, store, step, to_root, to, tool, op) as folder:
            copy_tree(spot.folder, spot.name, folder, step.temp or "")
            rename_new(folder, step.temp or "", folder, to.name)
    return _done(roots, op, None, (to_root, to))


def delete(
    roots: Roots,
    store: UndoStore,
    path: str,
    *,
    recursive: bool = True,
    tool: str = "delete_file",
    confirmed: Confirmed = nobody,
    expect: str | None = None,
) -> Operation:
    """Move one name into the undo store's trash. Without `recursive` a folder must be empty.

    `expect`: its fingerprint; ToolError when it has another.
    """
    with locked(roots, [(path, False)], confirmed=confirmed, everything=True) as ((root, spot),):
        _info(roots, path, spot)
        tree = _tree_allowed(roots, root, spot, spot.real)
        if tree.entries > 1 and not recursive:
            raise ToolError(
                f"{path} is a folder with {tree.entries - 1:,} entries; recursive=true deletes them too"
            )
        if expect and fingerprint(spot.folder, spot.name) != expect:
            raise ToolError(f"{path} has changed since; delete_file deletes it as it is now")
        size = tree.size
        if size > MAX_STORE_BYTES:
            raise ToolError(
                f"{path} holds {size:,} bytes, more than the undo store keeps ({MAX_STORE_BYTES:,}); "
                "nothing was deleted"
            )
        op = new_op()
        step = Step(kind="trash", root=str(root.path), path=spot.real, to=op, temp=f"{LITTER}{op}")
        record = Record(id=op, at=time.time(), tool=tool, state="begun", steps=(step,), trash_bytes=size)
        begin(store, record)
        try:
            with store.trash() as trash:
                _into_trash(store, spot, trash, step, op)
        except OSError as exc:
            with suppress(OSError):
                rename_new(spot.folder, step.temp or "", spot.folder, spot.name)
            with suppress(OSError):
                store.drop(op)
            raise ToolError(f"{path} could not be deleted: {explain(exc)}; nothing was changed") from exc
        finish(store, record)
    return _done(roots, op, (root, spot), None)


def restore(roots: Roots, store: UndoStore, step: Step, tool: str) -> Operation:
    """Bring a deleted name back from the trash to where it was."""
    path = os.path.join(step.root, step.path)
    with (
        locked(roots, [(path, False)], everything=True) as ((root, spot),),
        store.trash() as trash,
    ):
        if not exists(trash, step.to or ""):
            raise ToolError("what was deleted is no longer in the undo store")
        if not spot.missing and exists(spot.folder, spot.name):
            raise ToolError(f"{roots.display(root, spot.real)} is there again; move it away first")
        op = new_op()
        made = Step(
            kind="made",
            root=step.root,
            path=step.path,
            temp=f"{LITTER}{op}",
            new_rev=fingerprint(trash, step.to or ""),
        )
        with _journalled(roots, store, made, root, spot, tool, op) as folder:
            try:
                rename_new(trash, step.to or "", folder, spot.name)
            except OSError as exc:
                if exc.errno != errno.EXDEV:
                    raise
                copy_tree(trash, step.to or "", folder, made.temp or "")
                rename_new(folder, made.temp or "", folder, spot.name)
                remove_tree(trash, step.to or "")
    return _done(roots, op, None, (root, spot))


@contextmanager
def _two(roots: Roots, src: str, dst: str, confirmed: Confirmed) -> Generator[Sequence[Place]]:
    with locked(roots, [(src, False), (dst, False)], confirmed=confirmed, everything=True) as places:
        yield places


@contextmanager
def _journalled(
    roots: Roots,
    store: UndoStore,
    step: Step,
    root: Root,
    to: Spot,
    tool: str,
    op: str,
    contents: Sequence[bytes] = (),
) -> Generator[int]:
    """The folder where something shall appear; whatever fails inside is taken back and told."""
    made_before = tuple(folders_to_make(root, to))
    record = Record(id=op, at=time.time(), tool=tool, state="begun", steps=(step,), made=made_before)
    begin(store, record, contents)
    made: list[str] = []
    folder = -1
    try:
        folder = enter(to, made)
        yield folder
    except OSError as exc:
        if folder >= 0:
            with suppress(OSError):
                remove_tree(folder, step.temp or "")
        remove_empty(root, made)
        with suppress(OSError):
            store.drop(op)
        reason = "something is there already" if isinstance(exc, FileExistsError) else explain(exc)
        raise ToolError(f"{roots.display(root, to.real)}: {reason}; nothing was changed") from exc
    finally:
        if folder >= 0:
            os.close(folder)
    finish(store, record)


def _move_across(store: UndoStore, spot: Spot, folder: int, name: str, step: Step, *, over: bool) -> None:
    """Rename, or between file systems copy and then remove."""
    temp = step.temp or ""
    try:
        if over:
            os.rename(spot.name, name, src_dir_fd=spot.folder, dst_dir_fd=folder)
        else:
            rename_new(spot.folder, spot.name, folder, name)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        copy_tree(spot.folder, spot.name, folder, temp)
        if over:
            os.rename(temp, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            rename_new(folder, temp, folder, name)
        store.finish(temp.removeprefix(LITTER), "copied")
        with suppress(OSError):  # the move has happened; what is left of the source is only litter
            remove_tree(spot.folder, spot.name)
    sync_folder(spot.folder)


def _into_trash(store: UndoStore, spot: Spot, trash: int, step: Step, op: str) -> None:
    temp, to = step.temp or "", step.to or ""
    try:
        os.rename(spot.name, to, src_dir_fd=spot.folder, dst_dir_fd=trash)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        rename_new(spot.folder, spot.name, spot.folder, temp)  # gone at once, for everybody
        try:
            copy_tree(spot.folder, temp, trash, to)
        except OSError:
            with suppress(OSError):
                remove_tree(trash, to)
            raise
        store.finish(op, "copied")
        remove_tree(spot.folder, temp)
    sync_folder(spot.folder)


def _info(roots: Roots, path: str, spot: Spot) -> os.stat_result:
    try:
        if spot.missing:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return os.stat(spot.name, dir_fd=spot.folder, follow_symlinks=False)
    except OSError as exc:
        raise roots.refusal(path, exc) from exc


def _tree_allowed(roots: Roots, root: Root, spot: Spot, real: str) -> Measure:
    """What the tree holds. ToolError when something in it may not be changed at `real`, or it is too large."""

    def see(path: str, info: os.stat_result) -> None:
        shown = one_line(roots.display(root, path))
        if is_foreign(info, root.owner):
            raise ToolError(f"{shown} is a hard link to another user's file")
        place = real + path[len(spot.real) :]
        if (rule := protected(place)) and not allowed(place, roots.allow):
            raise ToolError(f"{shown} is protected ({rule}); nothing was changed")

    try:
        return measure(spot.folder, spot.name, see, spot.real.rpartition("/")[0])
    except OSError as exc:
        raise ToolError(f"{roots.display(root, spot.real)}: {explain(exc)}; nothing was changed") from exc


def _taken(roots: Roots, dst: str, to: Spot, info: os.stat_result, overwrite: bool) -> bytes | None:
    """The content of the file that will be overwritten; None when the name is free. ToolError otherwise."""
    try:
        there = None if to.missing else os.stat(to.name, dir_fd=to.folder, follow_symlinks=False)
    except FileNotFoundError:
        there = None
    except OSError as exc:
        raise roots.refusal(dst, exc) from exc
    if there is None:
        return None
    if stat.S_ISDIR(there.st_mode):
        raise ToolError(f"{dst} is a folder; give the whole new path, such as {dst.rstrip('/')}/NAME")
    if not overwrite:
        raise ToolError(f"{dst} already exists; overwrite=true replaces a file")
    if not stat.S_ISREG(there.st_mode) or not stat.S_ISREG(info.st_mode):
        raise ToolError(f"{dst} already exists, and only a file replaces a file")
    return content(to.folder, to.name, MAX_KEPT_BYTES)


def _done(roots: Roots, op: str, gone: Place | None, made: Place | None) -> Operation:
    files: list[Changed] = []
    if gone:
        files.append(Changed(path=roots.display(gone[0], gone[1].real), old_rev=None, new_rev=None))
    if made:
        files.append(Changed(path=roots.display(made[0], made[1].real), old_rev=None, new_rev=None))
    return Operation(id=op, files=tuple(files))
