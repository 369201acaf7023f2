"""Merge, rebase, cherry-pick, revert, and the way out of each when it stops."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...output import ToolError, one_line
from ..safe import parsing, signing, user_config
from ..safe.in_progress import State, state_of
from ..safe.process import Finished
from ..safe.quoting import names, plain_rev
from ..safe.rebase_todo import refuse_foreign
from ..safe.repository import SHALLOW, Repository
from ..safe.signing import Signer
from ..safe.status import porcelain
from ..undo.record import alone, incoming
from ..undo.undo import changing
from .read import verified

TIMEOUT_S = 300.0
MAX_COMMITS = 100
_COMMAND = {
    "merge": "merge",
    "rebase": "rebase",
    "cherry_pick": "cherry-pick",
    "revert": "revert",
    "am": "am",
}


def integrate(repo: Repository, action: str, ref: str | None) -> str:
    """The action of a git_integrate call."""
    with alone(repo):
        state = state_of(repo, len(porcelain(repo, untracked="no").conflicts))
        if action in ("continue", "abort"):
            return _resume(repo, action, state)
        if state.name not in ("clean", "bisect"):
            raise ToolError(f"a {state.name} is under way; {state.next_step(0)}")
        if not ref:
            raise ToolError(f"git_integrate {action} needs ref: a branch, tag or commit")
        user_config.known(repo.git, repo.settings)
        return _start(repo, action, ref)


def _start(repo: Repository, action: str, ref: str) -> str:
    if action in ("merge", "rebase"):
        target = verified(repo, ref, what="ref")
        span, targets = [f"HEAD..{target}"] if action == "merge" else [f"{target}..HEAD"], [target]
        if action == "merge":
            label = one_line(ref)[:100]
            args = ["merge", "--no-edit", "--no-verify-signatures", "-m", f"Merge {label}", target]
        else:
            args = ["rebase", "--no-autostash", target]
    else:
        targets = _commits(repo, action, ref)
        span = ["--no-walk", *targets]
        args = [
            _COMMAND[action],
            *(["--no-edit"] if action == "revert" else []),
            *_mainline(repo, targets),
            *targets,
        ]
    if not repo.trusted and action in ("merge", "rebase"):
        args.insert(1, "--no-verify")
    return _run(
        repo, f"{_COMMAND[action]} {one_line(ref)[:100]}", args, _touched(repo, span, targets), targets
    )


def _commits(repo: Repository, action: str, ref: str) -> list[str]:
    """The commits of a single revision or an A..B range, in the order git applies them."""
    match = re.fullmatch(r"(.+?)\.\.(?!\.)(.+)", plain_rev(ref, "ref"))
    if not match:
        return [verified(repo, ref, what="ref")]
    span = f"{verified(repo, match[1], what='ref')}..{verified(repo, match[2], what='ref')}"
    order = [] if action == "revert" else ["--reverse"]
    commits = repo.git("rev-list", *order, f"--max-count={MAX_COMMITS + 1}", span, "--").decode().split()
    if not 1 <= len(commits) <= MAX_COMMITS:
        raise ToolError(f"{one_line(ref)} holds {len(commits)} commits; 1 to {MAX_COMMITS} work")
    return commits


def _mainline(repo: Repository, commits: Sequence[str]) -> list[str]:
    """A merge commit is taken as what it brought to its first parent."""
    merges = [
        commit for commit in commits if len(repo.git("rev-list", "-1", "--parents", commit, "--").split()) > 2
    ]
    if merges and len(commits) > 1:
        raise ToolError(f"the range holds a merge ({merges[0][:12]}); pick its commits one by one")
    return ["--mainline=1"] if merges else []


def _touched(repo: Repository, span: Sequence[str], trees: Sequence[str]) -> list[bytes]:
    """Every path these commits write, and every path of `trees` the index does not have."""
    out = parsing.fields(repo.git("log", "--format=", "--name-only", "-z", "-m", "--no-renames", *span, "--"))
    for tree in trees[:1]:
        out += incoming(repo, tree)
    return [path for path in dict.fromkeys(out) if path]


def _resume(repo: Repository, action: str, state: State) -> str:
    if state.name in ("clean", "conflict", "bisect"):
        hint = (
            "resolve the conflicts and git_stage them"
            if state.name == "conflict"
            else "there is nothing to go on with"
        )
        raise ToolError(f"no merge, rebase, cherry-pick or revert is under way; {hint}")
    found = porcelain(repo, untracked="no")
    if action == "abort":
        return _run(repo, f"abort {state.name}", [_COMMAND[state.name], "--abort"], [], [])
    if found.conflicts:
        raise ToolError(
            f"conflicts are not resolved in {names([e.path for e in found.conflicts])}; edit and git_stage them first"
        )
    refuse_foreign(repo)
    user_config.known(repo.git, repo.settings)
    step = "--continue"
    if state.name in ("cherry_pick", "revert") and not found.staged:
        step = "--skip"  # the change is there already; git would stop and ask
    if state.name == "merge":
        hooks = [] if repo.trusted else ["--no-verify"]
        return _run(
            repo,
            "continue merge",
            ["commit", "--no-edit", "--quiet", "--cleanup=strip", *hooks],
            [],
            [],
        )
    span = _left(repo, state)
    return _run(repo, f"continue {state.name}", [_COMMAND[state.name], step], span, [])


def _left(repo: Repository, state: State) -> list[bytes]:
    """Paths the commits still to come may write."""
    folder = {"rebase": "rebase-merge/git-rebase-todo"}.get(state.name, "sequencer/todo")
    try:
        todo = (repo.git_dir / folder).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    commits = re.findall(r"^\w+ (?:-\w+ )?([0-9a-f]{7,64})\b", todo, re.MULTILINE)
    known = [
        found
        for commit in commits
        if (found := repo.git.attempt("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")).code == 0
    ]
    ids = [found.out.decode().strip() for found in known]
    return _touched(repo, ["--no-walk", *ids], []) if ids else []


def _run(
    repo: Repository, did: str, args: Sequence[str], at_risk: Sequence[bytes], keep: Sequence[str]
) -> str:
    """Run one step and say where it led: done, stopped at conflicts, or refused."""
    old = repo.git.attempt("rev-parse", "--verify", "--quiet", "HEAD").out.decode().strip()
    with changing(repo, did, files=True, at_risk=at_risk, keep=keep) as op:
        signer = Signer() if "--abort" in args else signing.signer(repo, "commit")
        done = signer.used_by(repo.writing).attempt(*args, timeout_s=TIMEOUT_S)
        conflicts = porcelain(repo, untracked="no").conflicts
        state = state_of(repo, len(conflicts))
        if done.code and state.name == "clean":
            raise ToolError(_refused(repo, done, args))
    signed = ""
    if state.name == "clean":
        new = repo.git("rev-parse", "--verify", "HEAD").decode().strip()
        signed = signer.note if new != old else ""
        if "--abort" in args:
            told = f"{_aborted(did.removeprefix('abort '), done, new)} · op={op}"
        elif new != old:
            told = f"{did}: HEAD {old[:12]} -> {new[:12]} · op={op}"
        elif "--skip" in args:
            told = f"{did}: its change was here already, so it was left out; the files are as they were · op={op}"
        else:
            told = f"{did}: already up to date; nothing changed"
    else:
        told = f"{did}: stopped in {state.name}{' at ' + state.detail if state.detail else ''} · op={op}"
        told += (
            f"\nconflicts: {names([e.path for e in conflicts], 50)}"
            if conflicts and "--abort" not in args
            else f"\n{repo.git.said(done, args)}"
        )
        told += f"\nnext: {state.next_step(len(conflicts))}"
    return "\n".join(part for part in (told, signed, repo.ignored()) if part)


def _aborted(what: str, done: Finished, head: str) -> str:
    """What an abort came to: git leaves alone a HEAD that somebody moved meanwhile."""
    if b"Not rewinding" in done.err:
        return f"aborted the {what}, but HEAD stays at {head[:12]} with the files as they are: it was moved since"
    return f"aborted the {what}: HEAD is at {head[:12]}, index and files are as before it"


def _refused(repo: Repository, done: Finished, args: Sequence[str]) -> str:
    text = repo.git.said(done, args)
    if "unrelated histories" in text and repo.shallow:
        return f"{text}\n{SHALLOW}: what both have in common is not in it"
    if "would be overwritten" in text or "unstaged changes" in text or "uncommitted changes" in text:
        return text + "\ncommit those changes, or git_stash(action=push) them, then try again"
    return text
