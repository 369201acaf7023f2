"""What a repository is in the middle of, and the next step out of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .repository import Repository

Name = Literal["clean", "merge", "rebase", "cherry_pick", "revert", "am", "bisect", "conflict"]

FILES = (
    "MERGE_HEAD",
    "MERGE_MODE",
    "MERGE_MSG",
    "MERGE_RR",
    "SQUASH_MSG",
    "AUTO_MERGE",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "ORIG_HEAD",
)
"""Files of the git dir that hold such a state; with the folders below, all of it."""
FOLDERS = ("rebase-merge", "rebase-apply", "sequencer")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`name` is "clean" when nothing is under way; `detail` says how far it is."""

    name: Name
    detail: str = ""

    def next_step(self, conflicts: int) -> str | None:
        """What to do now; None when nothing needs doing."""
        if self.name == "clean":
            return None
        if self.name == "bisect":
            return "a bisect is under way; the user ends it with `git bisect reset`"
        resolve = f"resolve {conflicts} conflict{'s' * (conflicts != 1)}, git_stage the files, then "
        if self.name == "conflict":
            return resolve + "git_commit (or git_restore them from HEAD with staged=true)"
        if self.name == "am":
            return "an am is under way; git_integrate(action=abort) ends it"
        finish = "git_integrate(action=continue); git_integrate(action=abort) goes back"
        return (resolve if conflicts else "") + finish


def state_of(repo: Repository, conflicts: int = 0) -> State:
    """Read from the files git leaves in its folder, or the refs it keeps instead of some of them."""
    git_dir = repo.git_dir
    rebase = git_dir / "rebase-merge"
    if rebase.is_dir():
        return State(name="rebase", detail=_progress(rebase, "msgnum", "end"))
    apply = git_dir / "rebase-apply"
    if apply.is_dir():
        name = "am" if (apply / "applying").exists() else "rebase"
        return State(name=name, detail=_progress(apply, "next", "last"))
    if (git_dir / "MERGE_HEAD").exists():
        return State(name="merge")
    if repo.has("CHERRY_PICK_HEAD"):
        return State(name="cherry_pick")
    if repo.has("REVERT_HEAD"):
        return State(name="revert")
    todo = _word(git_dir / "sequencer" / "todo")
    if todo is not None:
        return State(name="revert" if todo.startswith("revert") else "cherry_pick")
    if conflicts:
        return State(name="conflict", detail="conflicts left by a stash or a restore")
    if (git_dir / "BISECT_LOG").exists():
        return State(name="bisect")
    return State(name="clean")


def _progress(folder: Path, done: str, total: str) -> str:
    at, of = _word(folder / done), _word(folder / total)
    return f"step {at} of {of}" if at and of and at.isdigit() and of.isdigit() else ""


def _word(path: Path) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(64).strip()
    except OSError:
        return None
