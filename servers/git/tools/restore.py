"""Bring files back from the index or a commit, and put work aside in the stash."""

from __future__ import annotations

from collections.abc import Sequence

from ...output import ToolError, one_line
from ..safe import parsing
from ..safe.parsing import INTENT
from ..safe.quoting import all_inside, names
from ..safe.repository import Repository
from ..safe.status import porcelain
from ..undo import worktree_files
from ..undo.record import alone, incoming
from ..undo.snapshot import entries
from ..undo.undo import changing
from .nested import pointed_out
from .read import PATCH, told, verified
from .show import listing

MAX_LISTED = 100


def restore(
    repo: Repository, paths: Sequence[str], *, source: str | None, staged: bool, worktree: bool | None
) -> str:
    """Overwrite files with what the index or `source` holds; what they held is kept for git_undo.

    Without `worktree` said, the work tree is meant unless the index is.
    """
    worktree = not staged if worktree is None else worktree
    where = all_inside(repo.top, paths)
    if not where:
        raise ToolError('git_restore needs paths; ["."] means everything')
    if not (staged or worktree):
        raise ToolError("nothing to restore: set staged, worktree or both")
    with alone(repo):
        tree = verified(repo, source or "HEAD", what="source") if source or staged else None
        _refuse_unknown(repo, where, tree)
        new: list[bytes] = []
        if tree and worktree:
            missing = set(incoming(repo, tree))
            rows = parsing.fields(repo.git("ls-tree", "-r", "-z", "--full-tree", tree, "--", *where))
            files = [row.partition(b"\t")[2] for row in rows if not row.startswith(b"160000")]
            new = [path for path in files if path in missing]
        did = f"restore {names(where, 3)} from {one_line(source) if source else 'HEAD' if staged else 'the index'}"
        args = [
            "restore",
            "--quiet",
            "--no-recurse-submodules",
            "--pathspec-from-file=-",
            "--pathspec-file-nul",
        ]
        args += ["--staged"] * staged + ["--worktree"] * worktree + ([f"--source={tree}"] if tree else [])
        if worktree and not tree:
            args.append("--ignore-unmerged")
        before = porcelain(repo, where)
        if worktree:
            _refuse_nested(repo, [*new, *(entry.path for entry in (*before.unstaged, *before.conflicts))])
        with changing(repo, did, files=worktree, at_risk=new, watch=new) as op:
            repo.writing(*args, stdin=b"\0".join(where) + b"\0")
        told_conflicts = (
            ""
            if not before.conflicts or tree
            else f"\nstill conflicted: {names([e.path for e in before.conflicts])}"
        )
    return "\n".join(
        part
        for part in (f"{did[:1].upper()}{did[1:]}: done · op={op}{told_conflicts}", repo.ignored())
        if part
    )


def _refuse_nested(repo: Repository, paths: Sequence[bytes]) -> None:
    """Where a folder stands for a file git would remove all of it, a repository in there too."""
    links = {path for path, entry, _ in entries(repo) if entry.startswith("160000")}
    for path in paths:
        if path not in links and (inner := worktree_files.repository_in(repo.beneath, path)):
            raise ToolError(
                f"{names([inner])} is a repository of its own that stands in the way of {names([path])}; "
                "move it away first"
            )


def _refuse_unknown(repo: Repository, where: Sequence[bytes], tree: str | None) -> None:
    """git's own message for a path it does not know, or was told to leave alone, is a riddle."""
    for path in where[:50]:
        if path == b".":
            continue
        if rows := parsing.fields(repo.git("ls-files", "-t", "-z", "--", path)):
            if all(row.startswith(b"S ") for row in rows):
                raise ToolError(_left_alone(repo, path))
            continue
        if tree and repo.git("ls-tree", "-r", "-z", "--name-only", "--full-tree", tree, "--", path):
            continue
        raise ToolError(
            f"{names([path])} is not known to git{' at that source' if tree else ''}, so there is nothing to bring "
            f"back; {pointed_out(repo, [path]) or 'git_log(paths=[...]) shows where it existed'}"
        )


def _left_alone(repo: Repository, path: bytes) -> str:
    name = names([path])
    if repo.sparse:
        return (
            f"{name} lies outside the sparse checkout, so it is not on disk; git_show(path=...) reads it, and "
            "`git sparse-checkout add FOLDER` brings its folder to disk"
        )
    return f"git was told to leave {name} alone; `git update-index --no-skip-worktree {name}` lifts that"


def stash(repo: Repository, action: str, index: int, message: str | None, *, untracked: bool) -> str:
    """The action of a git_stash call; `index` counts from the newest."""
    if action == "list":
        return _list(repo)
    if action == "push":
        return _push(repo, message, untracked=untracked)
    stashes = _stashes(repo)
    if not 0 <= index < len(stashes):
        there = f"0 to {len(stashes) - 1} exist" if stashes else "the stash is empty"
        raise ToolError(f"there is no stash {index}; {there}")
    commit, subject = stashes[index]
    if action == "show":
        out = repo.git.attempt(
            "stash", "show", "--include-untracked", "--numstat", "--patch", *PATCH, f"stash@{{{index}}}"
        )
        if out.code:
            raise ToolError(repo.git.said(out, ["stash"]))
        return told(out.out, f"stash {index}", cut=out.cut, note="", again="git_stash(action=apply)")
    return _change(repo, action, index, commit, subject)


def _push(repo: Repository, message: str | None, *, untracked: bool) -> str:
    if message and ("\0" in message or len(message) > 1000):
        raise ToolError("a stash message is one short line without NUL characters")
    with alone(repo):
        found = porcelain(repo, untracked="all" if untracked else "no")
        if found.head is None:
            raise ToolError(
                "there are no commits on this branch yet, so nothing can be put aside; commit first"
            )
        if found.conflicts:
            raise ToolError(
                f"conflicts in {names([e.path for e in found.conflicts])} cannot be stashed; resolve them first"
            )
        if announced := [entry.path for entry in found.unstaged if entry.change == INTENT]:
            raise ToolError(
                f"{names(announced)}: only announced (git add -N), which git cannot stash; git_stage first"
            )
        new = [entry.path for entry in found.untracked]
        if not (found.staged or found.unstaged or new):
            hint = "" if untracked else " (untracked=true takes new files along)"
            raise ToolError(f"there are no changes to put aside{hint}")
        with changing(repo, "stash push", files=True, at_risk=new, watch=new) as op:
            args = ["stash", "push", "--quiet"] + ["--include-untracked"] * untracked
            git = repo.writing.with_env(GIT_LITERAL_PATHSPECS="0")  # it hands ":/" to git clean
            git(*args, f"--message={message or 'put aside by git_stash'}")
    count = len({entry.path for entry in (*found.staged, *found.unstaged, *found.untracked)})
    return f"put {count:,} changed file{'s' * (count != 1)} aside as stash 0 · op={op}"


def _change(repo: Repository, action: str, index: int, commit: str, subject: str) -> str:
    """pop, apply or drop one stash."""
    name = f"stash@{{{index}}}"
    with alone(repo):
        if action == "drop":
            with changing(repo, f"stash drop {index} ({subject[:60]})") as op:
                repo.writing("stash", "drop", "--quiet", name)
            return f"dropped stash {index} · op={op}"
        touched = parsing.fields(repo.git("diff-tree", "-r", "--name-only", "-z", f"{commit}^1", commit))
        new: list[bytes] = []
        if repo.git.attempt("rev-parse", "--verify", "--quiet", f"{commit}^3").code == 0:
            new = parsing.fields(repo.git("ls-tree", "-r", "-z", "--name-only", "--full-tree", f"{commit}^3"))
        with changing(repo, f"stash {action} {index}", files=True, at_risk=touched + new, watch=new) as op:
            done = repo.writing.attempt("stash", action, "--quiet", name)
            conflicts = porcelain(repo, untracked="no").conflicts if done.code else []
            if done.code and not conflicts:
                raise ToolError(repo.git.said(done, ["stash"]))
    if conflicts:
        left = " The stash is kept." if action == "pop" else ""
        return f"applied with conflicts in {names([e.path for e in conflicts])}: resolve them, then git_stage.{left} op={op}"
    return f"{'popped' if action == 'pop' else 'applied'} stash {index} · op={op}"


def _stashes(repo: Repository) -> list[tuple[str, str]]:
    done = repo.git.attempt("reflog", "show", "-z", "--format=%H%n%gs", "refs/stash", "--")
    rows = [record.partition(b"\n") for record in parsing.fields(done.out)] if done.code == 0 else []
    return [(oid.decode(), one_line(parsing.text_of(subject))) for oid, _, subject in rows]


def _list(repo: Repository) -> str:
    stashes = _stashes(repo)
    if not stashes:
        return "the stash is empty"
    lines = [f"{number}: {commit[:12]} {subject[:200]}" for number, (commit, subject) in enumerate(stashes)]
    more = f"\n{len(stashes) - MAX_LISTED} older ones are not listed" if len(stashes) > MAX_LISTED else ""
    return listing(f"{len(stashes)} stashes, newest first", lines[:MAX_LISTED]) + more
