"""Whether a text parses, and where it stops to: said after every change, and by lint."""

from __future__ import annotations

import ast
import json
import re
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from . import grammars

MAX_PARSED_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """The first place that does not parse. Lines and columns begin at 1; None: the parser does not say."""

    line: int | None
    col: int | None
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


Checker = Callable[[str], Problem | None]


def note(path: str, text: str) -> str | None:
    """`syntax ok`, `syntax: line 3: ...`, or None for a file no parser here knows, or one too large to parse."""
    check = checker(path)
    if check is None or len(text) > MAX_PARSED_BYTES:
        return None
    try:
        problem = check(text)
    except (RecursionError, MemoryError):
        return "syntax not checked: nested too deeply"
    return f"syntax: {problem}" if problem else "syntax ok"


def checker(path: str) -> Checker | None:
    """What finds the first problem in such a file; None when no parser here knows its language.

    The checker raises RecursionError or MemoryError for text nested too deeply.
    """
    if own := _CHECKERS.get(grammars.suffix_of(path)):
        return own
    return (lambda text: _by_grammar(path, text)) if grammars.is_checked(path) else None


def _python(text: str) -> Problem | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in the user's file is not our warning
            ast.parse(text)
    except SyntaxError as exc:
        return Problem(exc.lineno, exc.offset, exc.msg)
    except ValueError as exc:
        return Problem(None, None, str(exc))
    return None


def _json(text: str) -> Problem | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        return Problem(exc.lineno, exc.colno, exc.msg)
    except ValueError as exc:  # an integer of more than 4300 digits
        return Problem(None, None, str(exc))
    return None


def _toml(text: str) -> Problem | None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        found = re.search(r"(.*) \(at line (\d+), column (\d+)\)", str(exc))
        if found:
            return Problem(int(found[2]), int(found[3]), found[1])
        return Problem(text.count("\n") + 1 if "end of document" in str(exc) else None, None, str(exc))
    return None


def _yaml(text: str) -> Problem | None:
    import yaml

    try:
        for _ in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            pass  # events alone: tags are not acted on, aliases are not expanded
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        reason = ", ".join(part for part in (exc.context, exc.problem) if part)
        return Problem(mark.line + 1, mark.column + 1, reason) if mark else Problem(None, None, reason)
    except yaml.YAMLError as exc:
        return Problem(None, None, str(exc).splitlines()[0])
    return None


def _by_grammar(path: str, text: str) -> Problem | None:
    tree = grammars.parsed(path, text.encode("utf-8", "surrogatepass"))
    wrong = grammars.first_wrong(tree) if tree else None
    if wrong is None:
        return None
    what = f"{wrong.type!r} is missing" if wrong.is_missing else "does not parse"
    return Problem(wrong.start_point[0] + 1, wrong.start_point[1] + 1, what)


_CHECKERS: dict[str, Checker] = {
    "py": _python,
    "pyi": _python,
    "json": _json,
    "toml": _toml,
    "yaml": _yaml,
    "yml": _yaml,
}
