"""What a receipt shows of what a model wrote: fenced, masked and bounded."""

from __future__ import annotations

import difflib
from dataclasses import replace

from ...output import bounded, fenced, masked, visible
from ..gates.answer import Candidate
from .ran import Ran
from .request import Prepared

MAX_DIFF_BYTES = 1_600
MAX_ANSWER_BYTES = 24_000
REJECTED_CHARS = 300


def shown(answer: str, model: str) -> str:
    """A worker's answer for the caller: untrusted text, fenced, masked and bounded."""
    return fenced(bounded(masked(visible(answer)), MAX_ANSWER_BYTES, tail=0.2), f"answer of {model}")


def began(prepared: Prepared, candidate: Candidate | None, ran: Ran) -> str | None:
    """How a rejected answer begins, or the beginning of the change it would have made."""
    if candidate is not None and candidate.files:
        text = "\n".join(line for line in diff_of(prepared, candidate) if line[:3] not in ("---", "+++"))
    else:
        text = ran.answer.text.strip()
    shown = text[:REJECTED_CHARS] + ("..." if len(text) > REJECTED_CHARS else "")
    return fenced(masked(visible(shown)), "rejected") if shown else None


def diff_of(prepared: Prepared, candidate: Candidate) -> list[str]:
    """The change as a unified diff with little context."""
    lines: list[str] = []
    for path, text in candidate.files.items():
        old = prepared.known(path)
        old_lines = old.text.splitlines() if old else []
        lines += difflib.unified_diff(old_lines, text.splitlines(), f"a/{path}", f"b/{path}", "", "", 1, "")
    return lines


def short_diff(prepared: Prepared, candidate: Candidate) -> str | None:
    """The accepted change to files that were there, fenced and bounded; a new file can be read where it lies."""
    there = {path: text for path, text in candidate.files.items() if prepared.known(path)}
    if not there:
        return None
    diff = "\n".join(diff_of(prepared, replace(candidate, files=there)))
    return fenced(bounded(masked(visible(diff)), MAX_DIFF_BYTES, tail=0.2), "diff")


def first_line(text: str | None) -> str | None:
    """Enough of a reason for a list; the whole stands with the gate."""
    return text.splitlines()[0][:300] if text else text
