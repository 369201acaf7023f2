"""A shell's words: what a program will see of them, as far as that can be told before the shell runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

MAX_SPELLINGS = 64
_GLOB = re.compile(r"[*?\[]")
BRACE = re.compile(r"\{[^{}]*(?:,|\.\.)[^{}]*\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A plain variable as part of a word. Unquoted, its value is split and may be a pattern."""

    name: str
    quoted: bool


Part = str | tuple[str, ...] | Variable
"""Literal text, the alternatives in braces, or a variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a command. `text` is what the program will see, None when only the shell knows."""

    raw: str
    text: str | None
    glob: bool = False  # `text` is then the pattern
    odd: bool = False  # spelled in a way people do not: $'...' or a quoted part inside a name
    parts: tuple[Part, ...] = ()  # what it is made of; empty when anything else is in it


def spellings(word: Word, values: Mapping[str, frozenset[str]]) -> list[Word]:
    """Every literal word that `word` can be, given what variables can hold; none when that cannot be told."""
    if word.text is not None:
        return [word]
    choices: list[tuple[str, ...]] = []
    glob = word.glob
    for part in word.parts:
        if isinstance(part, Variable):
            known = tuple(values.get(part.name, ()))
        else:
            known = (part,) if isinstance(part, str) else part
        if isinstance(part, Variable) and not part.quoted:
            if any(re.search(r"\s", value) for value in known):
                return []  # split into several words
            glob |= any(_GLOB.search(value) for value in known)
        choices.append(known)
    if not choices or prod(map(len, choices)) > MAX_SPELLINGS:
        return []
    return [Word(raw=word.raw, text="".join(chosen), glob=glob) for chosen in product(*choices)]


def all_known(words: Sequence[Word | None], values: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """All texts these words can be, empty when one of them cannot be told."""
    found: set[str] = set()
    for word in words:
        texts = spellings(word, values) if word else []
        if not texts or word is None:
            return frozenset()
        found.update(text.text or "" for text in texts)
    return frozenset(found) if len(found) <= MAX_SPELLINGS else frozenset()


def plain(raw: str) -> Word:
    """An unquoted word: backslashes resolved, globs and braces seen."""
    bare = re.sub(r"\\.", "", raw, flags=re.DOTALL)
    if BRACE.search(bare) or re.match(r"~[^/]", bare):
        split = re.split(r"\{([^{}]*,[^{}]*)\}", raw)
        readable = not re.search(r"[\\{}~]|\.\.", "".join(split))
        parts: list[Part] = [tuple(text.split(",")) if n % 2 else text for n, text in enumerate(split)]
        return Word(raw=raw, text=None, glob=bool(_GLOB.search(raw)), parts=tuple(parts) if readable else ())
    return Word(raw=raw, text=re.sub(r"\\(.)", r"\1", raw, flags=re.DOTALL), glob=bool(_GLOB.search(bare)))


_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "E": "\x1b",
}


def ansi(body: str) -> str:
    """The text of $'...' (bash(1), QUOTING)."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) > 1 and code[0] in "xuU":
            return chr(min(int(code[1:], 16), 0x10FFFF))
        if code[0] in "01234567":
            return chr(int(code, 8) & 0xFF)
        return _ESCAPES.get(code, code if code in "\\'\"?" else match[0])

    return re.sub(
        r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", one, body, flags=re.DOTALL
    )
