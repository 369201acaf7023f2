"""Whether a text is well-formed in the language its file name says."""

from __future__ import annotations

import ast
import json
import tomllib
import warnings
from collections.abc import Callable
from pathlib import PurePath

import yaml


def syntax_fault(path: str, text: str) -> str | None:
    """The first fault, "" when there is none, None when no parser knows this kind of file."""
    name = PurePath(path).name.lower()
    check = _CHECKS.get(name.rpartition(".")[2] if "." in name else name)
    if check is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(text)
    except (RecursionError, MemoryError):
        return "nested too deeply to parse"
    except SyntaxError as exc:
        return f"line {exc.lineno}: {exc.msg}"
    except yaml.YAMLError as exc:
        return " ".join(str(exc).split())
    except ValueError as exc:
        return str(exc)
    return ""


def _yaml(text: str) -> None:
    for _ in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        pass


def _jsonl(text: str) -> None:
    for line in text.splitlines():
        if line.strip():
            json.loads(line)


_CHECKS: dict[str, Callable[[str], object]] = {
    "py": ast.parse,
    "pyi": ast.parse,
    "json": json.loads,
    "jsonl": _jsonl,
    "toml": tomllib.loads,
    "yaml": _yaml,
    "yml": _yaml,
}
