"""Applying a worker's unified diff: exact context, one place, or a sentence saying why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


class BadPatch(Exception):
    """The diff cannot be applied as it stands."""


@dataclass(slots=True)
class _Hunk:
    start: int
    old: list[str] = field(default_factory=list[str])
    new: list[str] = field(default_factory=list[str])


def patched(diff: str, files: Mapping[str, str], known: Callable[[str], str]) -> dict[str, str]:
    """The new text of every file the diff changes. `known` maps a name in the diff to one of `files`, or raises.

    Line numbers of a model are often wrong, so a hunk may stand elsewhere, if its lines occur exactly once.
    """
    out: dict[str, str] = {}
    for name, hunks in _parsed(diff):
        path = known(name)
        lines = out.get(path, files[path]).split("\n")
        shift = 0
        for number, hunk in enumerate(hunks, 1):
            at = _place(lines, hunk, hunk.start - 1 + shift, f"{path}, hunk {number}")
            lines[at : at + len(hunk.old)] = hunk.new
            shift += len(hunk.new) - len(hunk.old)
        out[path] = "\n".join(lines)
    return out


def _place(lines: Sequence[str], hunk: _Hunk, stated: int, where: str) -> int:
    size = len(hunk.old)
    if not size:
        if len(lines) <= 1 and not "".join(lines):
            return 0
        raise BadPatch(f"{where}: it has no context line, so its place is not certain")
    if stated >= 0 and lines[stated : stated + size] == hunk.old:
        return stated
    places = [at for at in range(len(lines) - size + 1) if lines[at : at + size] == hunk.old]
    if len(places) == 1:
        return places[0]
    found = f"occur {len(places)} times" if places else "do not occur exactly"
    raise BadPatch(f"{where}: its context lines {found} in the file")


def _parsed(diff: str) -> list[tuple[str, list[_Hunk]]]:
    files: list[tuple[str, list[_Hunk]]] = []
    hunk: _Hunk | None = None
    lines = diff.rstrip("\n").split("\n")
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("--- ") and after.startswith("+++ "):  # alone it removes a line "-- ..."
            hunk = None
        elif line.startswith("+++ ") and hunk is None:
            name = line[4:].split("\t")[0].strip()
            if name == "/dev/null":
                raise BadPatch("the diff deletes a file; a worker may only change them")
            files.append((name, []))
        elif match := _HEADER.match(line):
            if not files:
                raise BadPatch("the diff has a hunk before any +++ line")
            hunk = _Hunk(int(match[1]))
            files[-1][1].append(hunk)
        elif hunk is not None:
            _add(hunk, line)
    if not files or not all(hunks for _, hunks in files):
        raise BadPatch("the answer holds no unified diff with +++ lines and @@ hunks")
    return files


def _add(hunk: _Hunk, line: str) -> None:
    mark, rest = line[:1], line[1:]
    if mark in (" ", "", "-"):
        hunk.old.append(rest)
    if mark in (" ", "", "+"):
        hunk.new.append(rest)
    if mark not in (" ", "", "+", "-", "\\"):
        raise BadPatch(f"a line of the diff begins with {mark!r}: {line[:80]!r}")


_HEADER = re.compile(r"@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")
