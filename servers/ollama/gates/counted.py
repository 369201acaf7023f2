"""What a task asks and a program can count: lines with a word, how often it occurs, functions and classes of a module."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The right answer: so many, or exactly these names."""

    what: str
    number: int | None = None
    names: Sequence[str] = ()
    others: Sequence[str] = ()
    """Names of the same file that would be wrong."""


def counted(task: str, files: Mapping[str, str]) -> Counted | None:
    """What a program finds; None where the task asks something else, or where it could mean two things."""
    if len(files) != 1:
        return None
    text = next(iter(files.values()))
    return next((found for count in _COUNTS if (found := count(task, text)) is not None), None)


def answers(answer: str, wanted: Counted) -> tuple[bool | None, str]:
    """Whether an answer says what was counted; None where it says several things."""
    if wanted.number is None:
        return _names(answer, wanted)
    said = _numbers(answer)
    told = f"counted: {wanted.what}"
    if wanted.number not in said:
        others = f", and the answer says {', '.join(map(str, sorted(said)))}" if said else ""
        return False, told + others
    return (True, told) if len(said) == 1 else (None, "")


def _names(answer: str, wanted: Counted) -> tuple[bool | None, str]:
    said = set(re.findall(r"[^\W\d]\w*", answer))
    missing = [name for name in wanted.names if name not in said]
    strange = [name for name in wanted.others if name in said and name not in wanted.names]
    if missing:
        return False, f"{', '.join(missing[:5])} is missing; the file has {wanted.what}"
    if strange and len(answer) < 40 * (len(wanted.names) + len(strange)):
        return False, f"{', '.join(strange[:5])} is none of them; the file has {wanted.what}"
    return True, f"the file has {wanted.what}"


def _lines(task: str, text: str) -> Counted | None:
    match = re.search(
        r"\bhow many (?:of the |of these )?(?:\w+ )?lines\b(?P<rest>[^?.]*)", task, re.IGNORECASE
    )
    word = _word(match["rest"], text) if match else None
    if word is None:
        return None
    number = sum(_has(line, word) for line in text.split("\n"))
    return Counted(what=f"{number} line{'s' if number != 1 else ''} with {word!r}", number=number)


def _times(task: str, text: str) -> Counted | None:
    match = re.search(
        r"\bhow (?:many times|often)\b(?P<rest>[^?.]*\b(?:occur|appear|stand|mention|found)\w*)",
        task,
        re.IGNORECASE,
    )
    word = _word(match["rest"], text) if match else None
    if word is None:
        return None
    number = len(_whole(word).findall(text))
    return Counted(what=f"{word!r} stands there {number} times", number=number)


def _definitions(task: str, text: str) -> Counted | None:
    """Only where the task tells functions from methods, or the file has no class."""
    match = re.search(
        r"\b(?:how many (?P<many>functions|classes)\b|(?:list|name|give|which|what are|names? of)\b[^.?]{0,40}?\b(?P<which>functions|classes)\b)"
        r"[^.?]*\b(?:file|module|defin\w+)\b",
        task,
        re.IGNORECASE,
    )
    if match is None or re.search(
        r"\b(?:that|which|whose) (?!(?:\w+ )?(?:file|module|is|are|it) ?(?:defin\w+)?)",
        match[0][8:],
        re.IGNORECASE,
    ):
        return None
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    functions = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    classes = [n.name for n in tree.body if isinstance(n, ast.ClassDef)]
    plural = (match["many"] or match["which"]).lower()
    top = re.search(r"\b(?:module|top)[- ]level\b|\bat the top\b", task, re.IGNORECASE)
    every = [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = classes if plural == "classes" else functions
    if not found or (plural == "functions" and len(every) > len(functions) and not top):
        return None
    what = f"{len(found)} {plural}: {', '.join(found)}"
    if match["many"]:
        return Counted(what=what, number=len(found))
    return Counted(
        what=what, names=found, others=[*every, *(classes if plural == "functions" else functions)]
    )


def _word(rest: str, text: str) -> str | None:
    """The one word meant: in quotation marks, or in capitals as it stands in the text."""
    quoted = [a or b or c for a, b, c in re.findall(r"\"([^\"]+)\"|'([^']+)'|`([^`]+)`", rest)]
    if re.search(
        r"\b(?:and|or|but|not|no|without|before|after|more|less|than|most|least|both|either)\b",
        rest,
        re.IGNORECASE,
    ):
        return None
    if quoted:
        return quoted[0] if len(quoted) == 1 else None
    capitals = [word for word in re.findall(r"\b[A-Z][A-Z0-9_]+\b", rest) if _has(text, word)]
    return capitals[0] if len(set(capitals)) == 1 else None


def _whole(word: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")


def _has(text: str, word: str) -> bool:
    return _whole(word).search(text) is not None


def _numbers(answer: str) -> set[int]:
    words = {m for m in re.findall(r"[a-z]+", answer.lower()) if m in _NUMBERS}
    digits = re.findall(r"(?<![\w.,:-])\d[\d,]*(?![\w:-]|\.\d)", answer)
    return {int(d.replace(",", "")) for d in digits} | {_NUMBERS.index(word) for word in words}


_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_COUNTS: tuple[Callable[[str, str], Counted | None], ...] = (_lines, _times, _definitions)
