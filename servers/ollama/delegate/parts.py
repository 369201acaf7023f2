"""The parts of files a task speaks of: a worker that reads the function alone reads a tenth of the file."""

from __future__ import annotations

import re

from ...source import parser_process
from ..gates.documents import Document
from .request import Prepared

LEAST_CHARS = 3000
"""Of a file whose parts are looked for."""
MOST_SHARE = 0.5
"""Of a file's lines: a larger part is not worth naming."""
_AROUND = 2
"""Lines shown before and after a definition."""
_LEAST_NAME = 3


def named_parts(prepared: Prepared) -> tuple[str, ...] | None:
    """`files` with the definitions the task names in place of whole files; None where that would change nothing. Blocking."""
    files: list[str] = []
    for text in prepared.inputs.values():
        part = None if text.whole or len(text.text) < LEAST_CHARS else _part(prepared.order.task, text)
        files.append(text.path if part is None else f"{text.path}#L{part[0]}-{part[1]}")
    return tuple(files) if any(path not in prepared.inputs for path in files) else None


def _part(task: str, text: Document) -> tuple[int, int] | None:
    """The lines of the one definition of this file that the task names."""
    try:
        found = parser_process.symbols(text.path, text.text.encode("utf-8", "surrogatepass")) or []
    except (TimeoutError, OSError):
        return None
    words = set(re.findall(r"\w+", task))
    named = [s for s in found if len(s.name) >= _LEAST_NAME and s.name in words]
    size = len(text.decoded.lines)
    if len(named) != 1 or text.path.rpartition("/")[2].partition(".")[0] == named[0].name:
        return None
    first, last = max(named[0].first - _AROUND, 1), min(named[0].last + _AROUND, size)
    return (first, last) if last - first + 1 <= MOST_SHARE * size else None
