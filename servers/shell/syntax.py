"""Where a data or shell file stops parsing: line, column, reason."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable

Problem = tuple[int | None, int | None, str]


def json_problem(text: str) -> Problem | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        return exc.lineno, exc.colno, exc.msg
    except (ValueError, RecursionError) as exc:
        return None, None, str(exc)
    return None


def toml_problem(text: str) -> Problem | None:
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        found = re.search(r"(.*) \(at line (\d+), column (\d+)\)", str(exc))
        if found:
            return int(found[2]), int(found[3]), found[1]
        return (text.count("\n") + 1 if "end of document" in str(exc) else None), None, str(exc)
    return None


def yaml_problem(text: str) -> Problem | None:
    import yaml

    try:
        for _ in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            pass  # events alone: tags are not acted on, aliases are not expanded
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        reason = ", ".join(part for part in (exc.context, exc.problem) if part)
        return (mark.line + 1, mark.column + 1, reason) if mark else (None, None, reason)
    except (yaml.YAMLError, RecursionError) as exc:
        return None, None, str(exc).splitlines()[0]
    return None


CHECKS: dict[str, Callable[[str], Problem | None]] = {
    ".json": json_problem,
    ".toml": toml_problem,
    ".yaml": yaml_problem,
    ".yml": yaml_problem,
}
"""By file name ending."""
