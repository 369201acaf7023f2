"""A part of a file put into the file where its place is certain: definitions by their names, settings by their keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from ...source import parser_process
from ...source.symbols import Symbol


def spliced_definitions(path: str, before: str, part: str) -> str | None:
    """The file with the definitions of `part` in place of its own of the same names; None when it is not certain."""
    old, new = _symbols(path, before), _symbols(path, part)
    if not old or not new:
        return None
    lines, given = before.split("\n"), part.split("\n")
    changes: list[tuple[int, int, list[str]]] = []
    taken = 0
    for symbol in (one for one in new if one.level == 0):
        known = [other for other in old if other.name == symbol.name]
        if len(known) != 1:
            return None
        first = _with_comment(given, symbol.first, least=taken)
        if any(_means(line) for line in given[taken : first - 1]):
            return None
        taken = symbol.last
        code = given[first - 1 : symbol.last]
        place = known[0]
        start = _with_comment(lines, place.first, least=0) if first < symbol.first else place.first
        indent = re.match(r"[ \t]*", lines[place.first - 1])
        said = re.match(r"[ \t]*", given[symbol.first - 1])
        code = [_moved(line, said[0] if said else "", indent[0] if indent else "") for line in code]
        changes.append((start - 1, place.last, code))
    changes.sort(reverse=True)
    if any(_means(line) for line in given[taken:]) or any(a[0] < b[1] for a, b in pairwise(changes)):
        return None
    for start, end, code in changes:
        lines[start:end] = code
    return "\n".join(lines)


def spliced_settings(before: str, part: str) -> str | None:
    """The file with the lines of `part` in place of those with the same keys; None unless each key stands once."""
    lines = before.split("\n")
    now = list(lines)
    for line in part.split("\n"):
        said = _SETTING.fullmatch(line)
        if not line.strip() or (_SECTION.fullmatch(line) and line.strip() in [one.strip() for one in lines]):
            continue
        if said is None:
            return None
        places = [
            (at, match)
            for at, other in enumerate(lines)
            if (match := _SETTING.fullmatch(other)) and match["key"] == said["key"]
        ]
        if len(places) != 1 or places[0][1]["sign"].strip() != said["sign"].strip():
            return None
        at, match = places[0]
        now[at] = f"{match['indent']}{line.strip()}"
    return "\n".join(now) if now != lines else None


def _symbols(path: str, text: str) -> list[Symbol] | None:
    try:
        return parser_process.symbols(path, text.encode("utf-8", "surrogatepass"))
    except (TimeoutError, OSError):
        return None


def _means(line: str) -> bool:
    """Whether a line outside definitions is more than a comment, an import or a bracket."""
    return bool(line.strip()) and not re.match(
        r"\s*(?:#|//|/\*|\*|import\b|package\b|use\b|from\b|<\?php)", line
    )


def _with_comment(lines: Sequence[str], first: int, *, least: int) -> int:
    """The number of the first line of the comment right above a definition, or of the definition."""
    while first - 1 > least and re.match(r"\s*(?:///?|/\*|\*|#(?!include|define)|@\w)", lines[first - 2]):
        first -= 1
    return first


def _moved(line: str, said: str, real: str) -> str:
    return real + line[len(said) :] if line.startswith(said) and line.strip() else line


SETTINGS = (".ini", ".toml", ".cfg", ".conf", ".env", ".properties", ".yml", ".yaml")
_SECTION = re.compile(r"\s*\[[^\]\n]+\]\s*")
_SETTING = re.compile(
    r"(?P<indent>\s*)(?:- )?(?P<key>[\w.-]+|\"[^\"\n]+\")(?P<sign>\s*[:=]\s*)(?P<value>\S.*)"
)
