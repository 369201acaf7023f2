"""Stage and commit. Content goes in unfiltered or not at all; hooks run only where trusted."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...output import ToolError, one_line
from ...source.quoted_paths import shown
from ..safe import parsing, signing, user_config
from ..safe.in_progress import state_of
from ..safe.quoting import all_inside, names
from ..safe.repository import Repository
from ..safe.status import porcelain
from ..undo.record import alone
from ..undo.undo import changing
from .nested import pointed_out

MAX_MESSAGE_BYTES = 100_000
HOOK_TIMEOUT_S = 600.0


def stage(repo: Repository, paths: Sequence[str], *, unstage: bool) -> str:
    """Bring the index to the work tree's content for these paths, or back to HEAD's."""
    where = all_inside(repo.top, paths)
    if not where:
        raise ToolError('git_stage needs paths; ["."] means everything')
    if unstage:
        return _unstage(repo, where)
    with alone(repo):
        return _stage(repo, where)


def _stage(repo: Repository, where: Sequence[bytes]) -> str:
    found = porcelain(repo, where, untracked="all")
    changed = list(dict.fromkeys(e.path for e in (*found.unstaged, *found.conflicts, *found.untracked)))
    nested = [path for path in changed if path.endswith(b"/")]
    changed = [path for path in changed if not path.endswith(b"/")]
    if not changed:
        raise ToolError(_nothing_to_stage(repo, where, found, nested))
    _refuse_filtered(repo, changed)
    _refuse_markers(repo, found)
    what = f"{len(changed):,} file{'s' * (len(changed) != 1)}: {names(changed)}"
    with changing(repo, f"stage {what}") as op:
        args = ["update-index", "-z", "--add", "--remove", "--replace", "--stdin"]
        repo.writing(*args, stdin=b"\0".join(changed) + b"\0")
    told = f"staged {what} · op={op}"
    if idle := [path for path in where if not _concerns(path, (*changed, *nested))]:
        told += f"\nnot staged: {_nothing_to_stage(repo, idle, found, ())}"
    if nested:
        told += f"\nnot staged: {pointed_out(repo, [path.rstrip(b'/') for path in nested])}"
    return told


def _unstage(repo: Repository, where: Sequence[bytes]) -> str:
    with alone(repo):
        staged = [entry.path for entry in porcelain(repo, where).staged]
        if not staged:
            raise ToolError(f"nothing is staged under {names(where)}; git_status lists what is")
        what = f"{len(staged):,} file{'s' * (len(staged) != 1)}: {names(staged)}"
        with changing(repo, f"unstage {what}") as op:
            args = ["reset", "--quiet", "--pathspec-from-file=-", "--pathspec-file-nul"]
            repo.writing(*args, stdin=b"\0".join(where) + b"\0")
    return f"unstaged {what} · op={op}"


def _nothing_to_stage(
    repo: Repository, where: Sequence[bytes], found: parsing.Porcelain, nested: Sequence[bytes]
) -> str:
    if own := pointed_out(repo, [*where, *(path.rstrip(b"/") for path in nested)]):
        return f"nothing to stage here: {own}"
    staged = [entry.path for entry in found.staged]
    rest = [path for path in where if not _concerns(path, staged)]
    missing = [path for path in rest if not os.path.lexists(os.path.join(os.fsencode(repo.top), path))]
    if missing:
        return f"{names(missing)} does not exist and is not tracked; git_status lists what changed"
    if ignored := _ignored(repo, rest):
        return ignored
    already = " (already staged)" if len(rest) < len(where) else ""
    return f"nothing to stage under {names(list(where))}: no changes there{already}"


def _concerns(path: bytes, changed: Sequence[bytes]) -> bool:
    """Whether a path is one of these, or a folder they lie in."""
    return path == b"." or any(one == path or one.startswith(path.rstrip(b"/") + b"/") for one in changed)


def _ignored(repo: Repository, where: Sequence[bytes]) -> str:
    """`x.log is ignored by .gitignore, line 1`; "" where nothing is."""
    git = repo.git.with_env(GIT_LITERAL_PATHSPECS="0")  # which check-ignore cannot do; ./ begins no magic
    asked = b"".join(b"./" + path + b"\0" for path in where)
    rows = parsing.fields(git.attempt("check-ignore", "-v", "-z", "--stdin", stdin=asked).out)
    if not rows:
        return ""
    paths, (source, line) = [path.removeprefix(b"./") for path in rows[3::4]], rows[:2]
    inside = not os.path.isabs(source)
    place = f"{names([source])}, line {os.fsdecode(line)}" if inside else "info/exclude or core.excludesFile"
    return f"{names(paths)} is ignored by {place}; a rule !NAME in a .gitignore makes an exception"


def _refuse_filtered(repo: Repository, paths: Sequence[bytes]) -> None:
    """A blanked filter would put the raw content where a pointer or a ciphertext belongs."""
    configured = {
        key.removeprefix("filter.").rpartition(".")[0]
        for key in repo.settings.names
        if key.startswith("filter.")
    }
    drivers = {"lfs"} - configured if repo.trusted else {"lfs"} | configured
    out = repo.git("check-attr", "-z", "--stdin", "filter", stdin=b"\0".join(paths) + b"\0")
    rows = parsing.fields(out)
    filtered = [
        (path, value.decode("utf-8", "backslashreplace"))
        for path, value in zip(rows[0::3], rows[2::3], strict=False)
        if value.decode("utf-8", "backslashreplace") in drivers
    ]
    if filtered:
        path, driver = filtered[0]
        raise ToolError(
            f"{shown(path)} goes through the filter {one_line(driver)!r}, which does not run in a repository "
            "that is not trusted, so its raw content would be committed; the user can allow it with "
            "understudy-git --trust ROOT, or leave those files out"
        )


def _refuse_markers(repo: Repository, found: parsing.Porcelain) -> None:
    """Staging a file says its conflict is resolved; one that still shows both sides is not."""
    for entry in found.conflicts:
        try:
            fd, _ = repo.beneath.open(os.fsdecode(entry.path))
        except OSError:
            continue
        with open(fd, "rb") as file:
            lines = file.read(8 << 20).split(b"\n")
        starts = {line[:8] for line in lines if line.startswith((b"<<<<<<< ", b">>>>>>> "))}
        if {b"<<<<<<< ", b">>>>>>> "} <= starts:
            raise ToolError(f"{shown(entry.path)} still holds conflict markers; edit it, then stage it")


def commit(repo: Repository, message: str, *, amend: bool, paths: Sequence[str] = ()) -> str:
    """Commit what is staged, and `paths` with it; one line says what came of it."""
    check_message(message, amend=amend)
    if paths:
        where = all_inside(repo.top, paths)
        with alone(repo):
            if porcelain(repo, where, untracked="all").changed:
                _stage(repo, where)
            elif not porcelain(repo, where).staged:
                raise ToolError(_nothing_to_stage(repo, where, porcelain(repo, where), []))
    with alone(repo):
        _refuse_unready(repo, amend=amend)
        user_config.known(repo.git, repo.settings)
        signer = signing.signer(repo, "commit")
        args = ["commit", "--quiet", "--cleanup=whitespace"]
        args += ["--amend"] if amend else []
        args += ["--no-verify"] if not repo.trusted else []
        args += ["--file=-"] if message.strip() else ["--no-edit"]
        timeout_s = HOOK_TIMEOUT_S if repo.trusted and repo.hooks else 120.0
        subject = message.strip().partition("\n")[0][:60]
        with changing(repo, f"{'amend' if amend else 'commit'} {subject}".strip()) as op:
            signer.used_by(repo.hooked)(*args, stdin=message.encode(), timeout_s=timeout_s)
        return _made(repo, op, signer.note, amend=amend)


def _refuse_unready(repo: Repository, *, amend: bool) -> None:
    found = porcelain(repo)
    if found.conflicts:
        conflicted = names([entry.path for entry in found.conflicts])
        raise ToolError(f"conflicts are not resolved in {conflicted}; edit and git_stage them first")
    state = state_of(repo)
    if state.name == "rebase" and not amend:
        raise ToolError("a rebase is under way: git_integrate(action=continue) makes its commits")
    if amend and found.head is None:
        raise ToolError("there is no commit to amend yet; leave amend out")
    if amend and state.name in ("merge", "cherry_pick", "revert"):
        raise ToolError(f"a {state.name} is under way, so there is nothing to amend; commit without amend")
    if not found.staged and not amend and state.name == "clean":
        rest = found.unstaged + found.untracked
        hint = (
            f"git_stage what belongs in it ({names([e.path for e in rest])})"
            if rest
            else "there are no changes"
        )
        raise ToolError(f"nothing is staged: {hint}")


def check_message(message: str, *, amend: bool = False) -> None:
    """ToolError when this can be no message of a commit or a tag."""
    if not message.strip() and not amend:
        raise ToolError("the message is empty; one line that says why the change was made works")
    if "\0" in message:
        raise ToolError("a commit message cannot contain a NUL character")
    try:
        size = len(message.encode())
    except UnicodeEncodeError:
        raise ToolError("the message holds a lone surrogate, which is no text") from None
    if size > MAX_MESSAGE_BYTES:
        raise ToolError(f"the message has {size:,} bytes; at most {MAX_MESSAGE_BYTES:,} work")


def _made(repo: Repository, op: str, signed: str, *, amend: bool) -> str:
    out = repo.git(
        "log", "-1", "--no-patch", "--format=%h%x00%s", "--shortstat", "--no-renames", "--root", "HEAD", "--"
    )
    head, _, stat = parsing.text_of(out).partition("\n")
    commit_id, _, subject = head.partition("\0")
    branch = parsing.text_of(repo.git.attempt("symbolic-ref", "--quiet", "--short", "HEAD").out).strip()
    where = f"on {one_line(branch)}" if branch else "on a detached HEAD"
    told = f"{'amended' if amend else 'committed'} {commit_id} {where}: {one_line(subject)[:200]} · op={op}"
    return "\n".join(part for part in (told, stat.strip(), signed, repo.ignored()) if part)
