"""What a tool says: readable errors, bounded text, fences around text nobody vouches for, masked secrets.

Results have two readers, a model and a person. Text from files, commands, git and models is data:
it stands between fences whose random name it cannot guess, shows control characters instead of
obeying them, and never carries a secret onwards.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager

from .characters import CONTROLS, INVISIBLE, JOINERS, escaped

MAX_RESULT_BYTES = 40_000
"""Default cap of one tool result, in UTF-8 bytes."""


class ToolError(Exception):
    """A failure that the model shall read. Not the SDK's class: importing that costs a second of every process."""


@contextmanager
def readable(*kinds: type[Exception]) -> Generator[None]:
    """Turn expected failures into text the model reads; the SDK hides every other exception from it."""
    try:
        yield
    except kinds as exc:
        raise ToolError(explain(exc)) from exc


def explain(exc: BaseException) -> str:
    """One sentence for an exception; an OSError keeps its reason and drops the absolute path."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__


def fenced(text: str, source: str) -> str:
    """`text` between fresh random fences that name where it came from. Our own notes stand outside."""
    mark = secrets.token_hex(4)
    body = text if text.endswith("\n") or not text else text + "\n"
    return f"<<data {mark} {one_line(source)}>>\n{body}<<end {mark}>>"


def visible(text: str) -> str:
    """Control, bidi and zero-width characters as escapes; newlines and tabs stay."""
    if text.isascii() and len(text.encode().translate(None, _UNSEEN_BYTES)) == len(text):
        return text  # most text, found out twenty times quicker than by the expression
    return _UNSEEN.sub(escaped, text) if _UNSEEN.search(text) else text


def one_line(text: str) -> str:
    """`visible` with newlines and tabs escaped as well: for names, headers and errors."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def masked(text: str) -> str:
    """Secrets shortened to their first characters and their length."""
    folded = text.lower()
    for clue, pattern in _BY_CLUE:
        if clue in folded:
            text = pattern.sub(_mask, text)
    return text


def secret_patterns() -> tuple[tuple[tuple[str, ...], str], ...]:
    """The clues and expressions behind `masked`, for a process too small to import this module."""
    return tuple((clue, pattern.pattern) for clue, pattern in zip(_CLUES, _SECRETS, strict=True))


def bounded(text: str, max_bytes: int = MAX_RESULT_BYTES, *, tail: float = 0.0) -> str:
    """`text` in at most `max_bytes` UTF-8 bytes, the cut said in its place.

    `tail` is the share of the room kept for the end, 0 to 1: 0 keeps the head alone.
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) <= max_bytes:
        return text
    note = f"\n... {len(data):,} bytes in all, the rest left out here ...\n"
    room = max(max_bytes - len(note.encode()), 0)
    end = int(room * tail)
    head = data[: room - end].decode("utf-8", "ignore")
    last = data[len(data) - end :].decode("utf-8", "ignore") if end else ""
    return (head + note + last) if room else data[:max_bytes].decode("utf-8", "ignore")


_UNSEEN = re.compile(f"[{CONTROLS}{INVISIBLE}{JOINERS}]")
_UNSEEN_BYTES = bytes(code for code in range(128) if _UNSEEN.match(chr(code)))

# Each in linear time: whatever is repeated before something that may be missing is bounded. And each with its first
# letters first, that they begin a word asked behind them: fifty times quicker than a \b in front, a text at a time.
_SECRETS = [
    re.compile(pattern)
    for pattern in (
        r"(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        r"(?P<keep>gh[pousr]_(?<!\w.{4}))[A-Za-z0-9]{20,}",
        r"(?P<keep>github_pat_(?<!\w.{11}))[A-Za-z0-9_]{20,}",
        r"(?P<keep>glpat-(?<!\w.{6}))[A-Za-z0-9_-]{16,}",
        r"(?P<keep>sk-(?<!\w.{3})(?:ant-|proj-)?)[A-Za-z0-9_-]{20,}",
        r"(?P<keep>A[KS]IA(?<!\w.{4}))[A-Z0-9]{16}\b",
        r"(?P<keep>AIza(?<!\w.{4}))[A-Za-z0-9_-]{35}",
        r"(?P<keep>xox[abeoprs]-(?<!\w.{5}))[A-Za-z0-9-]{10,}",
        r"(?P<keep>hf_(?<!\w.{3}))[A-Za-z0-9]{20,}",
        r"(?P<keep>npm_(?<!\w.{4}))[A-Za-z0-9]{30,}",
        r"(?P<keep>pypi-(?<!\w.{5}))[A-Za-z0-9_-]{40,}",
        r"\b(?P<keep>[sr]k_live_)[A-Za-z0-9]{16,}",
        r"(?P<keep>eyJ(?<!\w.{3}))[A-Za-z0-9_-]{8,2000}+\.[A-Za-z0-9_-]{8,8000}+\.[A-Za-z0-9_-]{8,}",
        r"(?P<keep>://[^\s/:@]{1,64}:)[^\s/@]{3,}(?=@)",
        r"(?i)\b(?P<keep>(?:aws_secret_access_key|authorization:\s{0,20}+(?:bearer|basic))\s{0,20}+[=:]?\s{0,20}+)[A-Za-z0-9/+=._-]{20,}",
    )
]

_CLUES = (
    ("private key",), ("gh",), ("github_pat_",), ("glpat-",), ("sk-",), ("akia", "asia"), ("aiza",), ("xox",),
    ("hf_",), ("npm_",), ("pypi-",), ("k_live_",), ("eyj",), ("://",), ("aws_secret_access_key", "authorization"),
)  # fmt: skip
"""What must occur, in lower case, before the expression of the same place is tried."""
_BY_CLUE = tuple((clue, pattern) for clues, pattern in zip(_CLUES, _SECRETS, strict=True) for clue in clues)


def _mask(match: re.Match[str]) -> str:
    kept = match.group("keep")
    lost = match.group()[len(kept) :]
    return f"{kept}[{len(lost)} characters masked]" + "\n" * lost.count("\n")  # line numbers stay true


__all__ = [
    "MAX_RESULT_BYTES",
    "ToolError",
    "bounded",
    "explain",
    "fenced",
    "masked",
    "one_line",
    "readable",
    "secret_patterns",
    "visible",
]
