"""Linked work trees: list, add, remove. Each is a folder of its own, worked on with repo=."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...output import ToolError, one_line
from ...source.quoted_paths import shown
from ..safe import parsing
from ..safe.quoting import names, plain_rev
from ..safe.repository import Place, Repository
from ..safe.status import porcelain
from ..undo.record import alone
from .branch import new_name, on_one_remote, twin_note
from .read import verified
from .show import listing

FOLDER = ".worktrees"
MAX_LISTED = 100
_REBUILT = frozenset(
    b"__pycache__ .pytest_cache .mypy_cache .ruff_cache .hypothesis .tox .nox .venv venv node_modules dist build "
    b"target .next .gradle .cache".split()
)
"""Ignored folders that tools make anew."""


@dataclass(slots=True)
class _Tree:
    path: Path
    head: str = ""
    branch: str | None = None
    locked: bool = False
    gone: bool = False


def worktrees(repo: Repository) -> str:
    """The work trees of this repository, the main one first."""
    lines: list[str] = []
    for tree in _trees(repo):
        inside = tree.path.is_relative_to(repo.git.root)
        folder = os.path.relpath(tree.path, repo.git.root) if inside else "(outside the root)"
        marks = ["this one"] * (tree.path == repo.top) + ["locked"] * tree.locked + ["gone"] * tree.gone
        at = tree.branch.removeprefix("refs/heads/") if tree.branch else "detached"
        lines.append(f"{shown(os.fsencode(folder))}  {at} {tree.head[:12]}  {', '.join(marks)}".rstrip())
    more = f"\n{len(lines) - MAX_LISTED} more are not listed" if len(lines) > MAX_LISTED else ""
    title = f"{len(lines)} work trees; repo=FOLDER works in one"
    return listing(title, lines[:MAX_LISTED]) + more


def add(repo: Repository, name: str, ref: str | None) -> str:
    """Check a branch out in a folder of its own; one that does not exist is made at `ref`."""
    if repo.settings.unsteady:
        raise ToolError(
            f"{repo.settings.unsteady}, so what a new work tree holds could change the repository's settings; "
            "the user can move them into a .git/config of its own"
        )
    with alone(repo):
        made, at = _checked_out(repo, name, ref)
        folder = _main(repo) / FOLDER / name.replace("/", "-")
        if Path(os.path.realpath(folder)) != folder or os.path.lexists(folder):
            raise ToolError(
                f"{_called(repo, folder)} is there already, or leads through a link; move it away first"
            )
        _hide(repo)
        done = repo.writing.attempt("worktree", "add", "--quiet", *made, "--", str(folder), at)
        if done.code:
            raise ToolError(repo.git.said(done, ["worktree"]))
    told = f'checked {one_line(name)} out in a folder of its own; repo="{_called(repo, folder)}" works there'
    told += twin_note(repo, "refs/heads/", made[-1]) if made else ""
    return "\n".join(part for part in (told, repo.ignored()) if part)


def _checked_out(repo: Repository, name: str, ref: str | None) -> tuple[list[str], str]:
    """Arguments that make the branch where there is none, and what is checked out."""
    plain = plain_rev(name, "name")
    if repo.git.attempt("show-ref", "--verify", "--quiet", f"refs/heads/{plain}").code == 0:
        if ref is not None:
            raise ToolError(
                f"there is a branch {one_line(plain)!r} already; leave ref out, or choose another name"
            )
        return [], plain
    new = new_name(repo, plain)
    if ref is None and (remote := on_one_remote(repo, plain)):
        return ["--track", "-b", new], remote
    return ["--no-track", "-b", new], verified(repo, ref or "HEAD", what="ref")


def remove(repo: Repository, name: str) -> str:
    """Remove a work tree that holds nothing git could not bring back; its branch stays."""
    with alone(repo):
        tree = _named(repo, name)
        called = _called(repo, tree.path)
        if tree.locked:
            raise ToolError(f"{called} is locked; `git worktree unlock` is the user's to say")
        there = tree.path.is_dir()
        git = repo.writing
        if there:
            place = Place(repo.git.root, tree.path).repository()
            _refuse_losing(place, called)
            git = git.with_config(*place.git.config)  # what its own configuration would run does not
        if tree.branch is None and tree.head:
            _refuse_unnamed(repo, called, tree.head)
        done = git.attempt("worktree", "remove", "--", str(tree.path))
        if done.code:
            raise ToolError(repo.git.said(done, ["worktree"]))
    branch = (tree.branch or "").removeprefix("refs/heads/")
    stays = f"; its branch {one_line(branch)} stays, add_worktree brings the folder back" if branch else ""
    return f"removed {called}{stays}"


def _refuse_unnamed(repo: Repository, called: str, head: str) -> None:
    if not repo.git.attempt("for-each-ref", "--count=1", f"--contains={head}").out:
        raise ToolError(
            f"{called} is on no branch, and nothing else holds its commit {head[:12]}: "
            f'git_branch(action="create", name=..., ref="{head[:12]}") keeps it'
        )


def _refuse_losing(place: Repository, called: str) -> None:
    found = porcelain(place, untracked="all")
    changed = [e.path for e in (*found.staged, *found.unstaged, *found.conflicts, *found.untracked)]
    if changed:
        raise ToolError(
            f"{called} has changes that would be lost: {names(changed)}; commit them there (repo=) or take them back first"
        )
    args = ["ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"]
    ignored = [
        path
        for path in parsing.fields(place.git(*args))
        if not _REBUILT & set(path.split(b"/")) and not path.endswith(b".pyc")
    ]
    if ignored:
        raise ToolError(
            f"{called} has ignored files that would be lost: {names(ignored)}; delete_file takes them away undoably, "
            "or move them first"
        )


def _trees(repo: Repository) -> Iterator[_Tree]:
    tree: _Tree | None = None
    for line in repo.git("worktree", "list", "--porcelain").split(b"\n"):
        key, _, value = line.partition(b" ")
        if key == b"worktree":
            tree = _Tree(Path(os.fsdecode(value)))
        elif tree is None:
            continue
        elif key == b"HEAD":
            tree.head = value.decode("ascii", "replace") if value.strip(b"0") else ""
        elif key == b"branch":
            tree.branch = parsing.text_of(value)
        elif key == b"locked":
            tree.locked = True
        elif key == b"prunable":
            tree.gone = True
        elif not line:
            yield tree
            tree = None


def _named(repo: Repository, name: str) -> _Tree:
    """The linked work tree of a branch or folder. ToolError names those there are."""
    linked = list(_trees(repo))[1:]
    for tree in linked:
        folder = os.path.relpath(tree.path, repo.git.root)
        if name in (folder, str(tree.path), tree.path.name, (tree.branch or "").removeprefix("refs/heads/")):
            if tree.path == repo.top:
                raise ToolError(
                    f"{one_line(name)} is the work tree this call works in; call it with the main repo"
                )
            if not tree.path.is_relative_to(repo.git.root):
                raise ToolError(f"the work tree of {one_line(name)} lies outside the root")
            return tree
    there = ", ".join(_called(repo, tree.path) for tree in linked[:10]) or "none but the main one"
    raise ToolError(f"no linked work tree is called {one_line(name)!r}; there are {there}")


def _main(repo: Repository) -> Path:
    """The top of the main work tree, where linked ones get their folder."""
    if repo.common_dir == repo.git_dir or repo.common_dir.name != ".git":
        return repo.top
    return repo.common_dir.parent


def _hide(repo: Repository) -> None:
    """The folder of work trees is no content: this repository's own list of ignored files says so."""
    exclude = repo.common_dir / "info" / "exclude"
    line = f"/{FOLDER}/\n"
    there = exclude.read_text(encoding="utf-8", errors="surrogateescape") if exclude.is_file() else ""
    if line.strip() not in there.split("\n"):
        exclude.parent.mkdir(exist_ok=True)
        start = "" if not there or there.endswith("\n") else "\n"
        with open(exclude, "a", encoding="utf-8") as file:
            file.write(start + line)


def _called(repo: Repository, path: Path) -> str:
    inside = path.is_relative_to(repo.git.root)
    return shown(os.fsencode(os.path.relpath(path, repo.git.root))) if inside else "(outside the root)"
