"""Whether a text still parses, said after every change."""

from __future__ import annotations

import ast
import json
import tomllib
import warnings

MAX_PARSED_BYTES = 1 << 20


def note(path: str, text: str) -> str | None:
    """`syntax ok`, `syntax: line 3: ...`, or None for a file no parser here knows."""
    if len(text) > MAX_PARSED_BYTES:
        return None
    suffix = path.rpartition("/")[2].rpartition(".")[2].casefold()
    check = {"py": _python, "pyi": _python, "json": _json, "toml": _toml, "yaml": _yaml, "yml": _yaml}.get(
        suffix
    )
    if check is None:
        from .outline import first_error

        return first_error(path, text)
    try:
        wrong = check(text)
    except (RecursionError, MemoryError):
        return "syntax not checked: nested too deeply"
    return f"syntax: {wrong}" if wrong else "syntax ok"


def _python(text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in the user's file is not our warning
            ast.parse(text)
    except SyntaxError as exc:
        return f"line {exc.lineno}: {exc.msg}"
    except ValueError as exc:
        return str(exc)
    return None


def _json(text: str) -> str | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        return f"line {exc.lineno}: {exc.msg}"
    except ValueError as exc:  # an integer of more than 4300 digits
        return str(exc)
    return None


def _toml(text: str) -> str | None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        return str(exc)
    return None


def _yaml(text: str) -> str | None:
    import yaml

    try:
        for _ in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            pass  # events alone: aliases are not expanded
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        return f"line {mark.line + 1}: {exc.problem}" if mark else str(exc.problem)
    except yaml.YAMLError as exc:
        return str(exc).splitlines()[0]
    return None
