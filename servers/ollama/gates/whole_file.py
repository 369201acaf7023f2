"""Putting a whole file's answer right where its meaning is certain: talk around it, line numbers, another indentation, commas."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

PROSE = (".md", ".markdown", ".mdx", ".rst", ".txt", ".adoc")


def without_talk(path: str, text: str) -> str:
    """A file's content without a first line that announces it, and a last one that offers help.

    In prose these may be its own: there the first has to announce a text, and the last goes only with such a first.
    """
    stripped = text.strip("\r\n")
    if not path.lower().endswith(PROSE):
        return _OFFERS.sub("", _ANNOUNCES.sub("", stripped, count=1))
    bare = _ANNOUNCES_TEXT.sub("", stripped, count=1)
    return _OFFERS.sub("", bare) if bare != stripped else stripped


def like(before: str, text: str) -> str:
    """A file's new content without line numbers the old one does not have, and indented as that is."""
    return indented(before, _unnumbered(before, text))


def plain_json(text: str) -> str:
    """JSON without comments, and commas that nothing follows."""
    bare = _JSON_COMMENT.sub(lambda match: match[1] or "", text)
    return _LAST_COMMA.sub(lambda match: match[1] or "", bare)


def _unnumbered(before: str, text: str) -> str:
    lines = text.split("\n")
    found = [_NUMBER.fullmatch(line) for line in lines if line.strip()]
    numbers = [int(match[1]) for match in found if match]
    counted = (
        len(numbers) == len(found) > 1
        and numbers[0] == 1
        and all(b - a in (1, 2) for a, b in pairwise(numbers))
    )
    if not counted or all(_NUMBER.fullmatch(line) for line in before.split("\n") if line.strip()):
        return text
    bare = [match[2] if (match := _NUMBER.fullmatch(line)) else line for line in lines]
    spare = min((len(line) - len(line.lstrip(" ")) for line in bare if line.strip()), default=0)
    return "\n".join(line[spare:] if line.strip() else "" for line in bare)


def indented(before: str, text: str) -> str:
    """With tabs where the old file has only tabs, and spaces where it has only those."""
    had, has = _indents(before), _indents(text)
    if not had or not has:
        return text
    tabs, spaces = all(set(i) == {"\t"} for i in had), all(set(i) == {" "} for i in had)
    if tabs and all(set(i) == {" "} for i in has):
        unit = _unit(has)
        return _LEADING.sub(lambda m: "\t" * (len(m[0]) // unit) + " " * (len(m[0]) % unit), text)
    if spaces and all(set(i) == {"\t"} for i in has):
        unit = _unit(had)
        return _LEADING.sub(lambda m: " " * unit * len(m[0]), text)
    return text


def _indents(text: str) -> list[str]:
    return [match[0] for line in text.split("\n") if line.strip() and (match := re.match(r"[ \t]+", line))]


def _unit(indents: list[str]) -> int:
    """The step by which indentation grows, most of the times."""
    sizes = [len(indent) for indent in indents]
    steps = Counter(abs(b - a) for a, b in pairwise([0, *sizes]) if b != a)
    return steps.most_common(1)[0][0]


_NUMBER = re.compile(r" *(\d{1,5})(?:\s?[|:\t]| |$)(.*)")
_LEADING = re.compile(r"^[ \t]+(?=\S)", re.MULTILINE)
_ANNOUNCES = re.compile(
    r"\A(?:(?:sure|certainly|of course|absolutely|okay|ok|gerne?|natürlich)\b[^\n]{0,160}[:.!]"
    r"|(?:here(?:'s| is| are)|below is|hier (?:ist|sind))\b[^\n]{0,160}:)[ \t]*\n+",
    re.IGNORECASE,
)
_ANNOUNCES_TEXT = re.compile(
    r"\A(?:(?:sure|certainly|of course|absolutely|okay|gerne?|natürlich)[!.,:]?\s+)?"
    r"(?:here(?:'s| is| are)|below is|hier (?:ist|sind))\b[^\n:]{0,60}"
    r"\b(?:file|table|text|translation|summary|version|contents?|document|draft|letter|markdown|readme"
    r"|datei|tabelle|übersetzung|zusammenfassung|fassung|inhalt|dokument|brief|entwurf)\b[^\n]{0,100}:[ \t]*\n+",
    re.IGNORECASE,
)
_OFFERS = re.compile(
    r"\n+(?:(?:please )?let me know|i hope (?:this|that)|feel free|if you (?:need|have|want)|ich hoffe|lassen sie mich)\b[^\n]*\Z",
    re.IGNORECASE,
)
_STRING = r'("(?:\\.|[^"\\\n])*")'
_JSON_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*[\s\S]*?\*/")
_LAST_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\]])")
