"""Comments asked for in another language than Python: the code is what it was, and each function has one of its own above it."""

from __future__ import annotations

import re

from ...source import grammars, parser_process
from .docstrings import opposite


def wanted(task: str) -> bool:
    """Whether a task is about comments on functions."""
    return _WANTED.search(task) is not None


def judge(path: str, before: str, after: str, *, every: bool) -> tuple[str | None, str | None]:
    """(fault, doubt) of a file that is to be the same code with comments that say something. LookupError where nothing can be said."""
    if not grammars.has_grammar(path):
        raise LookupError(path)
    mark = _HASH if path.lower().endswith((".rb", ".sh", ".bash")) else _SLASH
    if re.findall(r"\w+|[^\w\s]", mark.sub(" ", before)) != re.findall(r"\w+|[^\w\s]", mark.sub(" ", after)):
        return "the code changed too; only comments were asked for", None
    try:
        symbols = parser_process.symbols(path, after.encode("utf-8", "surrogatepass")) or []
    except (TimeoutError, OSError):
        raise LookupError(path) from None
    lines = after.split("\n")
    functions = [s for s in symbols if "(" in s.signature and "=>" not in s.signature.partition("(")[0]]
    bare = [s.name for s in functions if not _COMMENT_END.search(lines[s.first - 2] if s.first > 1 else "")]
    if every and bare and len(functions) > 0:
        return f"{bare[0]} has no comment above it", None
    if len(mark.findall(after)) <= len(mark.findall(before)):
        return "no comment was added", None
    above = {s.name: _above(lines, s.first - 1) for s in functions}
    doubts = (opposite(name, words) for name, words in above.items())
    return _alike(above) or _of_another(above), next((doubt for doubt in doubts if doubt), None)


def _above(lines: list[str], first: int) -> str:
    """The words of the comment that ends right above a line, without its signs."""
    found: list[str] = []
    for line in reversed(lines[:first]):
        if not _COMMENT_END.search(line) and not (found and re.match(r"\s*/?\*", line)):
            break
        found.insert(0, line)
        if re.match(r"\s*/\*", line):
            break
    return " ".join(re.sub(r"[/*#\s]+", " ", " ".join(found)).split())


def _alike(above: dict[str, str]) -> str | None:
    """Two functions with the same words above them."""
    said: dict[str, str] = {}
    for name, words in above.items():
        if words and (other := said.setdefault(words.casefold(), name)) != name:
            return f"{other} and {name} have the same comment: {words[:80]!r}"
    return None


def _of_another(above: dict[str, str]) -> str | None:
    """A comment that begins with the name of another function."""
    for name, words in above.items():
        first = words.partition(" ")[0].strip("`():.,")
        if first != name and first in above and re.fullmatch(r"\w+[A-Z_]\w*|[A-Z]\w*", first):
            return f"the comment above {name} speaks of {first}: {words[:80]!r}"
    return None


_WANTED = re.compile(
    r"\b(?:js ?docs?|java ?docs?|go ?docs?|doc(?:umentation)? comments?|docstrings?|rustdoc|ya?rd)\b"
    r"|\bcomments?\b[^.]{0,20}\b(?:above|over|for|to|before)\s+(?:each|every|all|both)\b|\bkommentar\w*\s+(?:über|zu|vor)\s+(?:jede|alle)",
    re.IGNORECASE,
)
_SLASH = re.compile(r"/\*[\s\S]*?\*/|(?<![:\"'/])//[^\n]*")
_HASH = re.compile(r"^[ \t]*#(?!!)[^\n]*", re.MULTILINE)
_COMMENT_END = re.compile(r"\*/\s*$|^\s*(?://|#|@)")
