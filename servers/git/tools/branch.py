"""Branches: list, create, rename, delete, switch."""

from __future__ import annotations

from ...characters import difference, folded
from ...output import ToolError, one_line
from ..safe import parsing
from ..safe.in_progress import state_of
from ..safe.quoting import plain_rev
from ..safe.repository import Repository
from ..undo.record import alone, incoming
from ..undo.snapshot import head
from ..undo.undo import changing
from .read import verified
from .show import listing

MAX_BRANCHES = 200
_HEADS = "refs/heads/"


def branches(repo: Repository) -> str:
    """Local and remote branches, the latest first."""
    form = "%(HEAD) %(refname:short)%00%(objectname:short)%00%(upstream:short)%00%(upstream:track,nobracket)%00%(contents:subject)"
    out = repo.git(
        "for-each-ref",
        "--sort=-committerdate",
        f"--format={form}",
        f"--count={MAX_BRANCHES + 1}",
        "refs/heads",
        "refs/remotes",
    )
    found, lines = parsing.lines(out), list[str]()
    for line in found[:MAX_BRANCHES]:
        name, commit, upstream, track, subject = (*line.split("\0"), "", "", "", "")[:5]
        tracking = f" [{upstream}{': ' + track if track else ''}]" if upstream else ""
        lines.append(one_line(f"{name} {commit}{tracking} {subject[:80]}"))
    at = head(repo) if lines else "refs/heads/" + _unborn(repo)
    where = at.removeprefix(_HEADS) if at.startswith("refs/") else f"{at[:12]} (detached)"
    more = f"\nonly the {MAX_BRANCHES} latest are listed" if len(found) > MAX_BRANCHES else ""
    return (
        listing(f"HEAD is on {one_line(where)} · {len(lines)} branch{'es' * (len(lines) != 1)}", lines) + more
    )


def create(repo: Repository, name: str, ref: str | None) -> str:
    new = new_name(repo, name)
    start = verified(repo, ref or "HEAD", what="ref")
    repo.writing("branch", "--no-track", "--end-of-options", new, start)
    made = f'created {new} at {start[:12]}; git_branch(action="switch", name="{new}") goes there'
    return made + twin_note(repo, _HEADS, new)


def rename(repo: Repository, name: str, ref: str | None) -> str:
    old, new = existing(repo, name), new_name(repo, ref or "")
    with alone(repo), changing(repo, f"rename branch {old} to {new}", rename=(old, new)) as op:
        repo.writing("branch", "--move", "--end-of-options", old, new)
    return f"renamed {old} to {new} · op={op}{twin_note(repo, _HEADS, new)}"


def delete(repo: Repository, name: str) -> str:
    """Delete a branch; its commits stay recoverable, merged or not."""
    old = existing(repo, name)
    with alone(repo):
        if head(repo) == _HEADS + old:
            raise ToolError(f"{old} is the branch HEAD is on; switch to another one first")
        tip = verified(repo, _HEADS + old)
        merged = repo.git.attempt("merge-base", "--is-ancestor", tip, "HEAD").code == 0
        section = f"branch.{old}."
        saved = [pair for pair in repo.settings.entries if pair[0].startswith(section)]
        with changing(repo, f"delete branch {old} at {tip[:12]}", keep=[tip], branch_config=saved) as op:
            repo.writing("branch", "--delete", "--force", "--quiet", "--end-of-options", old)
    note = "" if merged else "; its commits were not merged into HEAD"
    return f"deleted {old} (was {tip[:12]}){note} · op={op}"


def switch(repo: Repository, name: str | None, ref: str | None) -> str:
    """Go to a branch, or with `ref` alone to a commit without a branch."""
    with alone(repo):
        _refuse_while_busy(repo)
        if name is None:
            target = verified(repo, ref or "", what="ref")
            args, where = ["--detach", target], f"{target[:12]}, on no branch (detached)"
        else:
            args, target, where = _target(repo, name, ref)
        left = _on_no_branch(repo, target)
        with changing(
            repo, f"switch to {where}", files=True, at_risk=incoming(repo, target), keep=[target]
        ) as op:
            done = repo.writing.attempt("switch", "--quiet", "--no-recurse-submodules", *args)
            if done.code or b"error: " in done.err:  # files it could not write are none to git switch
                raise ToolError(repo.git.said(done, ["switch"]))
    told = f"on {where} · op={op}{left}" + (twin_note(repo, _HEADS, args[1]) if args[0] == "--create" else "")
    return "\n".join(part for part in (told, repo.ignored()) if part)


def _on_no_branch(repo: Repository, target: str) -> str:
    """A line that names the commits of a detached HEAD which nothing else leads to; "" when none would be left behind."""
    at = head(repo)
    if at.startswith("refs/"):
        return ""
    kept = ["--branches", "--tags", "--remotes", target]
    out = repo.git.attempt("rev-list", "--count", at, "--not", *kept).out.decode("ascii", "replace").strip()
    if out in ("", "0"):
        return ""
    return (
        f"\nnote: {out} commit{'s' * (out != '1')} up to {at[:12]} {'is' if out == '1' else 'are'} on no branch; "
        f"git_branch(action=create, name=NEW, ref={at[:12]!r}) keeps {'it' if out == '1' else 'them'}"
    )


def _target(repo: Repository, name: str, ref: str | None) -> tuple[list[str], str, str]:
    """Arguments, commit and description for a branch that exists, here or on one remote."""
    if ref is not None:
        raise ToolError(
            "switch takes name (a branch) or ref (a commit), not both; create makes a branch at a ref"
        )
    plain = plain_rev(name, "name")
    if repo.git.attempt("show-ref", "--verify", "--quiet", _HEADS + plain).code == 0:
        return [plain], verified(repo, _HEADS + plain), plain
    if remote := on_one_remote(repo, plain):
        short = remote.removeprefix("refs/remotes/")
        new = new_name(repo, plain)
        return (
            ["--create", new, "--track", remote],
            verified(repo, remote),
            f"{new}, tracking {one_line(short)}",
        )
    if (
        repo.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", plain + "^{commit}").code
        == 0
    ):
        raise ToolError(
            f"{one_line(plain)!r} is no branch but a commit or tag; ref instead of name goes there without a branch, "
            f"git_branch(action=create, name=NEW, ref={one_line(plain)!r}) makes one there"
        )
    existing(repo, plain)
    raise ToolError(f"no branch {one_line(plain)!r}")


def on_one_remote(repo: Repository, name: str) -> str:
    """The full name of the branch that one remote has under this name; "" when none or several have it."""
    out = repo.git("for-each-ref", "--format=%(refname)", "refs/remotes")
    found = [line for line in parsing.lines(out) if line.split("/", 3)[-1] == name]
    return found[0] if len(found) == 1 else ""


def existing(repo: Repository, name: str) -> str:
    """The name of a local branch. ToolError names the branches there are."""
    plain = plain_rev(name, "name")
    if repo.git.attempt("show-ref", "--verify", "--quiet", _HEADS + plain).code:
        out = repo.git(
            "for-each-ref", "--count=10", "--sort=-committerdate", "--format=%(refname:short)", "refs/heads"
        )
        there = ", ".join(map(one_line, parsing.lines(out))) or "none yet"
        raise ToolError(f"there is no branch {one_line(plain)!r}; branches are {there}")
    return plain


def new_name(repo: Repository, name: str) -> str:
    """A valid name for a branch that does not exist yet."""
    plain = plain_rev(name, "name")
    if plain in ("HEAD", "@") or repo.git.attempt("check-ref-format", _HEADS + plain).code:
        raise ToolError(
            f"{one_line(plain)!r} cannot name a branch; letters, digits, '-', '_', '.' and '/' work"
        )
    if repo.git.attempt("show-ref", "--verify", "--quiet", _HEADS + plain).code == 0:
        raise ToolError(f"there is a branch {one_line(plain)!r} already; another name works")
    return plain


def twin_note(repo: Repository, kind: str, name: str) -> str:
    """A line that warns of another name of the same kind that looks like this one; "" when there is none."""
    goal = folded(name)
    found = (
        ref.removeprefix(kind) for ref in parsing.lines(repo.git("for-each-ref", "--format=%(refname)", kind))
    )
    twin = next((other for other in found if other != name and folded(other) == goal), None)
    if twin is None:
        return ""
    return f"\nnote: {name!a} looks like {twin!a}, which is there too, but has at {difference(twin, name)}"


def _refuse_while_busy(repo: Repository) -> None:
    state = state_of(repo)
    if state.name not in ("clean", "bisect"):
        raise ToolError(f"a {state.name} is under way; {state.next_step(0)}")


def _unborn(repo: Repository) -> str:
    return parsing.text_of(repo.git("symbolic-ref", "--short", "HEAD")).strip()
