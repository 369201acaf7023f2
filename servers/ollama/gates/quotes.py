"""What a text quotes: its spans between quotation marks, and those of a JSON answer."""

from __future__ import annotations

import re
from typing import cast


def asks_for_quotes(task: str) -> bool:
    """Whether a task wants the material's own words."""
    return _ASKS.search(task) is not None


def put_in_quotes(answer: str, material: str) -> str:
    """An answer that is lines of the material and nothing else, each in quotation marks; any other as it is."""
    lines = [line.strip().removeprefix("- ") for line in answer.strip().split("\n") if line.strip()]
    there = flat(material)
    if any(mark in answer for mark in '"“«') or not lines or any(flat(line) not in there for line in lines):
        return answer
    return "\n".join(f'"{line}"' for line in lines)


def quoted(text: str) -> list[str]:
    """The spans in double quotes of a text, and its block-quoted lines. ValueError when a quote is left open."""
    spans = [line[1:].strip().strip('"') for line in text.splitlines() if line.startswith(">")]
    for paragraph in re.split(r"\n\s*\n", text):
        plain = "\n".join(line for line in paragraph.splitlines() if not line.startswith(">"))
        if (
            plain.count('"') % 2
            or plain.count("“") != plain.count("”")
            or plain.count("«") != plain.count("»")
        ):
            raise ValueError(f"a quotation mark has no partner in: {plain[:120]!r}")
        spans += [a or b or c for a, b, c in _QUOTED.findall(plain)]
    return [span for span in spans if span.strip()]


def quoted_in_json(value: object, *, quoting: bool = False) -> list[str]:
    """The spans a JSON answer quotes: values under quote-like keys, and what its other texts put in quotes."""
    if isinstance(value, str):
        return [value] if quoting and value.strip() else quoted(value) if not quoting else []
    if isinstance(value, list):
        return [
            span for item in cast("list[object]", value) for span in quoted_in_json(item, quoting=quoting)
        ]
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return [
            s
            for key, item in pairs
            for s in quoted_in_json(item, quoting=quoting or bool(_QUOTING.search(key)))
        ]
    return []


def flat(text: str) -> str:
    """With every run of white space as one space: a quote may be wrapped otherwise than its source."""
    return " ".join(text.split())


_QUOTED = re.compile(r'"([^"]*)"|“([^”]*)”|«([^»]*)»')
_QUOTING = re.compile(r"quot|verbatim|excerpt|evidence", re.IGNORECASE)
_ASKS = re.compile(
    r"\b(?:quote|quotes|verbatim|word for word|exact (?:words?|sentences?|lines?|wording))\b", re.IGNORECASE
)
