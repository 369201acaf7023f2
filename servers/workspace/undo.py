"""Taking changes back: on request, and those a killed process left half done."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from ..output import ToolError, bounded, explain, fenced, masked, readable, visible
from . import tree_changes
from .file_io import content, put_bytes, rev_of
from .locks import held
from .protected_paths import LITTER
from .root import Root
from .roots import Roots
from .transaction import MAX_CHANGE_BYTES, Change, Operation, apply, remove_empty
from .trees import exists, remove_tree, rename_new
from .undo_store import Record, Step, UndoStore

MAX_DIFF_BYTES = 8000
MAX_DIFFED_LINES = 20_000

log = logging.getLogger(__name__)


def undo(roots: Roots, store: UndoStore, op: str) -> Operation:
    """Put back what `op` replaced, as a change of its own. ToolError when its files have changed since."""
    with readable(OSError):
        record = store.record(op)
    if record is None or record.state != "done":
        raise ToolError(f"there is no change {op!r} to undo; undo without op lists the last ones")
    tool = f"undo {op}"
    step = record.steps[0]
    match step.kind:
        case "trash":
            done = tree_changes.restore(roots, store, step, tool)
        case "made":
            path = os.path.join(step.root, step.path)
            done = tree_changes.delete(
                roots, store, path, tool=tool, confirmed=_allowed_before, expect=step.new_rev
            )
        case "move":
            done = _move_back(roots, store, step, tool)
        case "write":
            changes = [_reverse(roots, store, step, op) for step in record.steps]
            done = apply(roots, store, changes, tool, confirmed=_allowed_before)
    _remove_made(roots.all_roots(), record)
    return done


def recover(roots: Roots, store: UndoStore) -> None:
    """Finish or take back what a killed process left half done in these roots, and remove its litter."""
    named = {str(root.path): root for root in roots.all_roots()}
    try:
        unfinished = store.unfinished()
    except OSError as exc:
        log.warning("%s", explain(exc))
        return
    for record in unfinished:
        touched = {step.root for step in record.steps} | {
            step.to_root for step in record.steps if step.to_root
        }
        if not touched <= set(named):
            continue
        folders = any(step.kind != "write" for step in record.steps)
        names = None if folders else [os.path.join(step.root, step.path) for step in record.steps]
        try:
            with held(names, wait_s=0):
                current = store.record(record.id)
                if current is not None and current.state != "done":  # else its own process has ended it
                    _settle(store, current, named)
        except TimeoutError:
            continue  # a live server is at it, or at something else
        except (OSError, ToolError) as exc:
            log.warning("the unfinished change %s was left as it is: %s", record.id, explain(exc))


def _allowed_before(shown: str) -> bool:
    """Undoing needs no second yes: the user's own state comes back."""
    del shown
    return True


def _reverse(roots: Roots, store: UndoStore, step: Step, op: str) -> Change:
    path = os.path.join(step.root, step.path)
    old = None if step.blob is None else store.content(step.blob)
    if step.blob is not None and old is None:
        raise ToolError(f"the content {op} replaced is no longer in the undo store")
    now = roots.read(path, MAX_CHANGE_BYTES) if roots.exists(path) else None
    if (None if now is None else rev_of(now)) != step.new_rev:
        said = f"{roots.shown(path)} has changed since {op}, and undoing would lose that too."
        lines = _lines(now), _lines(old)
        if sum(map(len, lines)) > MAX_DIFFED_LINES:
            raise ToolError(f"{said} It would put {len(lines[1]):,} lines in the place of {len(lines[0]):,}")
        diff = "".join(difflib.unified_diff(*lines, "now", f"before {op}"))
        shown = fenced(bounded(masked(visible(diff)), MAX_DIFF_BYTES), "diff")
        raise ToolError(f"{said} It would do this:\n{shown}")
    mode = step.mode if now is None or step.new_mode is not None else None
    return Change(path=path, data=old, expect_rev=step.new_rev or "", mode=mode)


def _lines(data: bytes | None) -> list[str]:
    return (data or b"").decode("utf-8", "replace").splitlines(keepends=True)


def _move_back(roots: Roots, store: UndoStore, step: Step, tool: str) -> Operation:
    there, back = os.path.join(step.to_root or "", step.to or ""), os.path.join(step.root, step.path)
    old = None if step.blob is None else store.content(step.blob)
    if step.blob is not None and old is None:
        raise ToolError("the content that the move overwrote is no longer in the undo store")
    done = tree_changes.move(roots, store, there, back, tool=tool, confirmed=_allowed_before)
    if old is not None:
        change = Change(path=there, data=old, expect_rev="", mode=step.mode)
        apply(roots, store, [change], tool, confirmed=_allowed_before)
    return done


def _remove_made(roots: Iterable[Root], record: Record) -> None:
    for root in roots:
        remove_empty(root, [path for name, path in record.made if name == str(root.path)])


def _settle(store: UndoStore, record: Record, roots: Mapping[str, Root]) -> None:
    settle = {"write": _settle_writes, "move": _settle_move, "trash": _settle_trash, "made": _settle_made}
    how: Callable[[UndoStore, Record, Mapping[str, Root]], bool] = settle[record.steps[0].kind]
    if how(store, record, roots):
        store.finish(record.id)
    else:
        _remove_made(roots.values(), record)
        store.drop(record.id)


def _settle_writes(store: UndoStore, record: Record, roots: Mapping[str, Root]) -> bool:
    """True when all files have their new content; else those that have it get the old one back."""
    changed: list[Step] = []
    for step in record.steps:
        with roots[step.root].find(step.path, follow=False) as spot:
            if spot.missing:
                continue
            for temp in (step.temp or "", f"{step.temp}-back"):
                with suppress(FileNotFoundError):
                    os.unlink(temp, dir_fd=spot.folder)
            now = content(spot.folder, spot.name, MAX_CHANGE_BYTES)
            if (None if now is None else rev_of(now)) == step.new_rev:
                changed.append(step)
    if len(changed) == len(record.steps):
        return True
    for step in changed:
        old = None if step.blob is None else store.content(step.blob)
        with roots[step.root].find(step.path, follow=False) as spot:
            put_bytes(spot.folder, spot.name, old, step.mode, f"{LITTER}{record.id}")
    return False


def _settle_move(store: UndoStore, record: Record, roots: Mapping[str, Root]) -> bool:
    """True when the name has arrived; a copied source that is still there is then removed."""
    step = record.steps[0]
    with roots[step.to_root or ""].find(step.to or "", follow=False) as to:
        if not to.missing:
            with suppress(OSError):
                remove_tree(to.folder, step.temp or "")
    with roots[step.root].find(step.path, follow=False) as spot:
        left = not spot.missing and exists(spot.folder, spot.name)
        if left and record.state == "copied":
            remove_tree(spot.folder, spot.name)
            return True
        return not left


def _settle_trash(store: UndoStore, record: Record, roots: Mapping[str, Root]) -> bool:
    """True when all of it lies in the trash; else it comes back."""
    step = record.steps[0]
    with roots[step.root].find(step.path, follow=False) as spot, store.trash() as trash:
        aside = not spot.missing and exists(spot.folder, step.temp or "")
        if record.state == "copied":
            if aside:
                remove_tree(spot.folder, step.temp or "")
            return True
        if aside:
            with suppress(OSError):
                remove_tree(trash, step.to or "")
            rename_new(spot.folder, step.temp or "", spot.folder, spot.name)
            return False
        return exists(trash, step.to or "")


def _settle_made(store: UndoStore, record: Record, roots: Mapping[str, Root]) -> bool:
    step = record.steps[0]
    with roots[step.root].find(step.path, follow=False) as spot:
        if spot.missing:
            return False
        with suppress(OSError):
            remove_tree(spot.folder, step.temp or "")
        return exists(spot.folder, spot.name)
