"""Characters that are not seen, or that pass for others: one table for whoever shows text and for whoever compares it."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
"""C0 and C1 controls but newline and tab, and lone surrogates: the inside of a regex class."""

JOINERS = "\u200c\u200d"
"""Invisible too, but emoji and several scripts are written with them."""

INVISIBLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Bidi controls, zero-width and tag characters, fillers, variation selectors but emoji's, line separators: the inside of a
regex class."""

_UNSEEN = re.compile(f"[{INVISIBLE}{JOINERS}]")

_PASSES_FOR = {
    "'": "\u2018\u2019\u201a\u201b\u2032\u02bc\u02b9\uff07`\u00b4",
    '"': "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\ufe58\ufe63\uff0d",
    "a": "\u0430\u03b1", "b": "\u0432", "c": "\u0441", "e": "\u0435", "h": "\u043d", "i": "\u0131\u0456\u03b9", "j": "\u0237\u0458",
    "k": "\u043a\u03ba", "m": "\u043c", "o": "\u043e\u03bf", "p": "\u0440\u03c1", "s": "\u0455", "t": "\u0442\u03c4",
    "v": "\u03bd", "x": "\u0445\u03c7", "y": "\u0443",
}  # fmt: skip
"""Quotes and dashes as word processors write them, and the Cyrillic and Greek letters that look Latin, in lower case."""

_DOT_ABOVE = "\u0307"
_FOLDS = {other: plain for plain, others in _PASSES_FOR.items() for other in others}


def folded(text: str) -> str:
    """What a text looks like: equal for texts that a reader cannot tell apart, letter case left out."""
    if text.isascii():
        return text.lower().replace("`", "'")
    return "".join(_parts(text))


def alike(text: str, wanted: str) -> list[tuple[int, int]]:
    """Where `wanted` stands in a text but for look-alikes: start and end of each place."""
    goal = folded(wanted)
    if not goal:
        return []
    parts = _parts(text)
    flat = "".join(parts)
    found: list[tuple[int, int]] = []
    if goal not in flat:
        return found
    starts = [0]  # where each character of the text begins in `flat`
    for part in parts:
        starts.append(starts[-1] + len(part))
    origin = {flat_at: at for at, (flat_at, after) in enumerate(pairwise(starts)) if after > flat_at}
    at = flat.find(goal)
    while at >= 0:
        end = at + len(goal)
        if at in origin and (end in origin or end == len(flat)):
            found.append((origin[at], origin.get(end, len(text))))
        at = flat.find(goal, end)
    return found


def other_in(text: str, wanted: str) -> str | None:
    """The first character of a text that only passes for one of `wanted`: `U+00A0 NO-BREAK SPACE at column 4`."""
    wanted += wanted.casefold()
    for at, char in enumerate(text):
        if char.casefold() not in wanted and not char.isascii() and _fold(char) != char:
            return f"{_point(text, at)} at column {at + 1}"
    return None


def difference(asked: str, found: str) -> str:
    """Where two texts that look alike first differ: `line 2, column 9: U+00A0 NO-BREAK SPACE, not U+0020 SPACE`."""
    at = next(
        (i for i, (a, b) in enumerate(zip(asked, found, strict=False)) if a != b),
        min(len(asked), len(found)),
    )
    line = found.count("\n", 0, at) + 1
    column = at - (found.rfind("\n", 0, at) + 1) + 1
    where = f"line {line}, column {column}" if "\n" in found else f"column {column}"
    same = unicodedata.normalize("NFC", asked) == unicodedata.normalize("NFC", found)
    form = "NFC" if unicodedata.is_normalized("NFC", found) else "NFD"
    return f"{where}: {_point(found, at)}, not {_point(asked, at)}" + (
        f" (the same text in Unicode form {form})" if same else ""
    )


def _point(text: str, at: int) -> str:
    if at >= len(text):
        return "the end"
    return f"U+{ord(text[at]):04X} {unicodedata.name(text[at], 'without a name')}"


def _parts(text: str) -> list[str]:
    """What each character looks like; a dot above an i, which has one, is not seen."""
    parts = [_fold(char) for char in text]
    for at in range(1, len(parts)):
        if text[at] == _DOT_ABOVE and text[at - 1] in "iI\u0131":
            parts[at] = ""
    return parts


@lru_cache(4096)
def _fold(char: str) -> str:
    if _UNSEEN.match(char):
        return ""
    if char in "\n\t":
        return char
    if unicodedata.category(char) == "Zs":
        return " "
    lower = unicodedata.normalize("NFKD", _FOLDS.get(char, char)).casefold()
    return "".join(_FOLDS.get(one, one) for one in lower).replace("i" + _DOT_ABOVE, "i")


def escaped(match: re.Match[str]) -> str:
    """A character as an escape of Python's."""
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
