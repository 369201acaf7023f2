"""Whether a text parses, and where it stops to: said after every change, and by lint."""

from __future__ import annotations

import ast
import json
import re
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from . import grammars, parser_process
from .declared_encoding import named_in

MAX_PARSED_BYTES = 1 << 20
TOO_HARD = (RecursionError, MemoryError, TimeoutError)
_DECLARED_CHARS = 1000  # in which a declaration of the encoding stands
_MAX_KEY_DOTS = 100  # in a line of TOML: its parser takes memory by the square of a key's parts
_MAX_FLOW_DEPTH = 2000  # of brackets in YAML: its parser takes time by the square


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
    except TOO_HARD as exc:
        return f"syntax not checked: {why(exc)}"
    return f"syntax: {problem}" if problem else "syntax ok"


def why(exc: BaseException) -> str:
    """What made a checker give up, for one of TOO_HARD."""
    return str(exc) if isinstance(exc, TimeoutError) else "nested too deeply"


def checker(path: str) -> Checker | None:
    """What finds the first problem in such a file; None when no parser here knows its language.

    The checker raises one of TOO_HARD for text it gives up on.
    """
    if own := _CHECKERS.get(grammars.suffix_of(path)):
        return own
    return (lambda text: _by_grammar(path, text)) if grammars.is_checked(path) else None


def _python(text: str) -> Problem | None:
    name = named_in(text[:_DECLARED_CHARS].encode("utf-8", "replace"), ".py")
    if name and not _is_for_source(name):
        line = next(i for i, row in enumerate(text.split("\n"), 1) if name in row)
        return Problem(line, None, f"Python knows no source encoding {name!r}, so it will not run this")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in the user's file is not our warning
            ast.parse(text)
    except SyntaxError as exc:
        return Problem(exc.lineno, exc.offset, exc.msg)
    except ValueError as exc:
        return Problem(None, None, str(exc))
    return None


@lru_cache(256)
def _is_for_source(encoding: str) -> bool:
    """Whether Python itself takes source that declares this encoding."""
    try:
        ast.parse(f"# coding: {encoding}\n".encode())
    except (SyntaxError, LookupError, ValueError):
        return False
    return True


def _json(text: str) -> Problem | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        return Problem(exc.lineno, exc.colno, exc.msg)
    except ValueError as exc:  # an integer of more than 4300 digits
        return Problem(None, None, str(exc))
    return None


def _toml(text: str) -> Problem | None:
    if max(line.count(".") for line in text.split("\n")) > _MAX_KEY_DOTS:
        raise RecursionError
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

    depths = accumulate(1 if bracket in "[{" else -1 for bracket in _BRACKETS.findall(text))
    if max(depths, default=0) > _MAX_FLOW_DEPTH:
        raise RecursionError
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
    wrong = parser_process.first_wrong(path, text.encode("utf-8", "surrogatepass"))
    return Problem(*wrong) if wrong else None


_BRACKETS = re.compile(r"[\[\]{}]")
_CHECKERS: dict[str, Checker] = {
    "py": _python,
    "pyi": _python,
    "json": _json,
    "toml": _toml,
    "yaml": _yaml,
    "yml": _yaml,
}
