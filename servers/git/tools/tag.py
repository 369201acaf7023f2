"""Tags: list, make, delete."""

from __future__ import annotations

from ...output import ToolError, masked, one_line, visible
from ..safe import parsing, signing, user_config
from ..safe.quoting import plain_rev
from ..safe.repository import Repository
from ..safe.signing import Signer
from ..undo.record import alone
from .branch import twin_note
from .commit import check_message
from .read import verified
from .show import listing

MAX_TAGS = 200
_TAGS = "refs/tags/"
_KEPT = "refs/understudy/tags/"


def tags(repo: Repository) -> str:
    """The tags, the latest first."""
    form = "%(refname:short)%00%(objecttype)%00%(objectname:short)%00%(*objectname:short)%00%(creatordate:short)%00%(contents:subject)"
    args = ["--sort=-creatordate", f"--format={form}", f"--count={MAX_TAGS + 1}", "refs/tags"]
    found, lines = parsing.lines(repo.git("for-each-ref", *args)), list[str]()
    for line in found[:MAX_TAGS]:
        name, kind, oid, commit, date, subject = (*line.split("\0"), *[""] * 5)[:6]
        plain = kind != "tag"
        lines.append(
            one_line(
                f"{name} {oid if plain else commit} {date} {'' if plain else 'annotated: '}{subject[:80]}"
            )
        )
    if not lines:
        return 'there are no tags; git_branch(action="tag", name=...) makes one'
    more = f"\nonly the {MAX_TAGS} latest are listed" if len(found) > MAX_TAGS else ""
    return listing(f"{len(lines)} tags", lines) + more


def tag(repo: Repository, name: str, ref: str | None, message: str | None) -> str:
    """Make a tag at a commit: annotated when it has a message."""
    new = _new_name(repo, name)
    at = verified(repo, ref or "HEAD", what="ref", kind="any")
    signer = Signer()
    args, text = ["tag", "--no-sign"], b""
    if message and message.strip():
        check_message(message)
        user_config.known(repo.git, repo.settings)
        signer = signing.signer(repo, "tag")
        text = message.encode()
        args = ["tag", "--sign" if signer.works else "--annotate", "--cleanup=whitespace", "--file=-"]
    with alone(repo):
        signer.used_by(repo.writing)(*args, "--end-of-options", new, at, stdin=text)
    told = f"tagged {at[:12]} as {new}" + (", annotated" if text else "")
    told += twin_note(repo, _TAGS, new)
    return "\n".join(part for part in (told, signer.note) if part)


def delete(repo: Repository, name: str) -> str:
    """Delete a tag; what it named is kept for git_undo."""
    old = plain_rev(name, "name").removeprefix(_TAGS)
    done = repo.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", _TAGS + old)
    if done.code:
        near = parsing.lines(
            repo.git("for-each-ref", "--count=10", "--sort=-creatordate", "--format=%(refname:short)", _TAGS)
        )
        there = ", ".join(map(one_line, near)) or "none"
        raise ToolError(f"there is no tag {one_line(old)!r}; tags are {there}")
    oid = done.out.decode().strip()
    with alone(repo):
        repo.writing("update-ref", f"{_KEPT}{oid}", oid)  # else an annotated tag would be gone for good
        repo.writing("tag", "--delete", old)
    name = masked(visible(old))
    return f'deleted tag {name} (was {oid[:12]}); git_branch(action="tag", name="{name}", ref="{oid}") makes it again'


def _new_name(repo: Repository, name: str) -> str:
    plain = plain_rev(name, "name").removeprefix(_TAGS)
    if plain == "HEAD" or repo.git.attempt("check-ref-format", _TAGS + plain).code:
        raise ToolError(f"{one_line(plain)!r} cannot name a tag; letters, digits, '-', '_', '.' and '/' work")
    if repo.git.attempt("show-ref", "--verify", "--quiet", _TAGS + plain).code == 0:
        raise ToolError(f"there is a tag {one_line(plain)!r} already; delete_tag takes it away")
    return plain
