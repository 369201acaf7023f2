"""What a merge or rebase still has to do, read before git goes on with it.

The lists git left in its folder may come from somebody else: a rebase runs the programs its list names, a
strategy is a program too, and the options of `git am` can write a file anywhere.
"""

from __future__ import annotations

import re

from ...output import ToolError, masked, one_line
from . import parsing
from .repository import Repository

_STEP = re.compile(
    rb"(?:pick|reword|edit|squash|fixup|drop|label|reset|merge|update-ref|[presfdltmu])\s.*"
    rb"|(?:noop|break|b)\s*|#.*|"
)
_STRATEGIES = ("ort", "recursive", "resolve", "octopus", "ours", "subtree")
_APPLY_OPTION = re.compile(rb"'(?:--whitespace=[a-z-]+|-C\d+|-p\d+|--ignore-(?:whitespace|space-change))'")


def refuse_foreign(repo: Repository) -> None:
    """ToolError when going on would run or write more than commits hold."""
    for step in _read(repo, "rebase-merge/git-rebase-todo").split(b"\n"):
        if not _STEP.fullmatch(step.strip(b" \t\r")):
            raise _refusal(repo, "the rebase under way has a step that is no commit", step)
    strategies = [_read(repo, "rebase-merge/strategy").strip()]
    if (repo.git_dir / "sequencer" / "opts").exists():
        found = repo.git("config", "--file", str(repo.git_dir / "sequencer" / "opts"), "--list", "-z")
        entries = [entry.partition(b"\n") for entry in parsing.fields(found)]
        strategies += [value for key, _, value in entries if key == b"options.strategy"]
    for strategy in strategies:
        if strategy and strategy.decode("latin-1") not in _STRATEGIES:
            raise _refusal(repo, "what is under way uses a strategy git does not have", strategy)
    options = _read(repo, "rebase-apply/apply-opt").split()
    for option in options:
        if not _APPLY_OPTION.fullmatch(option):
            raise _refusal(
                repo, "the am under way applies patches with an option that is none of content", option
            )


def _read(repo: Repository, name: str) -> bytes:
    """A file of the git dir; b"" when it is not there."""
    try:
        return (repo.git_dir / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""


def _refusal(repo: Repository, why: str, found: bytes) -> ToolError:
    said = one_line(masked(repo.git.shorten(parsing.text_of(found.strip()))))[:80]
    return ToolError(
        f"{why} ({said}), and programs a repository names do not run here; "
        "git_integrate(action=abort) goes back, or the user finishes it with plain git"
    )
