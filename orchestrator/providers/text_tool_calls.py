"""Tool calls that a small model printed as text instead of making them.

Only what names a tool that was really offered is taken, and only when nothing but the call (and the marks
models put around it) is left of the text around it or the model used such a mark.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..types import Message, Part, Text, ToolCall
from .assembler import new_call_id

_MARKED = re.compile(
    r"<tool_call>\s*(?P<a>.*?)\s*(?:</tool_call>|\Z)"
    r"|\[TOOL_CALLS\]\s*(?P<b>\[.*\]|\{.*\})"
    r"|<\|python_tag\|>\s*(?P<c>\{.*\})"
    r"|<function=(?P<name>[\w.-]+)>\s*(?P<d>\{.*?\})\s*</function>"
    r"|^```(?:json|tool_call|tool_code)?\s*\n(?P<e>.*?)\n```\s*$",
    re.DOTALL | re.MULTILINE,
)
MAX_CALLS = 32


def rescued(message: Message, names: Mapping[str, str]) -> Message:
    """`message` with printed calls made real; unchanged when it has calls or prints none.

    `names` are the tools offered: the name on the wire, and the name it stands for.
    """
    if message.tool_calls or not names:
        return message
    parts: list[Part] = []
    for part in message.parts:
        calls, rest = _calls(part.text, names) if isinstance(part, Text) else ([], "")
        if not calls:
            parts.append(part)
            continue
        if rest and isinstance(part, Text):
            parts.append(replace(part, text=rest))
        parts += calls
    return replace(message, parts=tuple(parts))


def _calls(text: str, names: Mapping[str, str]) -> tuple[list[ToolCall], str]:
    """(calls, the text around them); no calls when anything about them is doubtful."""
    whole = _parsed(text.strip(), None, names)
    if whole:
        return whole, ""
    found: list[ToolCall] = []
    for match in _MARKED.finditer(text):
        written = next((match[group] for group in "abcde" if match[group]), "")
        found += _parsed(written, match["name"], names)
    return (found[:MAX_CALLS], _MARKED.sub("", text).strip()) if found else ([], text)


def _parsed(written: str, name: str | None, names: Mapping[str, str]) -> list[ToolCall]:
    if not written.startswith(("{", "[")):
        return []
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        return []
    if name is not None:
        value = {"name": name, "arguments": value}
    calls = [_call(item, names) for item in (value if isinstance(value, list) else [value])]
    return [call for call in calls if call] if all(calls) else []


def _call(value: Any, names: Mapping[str, str]) -> ToolCall | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = value.get("name") or value.get("tool") or (inner if isinstance(inner, str) else None)
    arguments = value.get("arguments", value.get("parameters", value.get("args")))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    meant = names.get(str(name), str(name))
    if meant not in names.values() or not isinstance(arguments, dict):
        return None
    return ToolCall(id=new_call_id(), name=meant, arguments=arguments)
