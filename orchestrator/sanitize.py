"""Text nobody vouches for, made safe and short for a screen: controls are shown, never obeyed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from servers.characters import CONTROLS, INVISIBLE, escaped

_UNSEEN = re.compile(f"[{CONTROLS}{INVISIBLE}]")
"""The joiners U+200C and U+200D stay: emoji and several scripts are written with them."""


def visible(text: str) -> str:
    """Controls, bidi marks, invisible characters and lone surrogates as escapes; newlines and tabs stay."""
    return _UNSEEN.sub(escaped, text)


def one_line(text: str, limit: int = 160) -> str:
    """`text` on one line of at most `limit` characters, the cut said."""
    flat = visible(" ".join(text[: limit * 8].split()))
    if len(flat) <= limit and len(text) <= limit * 8:
        return flat
    note = f"... ({len(text):,} characters)"
    return flat[: max(limit - len(note), 0)] + note


def clipped(text: str, limit: int = 4000) -> str:
    """At most `limit` characters of a longer text, the cut said."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text):,} characters)"


def shown_arguments(arguments: Mapping[str, Any], limit: int = 160) -> str:
    """The arguments of a tool call in short: `path="a.txt" edits=[2 items]`."""
    return one_line(" ".join(f"{name}={_shown(value)}" for name, value in arguments.items()), limit)


def shown_text(text: str, limit: int = 100) -> str:
    """What a tool said in short: its size when it is long, and how it begins."""
    lines = text.count("\n") + (not text.endswith("\n")) if text else 0
    first = next((line for line in text[:4000].split("\n") if line.strip()), "")
    size = f"{lines:,} lines: " if lines > 1 else ""
    return f"{size}{one_line(first, limit)}" if first else "nothing"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(one_line(value, 60), ensure_ascii=False)
    if isinstance(value, list | tuple) and len(value) > 3:
        return f"[{len(value)} items]"
    if isinstance(value, Mapping) and len(value) > 3:
        return f"{{{len(value)} keys}}"
    return one_line(json.dumps(value, ensure_ascii=False, default=str), 60)
