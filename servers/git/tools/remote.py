"""Fetch, pull and push: by address, with our own programs at both ends, after the user has said yes.

The address is read from the configuration as data, shown to the user, and given to git as an argument, so
nothing the configuration says about a remote (other programs, proxies, force refspecs) has any effect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...output import ToolError, masked, one_line
from ..safe import parsing
from ..safe.git import Git
from ..safe.quoting import plain_rev
from ..safe.remote_urls import Address, address, reaching_git, without_secrets
from ..safe.repository import Repository
from ..undo.record import alone, incoming
from ..undo.snapshot import head
from ..undo.undo import changing
from .read import verified
from .show import listing

Action = Literal["list", "fetch", "pull", "push"]
TIMEOUT_S = 600.0
MAX_LISTED = 100
MAX_SENT = 8  # commits that a question shows

_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_RECEIVE = (
    "git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.alternateRefsCommand=true -c gc.auto=0 "
    "-c receive.autogc=false -c receive.fsckObjects=false -c transfer.fsckObjects=false -c receive.denyCurrentBranch=refuse receive-pack"
)
"""How a repository on this machine takes a push: without its hooks, and without touching its work tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One remote operation, decided in full before the user is asked."""

    action: Action
    remote: str
    url: str
    address: Address
    refspecs: tuple[str, ...]
    ref: str  # full name of the local ref that is sent or brought forward; "" for a plain fetch
    there: str  # full name of the branch or tag on the other side; "" for a plain fetch
    repo: str  # the folder of the repository that is meant
    top: Path
    sent: tuple[str, ...]  # the first commits a push would send, one line each
    lease: str | None  # what the other side must still have for a forced push; None when not forced

    @property
    def question(self) -> str:
        """What the user is asked, in one line; what would be sent stands in `sent`."""
        where = (
            f"{self.remote} at {self.address.shown}{' (outside the root)' if self.address.outside else ''}"
        )
        inside = "" if self.repo == "." else f"In {self.repo}: "
        if self.action == "push":
            force = " and REPLACE what is there" if self.lease is not None else ""
            return f"{inside}Push {_short(self.ref)} to {_short(self.there)} on {where}{force}?"
        what = _short(self.there) if self.there else "its branches"
        return f"{inside}{self.action.capitalize()} {what} from {where}?"


def plan(repo: Repository, action: Action, remote: str | None, ref: str | None, *, force: bool) -> Plan:
    """What a call would do. ToolError when it cannot be done safely or at all."""
    name = _remote(repo, remote)
    if force and action != "push":
        raise ToolError("force is for push alone")
    url = _url(repo, name, action)
    found = address(repo, url)
    refspecs, ours, there = _refs(repo, action, name, ref)
    lease = None
    if force:
        tracking = f"refs/remotes/{name}/{there.removeprefix(_HEADS)}"
        done = repo.git.attempt("rev-parse", "--verify", "--quiet", tracking)
        if done.code or not there.startswith(_HEADS):
            raise ToolError(f"a forced push needs to know what {_short(there)} is there; fetch first")
        lease = done.out.decode().strip()
    return Plan(
        action=action,
        remote=name,
        url=url,
        address=found,
        refspecs=refspecs,
        ref=ours,
        there=there,
        sent=_commits_sent(repo, name, ours, there) if action == "push" else (),
        repo=repo.name,
        top=repo.top,
        lease=lease,
    )


def _commits_sent(repo: Repository, name: str, ours: str, there: str) -> tuple[str, ...]:
    """What the other side does not have, as far as the last fetch tells; else the newest there are."""
    tracking = f"refs/remotes/{name}/{there.removeprefix(_HEADS)}"
    known = repo.git.attempt("rev-parse", "--verify", "--quiet", tracking).code == 0
    span = f"{tracking}..{ours}" if known else ours
    args = ["log", "--format=%h %s", f"--max-count={MAX_SENT + 1}", "--end-of-options", span, "--"]
    found = [masked(one_line(line))[:120] for line in parsing.lines(repo.git.attempt(*args).out)]
    return (*found[:MAX_SENT], *(["..."] if len(found) > MAX_SENT else []))


def carry_out(repo: Repository, planned: Plan) -> str:
    """Do what was planned."""
    with alone(repo):
        if address(repo, planned.url) != planned.address:
            raise ToolError("the remote's address was changed since the question was asked; try again")
        if planned.action == "push":
            return _push(repo, planned)
        before = _tracking(repo, planned.remote)
        _fetch(repo, planned)
        told = _moved(planned, before, _tracking(repo, planned.remote))
        return told if planned.action == "fetch" else f"{told}\n{_forward(repo, planned)}"


def remotes(repo: Repository) -> str:
    """Names and addresses."""
    lines: list[str] = []
    for name in _names(repo):
        url = repo.settings.get(f"remote.{name}.url") or ""
        push = repo.settings.get(f"remote.{name}.pushurl")
        text = f"{name}  {url}" + (f"  (push: {push})" if push else "")
        lines.append(without_secrets(text)[:500])
    note = repo.ignored()
    if not lines:
        return "\n".join(part for part in ("no remotes are configured", note) if part)
    return listing(f"{len(lines)} remotes", lines[:MAX_LISTED], note)


def _names(repo: Repository) -> list[str]:
    found = [key for key in repo.settings.names if key.startswith("remote.") and key.endswith(".url")]
    return [key.removeprefix("remote.").removesuffix(".url") for key in found]


def _remote(repo: Repository, given: str | None) -> str:
    known = _names(repo)
    if not known:
        raise ToolError("no remotes are configured; the user adds one with `git remote add origin URL`")
    if given is None:
        at = head(repo)
        own = repo.settings.get(f"branch.{at.removeprefix(_HEADS)}.remote")
        choice = (
            own if own in known else "origin" if "origin" in known else known[0] if len(known) == 1 else None
        )
        if choice is None:
            raise ToolError(f"which remote? there are {', '.join(map(one_line, known[:10]))}")
        given = choice
    if given not in known:
        raise ToolError(
            f"there is no remote {one_line(given)[:80]!r}; there are {', '.join(map(one_line, known[:10]))} "
            "(addresses are not taken here)"
        )
    if given.startswith("-") or repo.git.attempt("check-ref-format", f"refs/remotes/{given}/x").code:
        raise ToolError(f"the remote name {one_line(given)[:80]!r} cannot be used; the user can rename it")
    return given


def _url(repo: Repository, name: str, action: Action) -> str:
    urls = repo.settings.all(f"remote.{name}.url")
    if action == "push":
        urls = repo.settings.all(f"remote.{name}.pushurl") or urls
    if len(urls) > 1 and action == "push":
        raise ToolError(
            f"{name} has {len(urls)} push addresses; the user pushes to several at once with plain git"
        )
    return urls[0]


def _refs(repo: Repository, action: Action, name: str, ref: str | None) -> tuple[tuple[str, ...], str, str]:
    """Refspecs, our ref and theirs."""
    at = head(repo)
    branch = at.removeprefix(_HEADS) if at.startswith(_HEADS) else None
    if action == "push":
        ours = _sent(repo, ref, branch)
        there = ours
        if (
            ours.startswith(_HEADS)
            and repo.settings.get(f"branch.{ours.removeprefix(_HEADS)}.remote") == name
        ):
            there = repo.settings.get(f"branch.{ours.removeprefix(_HEADS)}.merge") or ours
        _check_ref(repo, there)
        return (f"{ours}:{there}",), ours, there
    if action == "pull":
        if branch is None:
            raise ToolError(
                "HEAD is detached, so there is no branch to bring forward; switch to one, or fetch"
            )
        there = _HEADS + plain_rev(ref, "ref") if ref else repo.settings.get(f"branch.{branch}.merge") or at
    elif ref:
        there = _HEADS + plain_rev(ref, "ref")
    else:
        return _safe_refspecs(repo, name), "", ""
    _check_ref(repo, there)
    return (
        (f"+{there}:refs/remotes/{name}/{there.removeprefix(_HEADS)}",),
        at if action == "pull" else "",
        there,
    )


def _sent(repo: Repository, ref: str | None, branch: str | None) -> str:
    if ref is None:
        if branch is None:
            raise ToolError("HEAD is detached; git_remote push needs ref: a branch or a tag")
        ref = branch
    plain = plain_rev(ref, "ref")
    for full in (_HEADS + plain, _TAGS + plain):
        if repo.git.attempt("show-ref", "--verify", "--quiet", full).code == 0:
            return full
    raise ToolError(f"there is no branch or tag {one_line(plain)!r} to push, or it has no commits yet")


def _check_ref(repo: Repository, ref: str) -> None:
    if not ref.startswith((_HEADS, _TAGS)) or repo.git.attempt("check-ref-format", ref).code:
        raise ToolError(f"{one_line(ref)[:100]!r} is no branch or tag name")


def _safe_refspecs(repo: Repository, name: str) -> tuple[str, ...]:
    """The configured ones that only write tracking branches of this remote; else all its branches."""
    shape = re.compile(rf"\+?refs/heads/[^:\s]+:refs/remotes/{re.escape(name)}/[^:\s]+")
    own = [spec for spec in repo.settings.all(f"remote.{name}.fetch") if shape.fullmatch(spec)]
    return tuple(own[:50]) or (f"+refs/heads/*:refs/remotes/{name}/*",)


def _fetch(repo: Repository, planned: Plan) -> None:
    args = [
        "fetch",
        "--quiet",
        "--no-recurse-submodules",
        "--no-write-fetch-head",
        "--no-auto-maintenance",
        "--no-prune",
    ]
    args += ["--upload-pack=git-upload-pack", "--end-of-options", planned.url, *planned.refspecs]
    reaching_git(repo)(*args, timeout_s=TIMEOUT_S)


def _push(repo: Repository, planned: Plan) -> str:
    args = ["push", "--porcelain", "--no-recurse-submodules", "--no-follow-tags", "--no-signed"]
    args += ["--no-verify"] if not repo.trusted else []
    args += [f"--receive-pack={_RECEIVE if planned.address.local else 'git-receive-pack'}"]
    args += [f"--force-with-lease={planned.there}:{planned.lease}"] if planned.lease is not None else []
    git = reaching_git(repo)
    done = git.attempt(*args, "--end-of-options", planned.url, *planned.refspecs, timeout_s=TIMEOUT_S)
    if done.code:
        raise ToolError(_push_refused(git, planned, done.out + done.err, git.said(done, ["push"])))
    note = ""
    if planned.there.startswith(_HEADS):
        note = _remember(repo, planned)
    sent = verified(repo, planned.ref)
    return f"pushed {_short(planned.ref)} ({sent[:12]}) to {planned.remote}, {_short(planned.there)}{note}"


def _push_refused(git: Git, planned: Plan, out: bytes, said: str) -> str:
    text = git.shorten(one_line(masked(parsing.text_of(out))))[:600]
    if "non-fast-forward" in text or "fetch first" in text:
        return (
            f"{planned.remote} has commits on {_short(planned.there)} that are not here: git_remote(action=fetch), "
            f"then git_integrate the branch {planned.remote}/{_short(planned.there)}, then push again"
        )
    if "stale info" in text:
        return f"{_short(planned.there)} on {planned.remote} is not what it was at the last fetch; fetch and look first"
    return said if "did not do it:" in said and len(said) > 30 else f"the push was refused: {text}"


def _remember(repo: Repository, planned: Plan) -> str:
    """Tracking branch and upstream as a push by name would leave them."""
    tracking = f"refs/remotes/{planned.remote}/{planned.there.removeprefix(_HEADS)}"
    repo.writing("update-ref", "-m", "push", "--create-reflog", tracking, verified(repo, planned.ref))
    branch = planned.ref.removeprefix(_HEADS)
    if repo.settings.get(f"branch.{branch}.merge") is None:
        repo.writing("config", "--local", f"branch.{branch}.remote", planned.remote)
        repo.writing("config", "--local", f"branch.{branch}.merge", planned.there)
        return "; it is the upstream now"
    return ""


def _tracking(repo: Repository, name: str) -> dict[str, str]:
    out = repo.git("for-each-ref", "--format=%(refname) %(objectname)", f"refs/remotes/{name}", _TAGS)
    refs = dict(line.rsplit(" ", 1) for line in parsing.lines(out))
    return {ref: oid for ref, oid in refs.items() if ref != f"refs/remotes/{name}/HEAD"}


def _moved(planned: Plan, before: dict[str, str], after: dict[str, str]) -> str:
    changed = [ref for ref in after if before.get(ref) != after[ref]]
    lines = [
        f"{one_line(ref.removeprefix('refs/'))}  {before[ref][:12] if ref in before else '(new)'} -> {after[ref][:12]}"
        for ref in changed
    ]
    title = f"fetched from {planned.remote}: {len(changed)} refs moved"
    rest = f"{len(lines) - MAX_LISTED} more are not listed" if len(lines) > MAX_LISTED else ""
    return listing(title, lines[:MAX_LISTED], rest)


def _forward(repo: Repository, planned: Plan) -> str:
    """Fast-forward the branch; anything else is a decision, not a pull."""
    branch = f"{planned.remote}/{_short(planned.there)}"
    target = verified(repo, f"refs/remotes/{branch}")
    if head(repo) != planned.ref:
        raise ToolError("the branch was switched meanwhile; what was fetched stays, nothing else changed")
    born = repo.git.attempt("rev-parse", "--verify", "--quiet", "HEAD").code == 0
    ours = verified(repo, "HEAD") if born else None
    if ours == target or (ours and repo.git.attempt("merge-base", "--is-ancestor", target, ours).code == 0):
        return f"{_short(planned.ref)} already holds {branch}"
    if ours and repo.git.attempt("merge-base", "--is-ancestor", ours, target).code:
        return (
            f"not merged: {_short(planned.ref)} and {branch} have both moved on; "
            f'git_integrate(action="merge" or "rebase", ref="{branch}") joins them'
        )
    files = incoming(repo, target)
    with changing(repo, f"pull {branch}", files=True, at_risk=files, keep=[target]) as op:
        repo.writing("merge", "--ff-only", "--quiet", "--no-verify-signatures", target)
    return f"{_short(planned.ref)} -> {target[:12]} · op={op}"


def _short(ref: str) -> str:
    return one_line(ref.removeprefix(_HEADS).removeprefix(_TAGS))[:100]
