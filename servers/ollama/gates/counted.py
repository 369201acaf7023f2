"""What a task asks and a program can count: lines with a word, how often it occurs, boxes ticked, functions, classes, tables."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from ...source import parser_process


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
    path, text = next(iter(files.items()))
    found = (count(task, text) for count in (_lines, _times, _boxes, _tables))
    return next((one for one in found if one is not None), None) or _definitions(task, path, text)


def asks_how_many(task: str) -> bool:
    """Whether the answer is a number somebody has to count."""
    return (
        re.search(
            r"\b(?:how many|how often|number of|count the|wie ?viele?|wie oft|anzahl)\b", task, re.IGNORECASE
        )
        is not None
    )


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
        r"\b(?:how many (?:of the |of these )?(?:\w+ )?lines|wie ?viele (?:der )?zeilen)\b(?P<rest>[^?.]*)",
        task,
        re.IGNORECASE,
    )
    word = _word(match["rest"], text) if match else None
    if word is None:
        return None
    number = sum(_has(line, word) for line in text.split("\n"))
    return Counted(what=f"{number} line{'s' if number != 1 else ''} with {word!r}", number=number)


def _times(task: str, text: str) -> Counted | None:
    match = re.search(
        r"\b(?:how (?:many times|often)|wie oft)\b(?P<rest>[^?.]*\b(?:occur|appear|stand|mention|found|vorkomm|kommt|steht)\w*)",
        task,
        re.IGNORECASE,
    )
    word = _word(match["rest"], text) if match else None
    if word is None:
        return None
    number = len(_whole(word).findall(text))
    return Counted(what=f"{word!r} stands there {number} times", number=number)


def _boxes(task: str, text: str) -> Counted | None:
    """The boxes of a checklist, ticked or not."""
    asked = re.search(r"\bhow many\b[^?.]*", task, re.IGNORECASE)
    left = asked and re.search(
        r"\b(?:un(?:ticked|checked|done|finished)|not|open|left|missing|remaining|to do)\b",
        asked[0],
        re.IGNORECASE,
    )
    done = asked and re.search(r"\b(?:ticked|checked|done|finished|crossed)\b", asked[0], re.IGNORECASE)
    marks = re.findall(r"^[ \t]*(?:[-*+]|\d+[.)]) \[([ xX])\] ", text, re.MULTILINE)
    if not marks or not (left or done):
        return None
    number = sum((mark == " ") == bool(left) for mark in marks)
    return Counted(what=f"{number} of {len(marks)} boxes are {'not ' if left else ''}ticked", number=number)


def _tables(task: str, text: str) -> Counted | None:
    """The tables an SQL script creates."""
    if not re.search(
        r"\b(?:list|name|give|which|what)\b[^.?]*\btables\b[^.?]*\b(?:creat|defin|script|file|schema)",
        task,
        re.IGNORECASE,
    ):
        return None
    made = re.findall(
        r"\bcreate\s+(?:(?:or\s+replace|temp|temporary|unique|materialized)\s+)*(table|view|index|trigger)\s+(?:if\s+not\s+exists\s+)?"
        r"[\"`\[]?(\w+)",
        text,
        re.IGNORECASE,
    )
    names = [name for kind, name in made if kind.lower() == "table"]
    others = [name for kind, name in made if kind.lower() != "table"]
    return (
        Counted(what=f"{len(names)} tables: {', '.join(names)}", names=names, others=others)
        if names
        else None
    )


def _definitions(task: str, path: str, text: str) -> Counted | None:
    """Only where the task tells functions from methods, or the file has no method."""
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
    found = _python(text) if path.endswith((".py", ".pyi")) else _by_grammar(path, text)
    if found is None:
        return None
    functions, methods, classes = found
    plural = (match["many"] or match["which"]).lower()
    top = re.search(r"\b(?:module|top)[- ]level\b|\bat the top\b", task, re.IGNORECASE)
    if re.search(r"\bexport", task, re.IGNORECASE):
        exported = _exported(path, text, functions)
        if exported is None:
            return None
        functions, methods, classes = exported, [n for n in functions if n not in exported], []
    elif plural == "functions" and re.search(r"\bmethods\b", task, re.IGNORECASE) and not top:
        functions, methods = [*functions, *methods], []
    elif plural == "functions" and methods and not top:
        return None
    names = classes if plural == "classes" else functions
    if not names:
        return None
    what = f"{len(names)} {plural}: {', '.join(names)}"
    if match["many"]:
        return Counted(what=what, number=len(names))
    others = [*functions, *methods, *(classes if plural == "functions" else [])]
    return Counted(what=what, names=names, others=others)


_Defined = tuple[list[str], list[str], list[str]]
"""Functions at the top, methods and functions within others, classes."""


def _python(text: str) -> _Defined | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    functions = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    classes = [n.name for n in tree.body if isinstance(n, ast.ClassDef)]
    every = [n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return functions, every if len(every) > len(functions) else [], classes


def _by_grammar(path: str, text: str) -> _Defined | None:
    try:
        found = parser_process.symbols(path, text.encode("utf-8", "surrogatepass"))
    except (TimeoutError, OSError):
        return None
    if not found:
        return None
    calls = [s for s in found if "(" in s.signature and not _NO_FUNCTION.match(s.signature)]
    top = [s.name for s in calls if s.level == 0 and not re.match(r"func \(", s.signature)]
    return (
        top,
        [s.name for s in calls if s.name not in top],
        [s.name for s in found if re.search(r"\bclass\b", s.signature.partition("(")[0])],
    )


def _exported(path: str, text: str, functions: Sequence[str]) -> list[str] | None:
    """Those of the functions that a JavaScript or TypeScript module exports by the word before them; None where it does otherwise."""
    if PurePath(path).suffix not in (".js", ".mjs", ".ts", ".tsx", ".jsx", ".mts"):
        return None
    if re.search(r"^\s*export\s*(?:\{|\*|default\s+\w+\s*;?\s*$)|\bexports\b", text, re.MULTILINE):
        return None
    kept = r"(?:default\s+)?(?:async\s+)?(?:function\*?|const|let|var)\s+"
    return [
        name
        for name in functions
        if re.search(rf"^\s*export\s+{kept}{re.escape(name)}\b", text, re.MULTILINE)
    ]


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
    words = re.findall(r"[^\W\d_]+", answer.lower())
    digits = re.findall(r"(?<![\w.,:-])\d[\d,]*(?![\w:-]|\.\d)", answer)
    return {int(d.replace(",", "")) for d in digits} | {
        numbers.index(word) for numbers in (_NUMBERS, _GERMAN) for word in words if word in numbers
    }


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
_GERMAN = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
]
_NO_FUNCTION = re.compile(
    r"(?:(?:pub|export|default|abstract|public|final|static)\s+)*(?:class|interface|struct|enum|type|impl|trait|mod|namespace|record)\b"
)
