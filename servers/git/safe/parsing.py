"""git's -z outputs as values. Nothing here guesses: a field is where porcelain puts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...source.quoted_paths import shown

INTENT = "added (intent only)"
_CHANGES = {
    "M": "modified",
    "T": "type changed",
    "A": "added",
    "D": "deleted",
    "R": "renamed",
    "C": "copied",
}
_CONFLICTS = {
    "DD": "both deleted",
    "AU": "added by us",
    "UD": "deleted by them",
    "UA": "added by them",
    "DU": "deleted by us",
    "AA": "both added",
    "UU": "both modified",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One changed path. `source` is where a rename or copy came from."""

    path: bytes
    change: str
    source: bytes | None = None

    def __str__(self) -> str:
        return shown(self.path)


@dataclass(slots=True, kw_only=True)
class Porcelain:
    """`git status --porcelain=v2 --branch -z`. None is what git did not say."""

    head: str | None = None  # commit id; None on an unborn branch
    branch: str | None = None  # None when detached
    upstream: str | None = None
    ahead: int | None = None
    behind: int | None = None
    stashes: int | None = None
    staged: list[Entry] = field(default_factory=list[Entry])
    unstaged: list[Entry] = field(default_factory=list[Entry])
    conflicts: list[Entry] = field(default_factory=list[Entry])
    untracked: list[Entry] = field(default_factory=list[Entry])

    @property
    def changed(self) -> bool:
        """Whether something is left to stage."""
        return bool(self.unstaged or self.conflicts or self.untracked)


def porcelain(out: bytes) -> Porcelain:
    """Status records, in git's order."""
    found = Porcelain()
    records = iter(out.split(b"\0"))
    for record in records:
        kind, _, rest = record.partition(b" ")
        if kind == b"#":
            _header(found, rest.decode("utf-8", "backslashreplace"))
        elif kind == b"1":
            _changed(found, rest.split(b" ", 7), None)
        elif kind == b"2":
            _changed(found, rest.split(b" ", 8), next(records))
        elif kind == b"u":
            xy, path = rest.split(b" ", 9)[0].decode(), rest.split(b" ", 9)[9]
            found.conflicts.append(Entry(path=path, change=_CONFLICTS.get(xy, xy)))
        elif kind == b"?":
            found.untracked.append(Entry(path=rest, change="untracked"))
    return found


def _header(found: Porcelain, text: str) -> None:
    key, _, value = text.partition(" ")
    if key == "branch.oid":
        found.head = None if value == "(initial)" else value
    elif key == "branch.head":
        found.branch = None if value == "(detached)" else value
    elif key == "branch.upstream":
        found.upstream = value
    elif key == "stash":
        found.stashes = int(value)
    elif key == "branch.ab":
        ahead, behind = value.split()
        found.ahead, found.behind = int(ahead), -int(behind)


def _changed(found: Porcelain, fields: list[bytes], source: bytes | None) -> None:
    staged, unstaged = fields[0].decode()
    path = fields[-1]
    if staged != ".":
        moved = source if staged in "RC" else None
        found.staged.append(Entry(path=path, change=_CHANGES.get(staged, staged), source=moved))
    if unstaged != ".":
        moved = source if unstaged in "RC" else None
        change = INTENT if unstaged == "A" else _CHANGES.get(unstaged, unstaged)
        if fields[1].startswith(b"SC"):
            change = "submodule at another commit"
        found.unstaged.append(Entry(path=path, change=change, source=moved))


def fields(out: bytes) -> list[bytes]:
    """NUL-terminated fields without the empty one at the end."""
    parts = out.split(b"\0")
    return parts[:-1] if parts and not parts[-1] else parts


def pairs(out: bytes) -> Iterator[tuple[bytes, bytes]]:
    """NUL-terminated fields two by two."""
    parts = fields(out)
    return zip(parts[0::2], parts[1::2], strict=False)


def lines(out: bytes) -> list[str]:
    """Text lines; git ends a line with a newline alone, and names may hold what else Unicode breaks lines at."""
    return text_of(out.removesuffix(b"\n")).split("\n") if out else []


def text_of(raw: bytes) -> str:
    r"""Any bytes as text; what is no UTF-8 shows as \xNN."""
    return raw.decode("utf-8", "backslashreplace")
