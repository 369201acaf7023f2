"""Read a repository: status, diff, log, show, blame. Nothing here changes it."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Sequence

from ...output import MAX_RESULT_BYTES, ToolError, bounded, fenced, masked, one_line, visible
from ...source.quoted_paths import shown
from ..safe import parsing
from ..safe.in_progress import state_of
from ..safe.process import Finished
from ..safe.quoting import all_inside, names, plain_rev
from ..safe.repository import SHALLOW, Repository
from ..safe.status import COUNTS_STASHES, porcelain
from . import nested
from .left_out import elsewhere, refuse_unknown
from .records import LIST_BYTES, Commit, Counts, Log, Status, files
from .since import read_since

PATCH = ("--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")
"""Options every command that can print a patch gets."""

MAX_PATCH_BYTES = 32_000
MAX_READ_BYTES = 4 << 20  # of a patch; the totals in front of it are complete long before
MAX_COMMITS = 200
_TWO_DOTS = re.compile(r"\.{2,3}")
_FULL_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CURSOR = re.compile(r"([0-9a-f]{40,64}(?:\.{2,3}[0-9a-f]{40,64})?)\+(\d{1,9})")
_MAYBE_UNMERGED = re.compile(rb"^(?:0\t0\t|diff --cc |\* Unmerged path )", re.MULTILINE)
_COUNTS = re.compile(rb"(\d+|-)\t(\d+|-)\t")


def status(repo: Repository) -> Status:
    """Branch, named state, next step and changed files."""
    found = porcelain(repo)
    state = state_of(repo, len(found.conflicts))
    counts = Counts(
        staged=len(found.staged),
        unstaged=len(found.unstaged),
        untracked=len(found.untracked),
        conflicts=len(found.conflicts),
        stashes=(found.stashes or 0) if repo.git.version >= COUNTS_STASHES else None,
    )
    conflicts = files(found.conflicts, LIST_BYTES // 2)
    staged, unstaged = files(found.staged, LIST_BYTES // 2), files(found.unstaged, LIST_BYTES // 2)
    untracked = [file.path for file in files(found.untracked, LIST_BYTES // 2)]
    listed = len(conflicts) + len(staged) + len(unstaged) + len(untracked)
    total = counts.staged + counts.unstaged + counts.untracked + counts.conflicts
    own = nested.pointed_out(repo, [entry.path.rstrip(b"/") for entry in found.untracked])
    notes = [note for note in (repo.ignored(), own, nested.submodules(repo), *_circumstances(repo)) if note]
    if found.branch is None and found.head and state.name == "clean":
        notes.append(
            f"HEAD is detached at {found.head[:12]}; git_branch(action=create) keeps what is committed here"
        )
    return Status(
        branch=None if found.branch is None else one_line(found.branch),
        head=found.head,
        upstream=None if found.upstream is None else one_line(found.upstream),
        ahead=found.ahead,
        behind=found.behind,
        state=state.name,
        detail=state.detail,
        next_step=state.next_step(len(found.conflicts)),
        counts=counts,
        conflicts=conflicts,
        staged=staged,
        unstaged=unstaged,
        untracked=untracked,
        left_out=total - listed,
        notes=notes,
    )


def diff(repo: Repository, scope: str, paths: Sequence[str], *, stat_only: bool, context: int) -> str:
    """A patch with totals; whole files up to the cap, the rest named."""
    if not 0 <= context <= 1000:
        raise ToolError(f"context is {context}; 0 to 1000 lines work")
    args = ["diff", *PATCH, "--find-renames", "--numstat"]
    if not stat_only:
        args += ["--patch", f"--unified={context}"]
    where = all_inside(repo.top, paths)
    if len(where) == 2:  # a git that takes the git dir for none would compare two files, links followed
        where.append(where[1])
    between = _scope(repo, scope)
    out = repo.git.attempt(*args, *between, "--", *where, max_bytes=MAX_READ_BYTES)
    if out.code not in (0, None):
        said = repo.git.said(out, args)
        raise ToolError(f"{said}\n{SHALLOW}" if "no merge base" in said and repo.shallow else said)
    title = f"diff {one_line(scope)}"
    missing = refuse_unknown(
        repo,
        where,
        [part for part in _TWO_DOTS.split(between[-1]) if part] if between and scope != "staged" else [],
    )
    if not out.out.strip():
        own = nested.pointed_out(repo, where)
        parts = (f"{title} · no changes{elsewhere(repo, scope, where)}", missing, own, repo.ignored())
        return "\n".join(part for part in parts if part)
    note = "\n".join(part for part in (missing, repo.ignored()) if part)
    return told(
        out.out,
        title,
        cut=out.cut,
        note=note,
        again="git_diff(paths=[...])",
        conflicts=_conflicts(repo, between, where, out),
    )


def _conflicts(
    repo: Repository, between: Sequence[str], where: Sequence[bytes], out: Finished
) -> list[bytes]:
    """The paths in conflict. A second command tells them, and the index's own diffs show when it would find none."""
    if between and _TWO_DOTS.search(between[-1]):
        return []
    if between in ([], ["--cached"]) and not out.cut and not _MAYBE_UNMERGED.search(out.out):
        return []
    rows = parsing.fields(repo.git.attempt("ls-files", "--unmerged", "-z", "--", *where).out)
    return list(dict.fromkeys(row.partition(b"\t")[2] for row in rows))


def _scope(repo: Repository, scope: str) -> list[str]:
    if scope == "worktree":
        return []
    if scope == "staged":
        return ["--cached"]
    match = re.fullmatch(r"(.*?)(\.{2,3})(.*)", scope, re.DOTALL)
    if not match:
        return [verified(repo, scope, what="scope")]
    first, dots, second = match.groups()
    return [
        verified(repo, first or "HEAD", what="scope") + dots + verified(repo, second or "HEAD", what="scope")
    ]


def verified(repo: Repository, rev: str, *, what: str = "rev", kind: str = "commit") -> str:
    """The full id a revision stands for. ToolError names what it could not find."""
    name = plain_rev(rev, what)
    suffix = "" if kind == "any" else "^{" + kind + "}"
    done = repo.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", name + suffix)
    found = done.out.decode("ascii", "replace").strip()
    if done.code or not _FULL_ID.fullmatch(found):
        if name == "HEAD" and repo.git.attempt("symbolic-ref", "--quiet", "HEAD").code == 0:
            raise ToolError(
                "there are no commits on this branch yet; git_stage and git_commit make the first"
            )
        raise ToolError(
            f"{what} {one_line(name)!r} names no {'object' if kind == 'any' else kind} here{_near(repo)}"
        )
    return found


def _near(repo: Repository) -> str:
    out = repo.git(
        "for-each-ref", "--count=6", "--sort=-committerdate", "--format=%(refname:short)", "refs/heads"
    )
    names = [one_line(name) for name in parsing.lines(out)]
    near = f"; branches are {', '.join(names)}" if names else ""
    return f"{near}; {SHALLOW}" if repo.shallow else near


def log(
    repo: Repository,
    *,
    rev: str,
    paths: Sequence[str],
    author: str | None,
    since: str | None,
    grep: str | None,
    limit: int,
    cursor: str | None,
    patch: bool,
) -> Log:
    """Commits, newest first."""
    if not 1 <= limit <= MAX_COMMITS:
        raise ToolError(f"limit is {limit}; 1 to {MAX_COMMITS} commits work")
    moment = read_since(repo.git, since) if since else ""
    plain = not (cursor or paths or author or since or grep or ".." in rev)
    start, skip = (plain_rev(rev), 0) if plain else _start(repo, rev, cursor)
    mark = secrets.token_hex(16)  # nothing in a commit can foresee it, so nothing can forge a record
    form = "%H%x00%P%x00%an <%ae>%x00%aI%x00%D%x00%s%x00%b"
    args = [
        "log",
        *PATCH,
        f"--format=tformat:{mark}{form}{mark}",
    ]
    follow = len(paths) == 1 and not os.path.isdir(repo.top / paths[0])  # through renames works for one file
    # What git skips it does not follow through its renames: such a page is cut out here.
    args += (
        ["--follow", f"--max-count={skip + limit + 1}"]
        if follow
        else [f"--max-count={limit + 1}", f"--skip={skip}"]
    )
    args += [
        f"--{name}={value}" for name, value in (("author", author), ("grep", grep), ("since", since)) if value
    ]
    if author or grep:
        args += ["--extended-regexp", "--regexp-ignore-case"]
    if patch:
        args += ["--patch", "--find-renames", "--diff-merges=first-parent"]
    done = repo.git.attempt(
        *args, "--end-of-options", start, "--", *all_inside(repo.top, paths), max_bytes=MAX_RESULT_BYTES * 50
    )
    parts = done.out.split(mark.encode())
    parts = parts[:1] + parts[1 + 2 * skip :] if follow else parts
    if plain:  # the first commit is where history begins; only a failure is worth another look
        start = parts[1][:64].partition(b"\0")[0].decode() if len(parts) > 1 else verified(repo, rev)
    if done.code not in (0, None):
        raise ToolError(repo.git.said(done, args))
    found = _history(start, skip, limit, parts, cut=done.cut, note=repo.ignored())
    where = all_inside(repo.top, paths)
    if not found.cursor and repo.shallow and _reaches_end(repo, start, found):
        found.notes.append(f"history ends here: {SHALLOW}")
    if not found.commits and not skip:
        refuse_unknown(repo, where, [])
        filters = {"author": author, "since": since, "grep": grep, "paths": names(where)}
        given = ", ".join(
            name if name != "since" else f"since {moment}" for name, value in filters.items() if value
        )
        without = (
            repo.git.attempt("rev-list", "--count", "--end-of-options", start, "--")
            .out.decode("ascii", "replace")
            .strip()
        )
        if own := nested.pointed_out(repo, where):
            found.notes.append(own)
        if given:
            found.notes.append(f"no commit fits {given}; without it {one_line(rev)} has {without or 'some'}")
        elif ".." in rev:
            found.notes.append(f"{one_line(rev)} holds no commit: nothing is on its right side alone")
    return found


def _reaches_end(repo: Repository, start: str, found: Log) -> bool:
    """Whether a listing ended because a shallow clone holds no more; a range mostly ends where it was told to."""
    ends = (repo.common_dir / "shallow").read_text(encoding="ascii", errors="replace").split()
    return ".." not in start or any(commit.commit in ends for commit in found.commits)


def _start(repo: Repository, rev: str, cursor: str | None) -> tuple[str, int]:
    """Where history begins, as ids: a page continues the same history whatever was committed since."""
    if cursor:
        match = _CURSOR.fullmatch(cursor)
        if not match:
            raise ToolError(f"cursor {one_line(cursor[:60])!r} is none that git_log gave")
        return match.group(1), int(match.group(2))
    match = re.fullmatch(r"(.*?)(\.{2,3})(.*)", rev, re.DOTALL)
    if not match:
        return verified(repo, rev), 0
    first, dots, second = match.groups()
    return verified(repo, first or "HEAD") + dots + verified(repo, second or "HEAD"), 0


def _history(start: str, skip: int, limit: int, parts: Sequence[bytes], *, cut: bool, note: str) -> Log:
    commits: list[Commit] = []
    room = MAX_RESULT_BYTES // 2
    headers, patches = parts[1::2], parts[2::2]
    whole = parsing.text_of(b"\n".join(headers).replace(b"\0", b"\n"))
    # One look at all of it is cheaper than one at each field.
    safe = str if _safe(whole) == whole else _safe
    for header, patch in zip(headers, patches, strict=False):
        if len(commits) == limit:
            break
        commit = _commit(header, patch.strip(b"\n"), room, safe)
        size = len(commit.model_dump_json())
        if size > room and commits:
            break
        room -= size
        commits.append(commit)
    more = cut or len(headers) > len(commits)
    notes = [note] if note else []
    if more and len(commits) < limit:
        notes.append(f"{len(commits)} commits fit into one answer; the cursor continues")
    return Log(
        rev=start, commits=commits, cursor=f"{start}+{skip + len(commits)}" if more else None, notes=notes
    )


def _safe(text: str) -> str:
    return masked(visible(text))


def _commit(header: bytes, patch: bytes, room: int, safe: Callable[[str], str]) -> Commit:
    commit, parents, author, date, refs, subject, body = (
        safe(part) for part in parsing.text_of(header).split("\0")
    )
    text = None
    if patch:
        shown_patch = bounded(masked(visible(parsing.text_of(patch))), max(room - 4000, 2000))
        text = fenced(shown_patch, f"commit {commit[:12]}")
    return Commit(
        commit=commit,
        parents=parents.split(),
        author=bounded(author, 300),
        date=date if date[:1].isdigit() else None,
        refs=[ref for ref in refs.split(", ") if ref][:20],
        subject=bounded(subject, 500),
        body=bounded(body.strip(), 2000),
        patch=text,
    )


def _circumstances(repo: Repository) -> list[str]:
    """Facts that explain why something is missing."""
    notes: list[str] = []
    if repo.common_dir != repo.git_dir and "worktrees" in repo.git_dir.parts:
        notes.append(
            f"a linked work tree of the repository in {one_line(os.path.relpath(repo.common_dir.parent, repo.git.root))}"
        )
    if repo.shallow:
        notes.append("shallow clone: history ends early")
    if repo.sparse:
        notes.append("sparse checkout: some tracked files are not on disk")
    if repo.settings.get("extensions.partialclone") is not None:
        notes.append("partial clone: objects that were not fetched cannot be read here")
    return notes


def told(
    out: bytes,
    title: str,
    *,
    cut: bool,
    note: str,
    again: str,
    max_bytes: int = MAX_PATCH_BYTES,
    conflicts: Sequence[bytes] = (),
) -> str:
    """numstat lines and patch as one bounded text: header, fence, what was left out."""
    stats, patch = _split(out)
    open_ = [shown(path) for path in conflicts]  # git gives such a file no line, an empty one, or both
    stats = [line for line in stats if not (line.startswith(b"0\t0\t") and _name(line) in open_)]
    counted = {_name(line) for line in stats}
    uncounted = [name for name in open_ if name not in counted]
    added = sum(int(match[1]) for line in stats if (match := _COUNTS.match(line)) and match[1] != b"-")
    gone = sum(int(match[2]) for line in stats if (match := _COUNTS.match(line)) and match[2] != b"-")
    least = "at least " if cut and not patch else ""
    number = len(stats) + len(uncounted)
    total = f"{least}{number:,} file{'s' * (number != 1)} · +{added:,} -{gone:,}"
    if open_:
        total += f" · in conflict{', not counted' * (uncounted == open_)}: {names(conflicts)}"
    if not number and not patch.strip():
        return "\n".join(part for part in (f"{title} · no changes", note) if part)
    table = [f"+{_count(line, 1)} -{_count(line, 2)}  {_name(line)}" for line in stats]
    table += [f"in conflict  {name}" for name in uncounted]
    kept, left_out = _whole_files(patch, max_bytes)
    body = bounded("\n".join(table), MAX_RESULT_BYTES // 8 if patch else max_bytes)
    if kept:
        body += "\n\n" + kept
    parts = [f"{title} · {total}", fenced(masked(visible(body)), title)]
    if left_out or cut:
        shown_files = max(number - left_out, 0) if not cut else None
        which = (
            f"{shown_files} of {number} files shown"
            if shown_files is not None
            else "only the first files shown"
        )
        parts.append(f"cut: {which}; the others with {again}")
    return "\n".join([*parts, note] if note else parts)


def _split(out: bytes) -> tuple[list[bytes], str]:
    """The numstat lines git prints first, and the patch behind them."""
    stats: list[bytes] = []
    position = 0
    while match := _COUNTS.match(out, position):
        end = out.find(b"\n", match.end())
        end = len(out) if end < 0 else end
        stats.append(out[position:end])
        position = end + 1
    return stats, parsing.text_of(out[position:].lstrip(b"\n"))


def _count(line: bytes, column: int) -> str:
    return line.split(b"\t", 2)[column - 1].decode()


def _name(line: bytes) -> str:
    return one_line(parsing.text_of(line.split(b"\t", 2)[2]))


def _whole_files(patch: str, max_bytes: int) -> tuple[str, int]:
    """As many files' patches as fit, and how many were left out; a first file too big is cut inside."""
    pieces = re.split(r"^(?=diff --)", patch, flags=re.MULTILINE)
    pieces = [piece for piece in pieces if piece]
    kept: list[str] = []
    room = max_bytes
    for piece in pieces:
        size = len(piece.encode())
        if size > room:
            break
        kept.append(piece)
        room -= size
    left_out = len(pieces) - len(kept)
    if pieces and not kept:
        return bounded(pieces[0], max_bytes), left_out - 1
    return "".join(kept), left_out
