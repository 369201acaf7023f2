"""The folders a server may touch: reading beneath them, and the one path by which anything in them changes.

A change holds the locks of its files, checks what it expects, keeps the old bytes and its intention in
the undo store, writes temporary files beside their targets and renames them by descriptor: all files or
none, also when the process is killed halfway.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..output import readable
from . import transaction, tree_changes, undo
from .file_io import read_all, rev_of, stat_rev
from .root import Root
from .roots import MAX_READ_BYTES, Confirmed, Roots, nobody
from .transaction import Change, Changed, Operation
from .undo_store import Record, UndoStore


class Workspace(Roots):
    """Roots that can also change. Everything here raises ToolError for the model."""

    def __init__(
        self, roots: Sequence[str | os.PathLike[str]], *, read_only: bool = False, allow: Sequence[str] = ()
    ) -> None:
        """As Roots; cleans up after a killed change."""
        super().__init__(roots, read_only=read_only, allow=allow)
        self.store = UndoStore(self.state / "undo")
        if not read_only:
            undo.recover(self, self.store)

    def apply(self, changes: Sequence[Change], *, tool: str, confirmed: Confirmed = nobody) -> Operation:
        """Make these changes, all or none: old bytes into the undo store, new bytes by rename."""
        return transaction.apply(self, self.store, changes, tool, confirmed)

    def rehearse(self, changes: Sequence[Change], *, confirmed: Confirmed = nobody) -> None:
        """Check and compute these changes as `apply` would, changing nothing."""
        transaction.rehearse(self, changes, confirmed)

    def move(
        self, src: str, dst: str, *, overwrite: bool = False, confirmed: Confirmed = nobody
    ) -> Operation:
        """Move a file or a whole folder. With `overwrite` a file may take a file's place."""
        return tree_changes.move(self, self.store, src, dst, overwrite=overwrite, confirmed=confirmed)

    def copy(
        self, src: str, dst: str, *, overwrite: bool = False, confirmed: Confirmed = nobody
    ) -> Operation:
        """Copy a file or a whole folder. With `overwrite` a file may take a file's place."""
        return tree_changes.copy(self, self.store, src, dst, overwrite=overwrite, confirmed=confirmed)

    def delete(self, path: str, *, recursive: bool = True, confirmed: Confirmed = nobody) -> Operation:
        """Move a file or, with `recursive`, a whole folder into the undo store."""
        return tree_changes.delete(self, self.store, path, recursive=recursive, confirmed=confirmed)

    def undo(self, op: str) -> Operation:
        """Put back what `op` replaced. ToolError when its files have changed since."""
        return undo.undo(self, self.store, op)

    def recent(self, limit: int) -> list[Record]:
        """The last changes in these roots, newest first."""
        mine = {str(root.path) for root in self.all_roots()}
        with readable(OSError):
            records = self.store.recent(1000)
        return [record for record in records if all(step.root in mine for step in record.steps)][:limit]


__all__ = [
    "MAX_READ_BYTES",
    "Change",
    "Changed",
    "Confirmed",
    "Operation",
    "Root",
    "Workspace",
    "nobody",
    "read_all",
    "rev_of",
    "stat_rev",
]
