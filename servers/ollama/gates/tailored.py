"""Code made for the cases of its check alone: it names what the check compares with, and the code before did not."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LITERAL = r"\"[^\"\n]{2,}\"|'[^'\n]{2,}'|(?<![\w.])-?\d{2,}(?:\.\d+)?(?![\w.])"
_DIGIT = r"(?<![\w.])[2-9](?![\w.])"
_COMPARED = re.compile(
    rf"(?:[=!]==?|\bcase|\bin)\s*[(\[{{]?\s*({_LITERAL}|{_DIGIT})|({_LITERAL}|{_DIGIT})\s*[=!]==?"
)
_COMMENT = re.compile(r"(?:^|\s)(?:#|//).*$", re.MULTILINE)


def tailored(before: str, after: str, checks: Iterable[str]) -> str | None:
    """What a change names of its check's cases: one that it compares with, or two anywhere; None where it names none."""
    had = set(before.split("\n"))
    added = _COMMENT.sub("", "\n".join(line for line in after.split("\n") if line not in had))
    known = _literals(before)
    checked = "\n".join(checks)
    cases = _literals(checked) - known
    compared = [a or b for a, b in _COMPARED.findall(added)]
    digits = _digits(checked) - _digits(before)
    named = next((literal for literal in compared if _bare(literal) in cases | digits), None)
    if named is None:
        several = [literal for literal in _literals(added) if literal in cases]
        named = several[0] if len(several) > 1 else None
    return None if named is None else f"it names {named[:60]}, a case of its check"


def _literals(text: str) -> set[str]:
    return {_bare(literal) for literal in re.findall(_LITERAL, text)}


def _digits(text: str) -> set[str]:
    return set(re.findall(_DIGIT, text))


def _bare(literal: str) -> str:
    return literal.strip("\"'")
