"""One commit, one file of the past, or who wrote which line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ...output import MAX_RESULT_BYTES, ToolError, bounded, fenced, masked, one_line, visible
from ...source.quoted_paths import shown
from ..safe import parsing
from ..safe.quoting import inside, plain_rev
from ..safe.repository import Repository
from .nested import pointed_out
from .read import MAX_PATCH_BYTES, MAX_READ_BYTES, PATCH, told, verified

MAX_BLAME_LINES = 400
_BLAME_DEFAULT_LINES = 200
_LFS = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?size (\d+)\n")
_BLAME_HEAD = re.compile(rb"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?")


def show(repo: Repository, rev: str, path: str | None, *, stat_only: bool) -> str:
    """A commit with its patch, or the content of a path at that commit."""
    if path is not None:
        return _show_path(repo, rev, inside(repo.top, path))
    commit = verified(repo, rev)
    form = "commit %H%nparents %P%nauthor %an <%ae>%ndate %aI%ncommitter %cn <%ce> %cI%nrefs %D%n%n%B"
    header = parsing.text_of(repo.git("log", "-1", "--no-patch", f"--format={form}", commit, "--"))
    args = [
        "diff-tree",
        "-r",
        "--root",
        "--no-commit-id",
        "-M",
        "--numstat",
        *PATCH,
        "--diff-merges=first-parent",
    ]
    args += [] if stat_only else ["--patch"]
    done = repo.git.attempt(*args, commit, "--", max_bytes=MAX_READ_BYTES)
    if done.code not in (0, None):
        raise ToolError(repo.git.said(done, args))
    title = f"show {one_line(rev)}"
    about = fenced(bounded(masked(visible(header.strip())), MAX_RESULT_BYTES // 8), f"commit {commit[:12]}")
    again = f'git_show(rev="{commit[:12]}", path=...) or git_diff(scope="{commit[:12]}^..{commit[:12]}", paths=[...])'
    changes = told(
        done.out, title, cut=done.cut, note=repo.ignored(), again=again, max_bytes=MAX_PATCH_BYTES * 3 // 4
    )
    return "\n".join(part for part in (_tag(repo, rev), about, changes) if part)


def _tag(repo: Repository, rev: str) -> str:
    """What an annotated tag says itself, before the commit it stands for; "" for other revisions."""
    name = plain_rev(rev)
    found = repo.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{tag}")
    if found.code:
        return ""
    said = repo.git("show", "--no-patch", "--format=", "--date=iso-strict", found.out.decode().strip())
    text = bounded(masked(visible(parsing.text_of(said).strip())), MAX_RESULT_BYTES // 8)
    return fenced(text, f"tag {one_line(name)}")


def _show_path(repo: Repository, rev: str, path: bytes) -> str:
    commit = verified(repo, rev)
    name = shown(path)
    where = f"{name} at {one_line(rev)} ({commit[:12]})"
    if path == b".":
        return _folder(repo, f"{commit}^{{tree}}", where)
    rows = parsing.fields(repo.git("ls-tree", "-z", "--full-tree", commit, "--", path))
    if not rows:
        own = pointed_out(repo, [path])
        raise ToolError(
            f"{name} does not exist at {one_line(rev)}; {own or 'git_log(paths=[...]) shows where it did'}"
        )
    mode, kind, oid = rows[0].partition(b"\t")[0].decode().split()
    if kind == "tree":
        return _folder(repo, oid, where)
    if kind == "commit":
        there = pointed_out(repo, [path]) or "it is not checked out here"
        return f"{where} · a submodule at commit {oid}; {there}"
    done = repo.git.attempt("cat-file", "blob", oid, max_bytes=MAX_READ_BYTES)
    if done.code not in (0, None):
        raise ToolError(repo.git.said(done, ["cat-file"]))
    size = f"more than {len(done.out):,}" if done.cut else f"{len(done.out):,}"
    if b"\0" in done.out[:8000]:
        return f"{where} · {size} bytes, binary; its content is not shown"
    if pointer := _LFS.match(done.out):
        return f"{where} · a Git LFS pointer to {int(pointer[1]):,} bytes, which are not in this repository"
    text = masked(visible(parsing.text_of(done.out)))
    what = "a link to" if mode == "120000" else f"{size} bytes"
    return f"{where} · {what}\n{fenced(bounded(text, MAX_PATCH_BYTES), where)}"


def _folder(repo: Repository, tree: str, where: str) -> str:
    rows = parsing.fields(repo.git("ls-tree", "-z", "--full-tree", tree))
    lines: list[str] = []
    for row in rows:
        meta, _, name = row.partition(b"\t")
        lines.append(shown(name) + ("/" if meta.split()[1] == b"tree" else ""))
    return f"{where} · {len(rows):,} entries\n{fenced(bounded(chr(10).join(lines), MAX_PATCH_BYTES), where)}"


def blame(repo: Repository, path: str, *, start: int, end: int | None, rev: str) -> str:
    """Commit, date and author of each line of a committed file."""
    file = inside(repo.top, path)
    last = end if end is not None else start + _BLAME_DEFAULT_LINES - 1
    if not 1 <= start <= last:
        raise ToolError(f"lines {start} to {last} are no range; start=1 and an end not before it work")
    if last - start >= MAX_BLAME_LINES:
        raise ToolError(f"{last - start + 1:,} lines in one call; at most {MAX_BLAME_LINES} work")
    commit = verified(repo, rev)
    total = _lines(repo, commit, file, rev)
    if start > total:
        raise ToolError(
            f"{shown(file)} has {total:,} lines at {one_line(rev)}; start={start} is behind its end"
        )
    span = f"-L{start},{min(last, total)}"
    out = repo.git("blame", "--porcelain", "--no-textconv", "--no-ignore-revs-file", span, commit, "--", file)
    lines = [f"{number:>6}  {who}  {text}" for number, who, text in _blamed(out)]
    body = bounded(masked(visible("\n".join(lines))), MAX_PATCH_BYTES)
    more = f"\nmore: start={last + 1}" if last < total else ""
    where = f"blame {shown(file)} at {one_line(rev)} · L{start}-{min(last, total)}/{total:,}"
    return f"{where}\n{fenced(body, where)}{more}"


def _lines(repo: Repository, commit: str, file: bytes, rev: str) -> int:
    rows = parsing.fields(repo.git("ls-tree", "-z", "--full-tree", commit, "--", file))
    if not rows or rows[0].split(b" ")[1] != b"blob":
        raise ToolError(
            f"{shown(file)} is no file at {one_line(rev)}; "
            + (pointed_out(repo, [file]) or "git_log(paths=[...]) shows where it was one")
        )
    oid = rows[0].split(b"\t")[0].split(b" ")[2].decode()
    content = repo.git("cat-file", "blob", oid)
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))


def _blamed(out: bytes) -> Iterator[tuple[int, str, str]]:
    """Line number, who and text from porcelain; a commit is described the first time it appears."""
    known: dict[bytes, dict[bytes, bytes]] = {}
    about: dict[bytes, bytes] = {}
    commit, number = b"", 0
    for line in out.split(b"\n"):
        if line.startswith(b"\t"):
            yield number, _who(commit, known[commit]), parsing.text_of(line[1:])
        elif match := _BLAME_HEAD.fullmatch(line):
            commit, number = match.group(1), int(match.group(2))
            about = known.setdefault(commit, {})
        else:
            key, _, value = line.partition(b" ")
            about.setdefault(key, value)


def _who(commit: bytes, about: dict[bytes, bytes]) -> str:
    try:
        day = f"{datetime.fromtimestamp(int(about[b'author-time']), UTC):%Y-%m-%d}"
    except (KeyError, ValueError, OverflowError, OSError):  # anything can stand in a commit
        day = "(no date)"
    author = one_line(parsing.text_of(about.get(b"author", b"")))
    return f"{commit[:10].decode()} {day:<10} {author[:20]:<20}"


def listing(title: str, lines: Sequence[str], note: str = "") -> str:
    """Lines of repository text between fences, with a header."""
    body = bounded(masked(visible("\n".join(lines))), MAX_PATCH_BYTES)
    return "\n".join(part for part in (title, fenced(body, title) if lines else "", note) if part)
