"""What a change does to a text: lines added and removed, definitions lost."""

from __future__ import annotations

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Sequence

from ...source import parser_process
from .python_code import definitions, statements


def changed_lines(old: str, new: str) -> tuple[int, int]:
    """(added, removed) lines, as a diff counts them."""
    added = removed = 0
    for line in difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm=""):
        added += line.startswith("+") and not line.startswith("+++ ")
        removed += line.startswith("-") and not line.startswith("--- ")
    return added, removed


def lost_definitions(path: str, old: str, new: str) -> list[str]:
    """Functions, classes and methods that a new text has no more; none where that cannot be said."""
    had, has = _defined(path, old), _defined(path, new)
    if had is None or has is None:
        return []
    lost = [name for name in had if name not in has]
    return [name for name in lost if name.rpartition(".")[0] not in lost]


def removal_asked(task: str, name: str, lost: Sequence[str]) -> bool:
    """Whether a task speaks of removing or replacing things, and names this one, or none of those that are gone."""
    if not removes(task):
        return False
    named = [other for other in lost if re.search(rf"\b{re.escape(other.rpartition('.')[2])}\b", task)]
    return not named or name in named


def removes(task: str) -> bool:
    """Whether a task speaks of removing or replacing things."""
    return _REMOVES.search(task) is not None


def shrunk(path: str, old: str, new: str, task: str) -> str | None:
    """A rewrite that lost a good part of the lines, of which the task says nothing; in Python, of its statements at the top."""
    had, has = (len([line for line in text.split("\n") if line.strip()]) for text in (old, new))
    if had < _FEW or has >= _LEFT * had or removes(task) or _SHORTENS.search(task):
        return None
    if path.lower().endswith((".py", ".pyi")) and statements(new) >= statements(old):
        return None  # the same, said more shortly
    return f"of {had} lines {has} are left, and the task does not say to remove any"


def lost_comment(path: str, old: str, new: str, task: str) -> str | None:
    """A comment on a line of its own that is gone, although the line it stands above is there and the task speaks of neither."""
    mark = _COMMENT_MARKS.get(path.lower().rpartition(".")[2])
    if mark is None or removes(task) or re.search(r"comment|kommentar|tidy|doc", task, re.IGNORECASE):
        return None
    before, after = (
        Counter(line.strip() for line in text.split("\n") if line.strip()) for text in (old, new)
    )
    lines = [line.strip() for line in old.split("\n") if line.strip()]
    behind = re.compile(rf"^(?P<code>[^\"'{mark[0]}]*[^\"'{mark[0]}\s])\s+(?P<comment>{mark}\s*\w.*)$")
    told = {line.partition(mark)[2].strip() for line in new.split("\n") if mark in line}
    for line in lines:
        found = behind.match(line) if len(line) <= _LONGEST else None
        if found and found["code"] in after and found["comment"].removeprefix(mark).strip() not in told:
            return f"the comment {found['comment'][:60]!r} is gone, and the task does not say so"
    for comment, below in itertools.pairwise(lines):
        kept = below in after and after[below] >= before[below]
        if comment.startswith(mark) and any(c.isalnum() for c in comment) and comment not in after and kept:
            return f"the comment {comment[:60]!r} is gone, and the task does not say so"
    return None


def _defined(path: str, text: str) -> list[str] | None:
    if path.lower().endswith((".py", ".pyi")):
        return definitions(text)
    try:
        found = parser_process.symbols(path, text.encode("utf-8", "surrogatepass"))
    except (TimeoutError, OSError):
        return None
    return None if found is None else [symbol.name for symbol in found if symbol.level <= 1]


_COMMENT_MARKS: dict[str, str] = {
    **dict.fromkeys(["py", "pyi", "sh", "toml", "yaml", "yml", "rb", "env", "cfg", "ini", "conf"], "#"),
    **dict.fromkeys(
        ["js", "ts", "jsx", "tsx", "go", "rs", "java", "c", "cpp", "cs", "php", "swift", "kt"], "//"
    ),
}
_LONGEST = 500
"""Characters of a line that is code and a comment."""
_FEW = 5
_LEFT = 0.7
"""A file of some lines has at least so much of them after a change."""
_SHORTENS = re.compile(
    r"\b(?:summar|short|condens|trim|dedup|duplicat|unique|distinct|minif|compress|compact|one line|single line|only|filter|keep|sort|"
    r"join|format|group|collapse|top \d|first \d|last \d|translat|kürz|zusammenfass|nur)",
    re.IGNORECASE,
)
_REMOVES = re.compile(
    r"\b(?:remov|delet|drop|renam|mov|merg|inlin|replac|extract|split|simplif|refactor|rewrit|consolidat|convert|unused|dead|"
    r"unnecessary|clean|instead of|into|entfern|lösch|weg\b|raus\b|streich|umbenenn|ersetz|supprim|renomm|elimin|borra|reemplaz)",
    re.IGNORECASE,
)
