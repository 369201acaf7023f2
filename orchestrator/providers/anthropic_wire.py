"""Requests and answers in the words of Anthropic's Messages API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from ..types import Delta, Image, Part, Request, Stop, Text, Thinking, ToolCall, ToolResult, Usage
from .answer_schemas import CLAUDE, bound
from .assembler import Assembly
from .portable_history import sides
from .sanitize import count

ANSWER_TOKENS = 16_000
"""This API demands a cap; this one stands where the request sets none, and the model can write so much."""
_SHORTER = {r"claude-(2|instant|3-(opus|sonnet|haiku))": 4096, r"claude-3-5": 8192}
SAMPLING_VERSION = "2023-06-01"
"""The last API version that takes a temperature, top_p and top_k."""
STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tool",
    "max_tokens": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
    "model_context_window_exceeded": "context",
}


def body_of(request: Request, *, hosted: bool) -> dict[str, Any]:
    """`hosted`: Anthropic's own service, where the conversation so far is kept in the prompt cache."""
    output: dict[str, Any] = {}
    request, form = bound(request, CLAUDE)
    if form is not None:
        output["format"] = {"type": "json_schema", "schema": form}
    if isinstance(request.think, str):
        output["effort"] = request.think
    extra: dict[str, Any] = dict(request.options)
    headers: dict[str, str] = {}
    if request.temperature is not None:
        extra["temperature"] = request.temperature
    if extra.keys() & {"temperature", "top_p", "top_k"}:
        headers["anthropic-version"] = SAMPLING_VERSION
    tools = [_tool(t.name, t.description, dict(t.parameters)) for t in request.tools]
    choice = _choice(request.tool_choice) if tools else None
    if not tools and (used := {c.name for m in request.messages for c in m.tool_calls}):
        # Tools named in the history must be declared, even where none is offered any more.
        tools, choice = [_tool(name, "No longer offered.", {}) for name in sorted(used)], {"type": "none"}
    going_on = len(request.messages) > 1 or request.tools
    body: dict[str, Any] = {
        "model": request.model_name,
        "max_tokens": request.max_tokens or _most(request.model_name),
        "system": request.system or None,
        "messages": [{"role": role, "content": _blocks(parts)} for role, parts in sides(request.messages)],
        "tools": tools or None,
        "tool_choice": choice,
        "thinking": _thinking(request.think),
        "output_config": output or None,
        "cache_control": {"type": "ephemeral"} if going_on and hosted else None,
        "extra_body": extra or None,
        "extra_headers": headers or None,
    }
    return {key: value for key, value in body.items() if value is not None} | {"stream": True}


def begin(parts: Assembly, index: int, block: Any) -> Delta | None:
    """Compatible servers may put the whole content here, where the vendor leaves it empty."""
    match block.type:
        case "tool_use":
            parts.call(index, block.name, id=block.id)
            if block.input:
                parts.arguments(index, json.dumps(block.input))
        case "redacted_thinking":
            parts.seal(index, "thinking", redacted=block.data)
        case "text" if block.text:
            return parts.text(index, block.text)
        case "thinking" if block.thinking:
            return parts.thinking(index, block.thinking)
        case _:
            pass
    return None


def grow(parts: Assembly, index: int, delta: Any) -> Delta | None:
    match delta.type:
        case "text_delta":
            return parts.text(index, delta.text)
        case "thinking_delta":
            return parts.thinking(index, delta.thinking)
        case "signature_delta":
            parts.seal(index, "thinking", signature=delta.signature)
        case "input_json_delta":
            parts.arguments(index, delta.partial_json)
        case _:
            pass
    return None


def usage_of(before: Usage, said: Any) -> Usage:
    """`input_tokens` here excludes what went through the cache; ours includes it. Later figures replace earlier."""
    read = _or(count(said.cache_read_input_tokens), before.cached_tokens)
    written = _or(count(said.cache_creation_input_tokens), before.cache_write_tokens)
    details = said.output_tokens_details
    fresh = count(said.input_tokens)
    return Usage(
        input_tokens=before.input_tokens if fresh is None else fresh + (read or 0) + (written or 0),
        cached_tokens=read,
        cache_write_tokens=written,
        output_tokens=_or(count(said.output_tokens), before.output_tokens),
        thinking_tokens=_or(count(details.thinking_tokens) if details else None, before.thinking_tokens),
    )


def _most(model: str) -> int:
    return next((cap for older, cap in _SHORTER.items() if re.match(older, model)), ANSWER_TOKENS)


def _or(new: int | None, old: int | None) -> int | None:
    return old if new is None else new


def _blocks(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """Words after a call are refused; they move before the first."""
    blocks = [block for part in parts if (block := _block(part)) is not None]
    first = next((at for at, block in enumerate(blocks) if block["type"] == "tool_use"), len(blocks))
    late = [block for block in blocks[first:] if block["type"] == "text"]
    return [*blocks[:first], *late, *(block for block in blocks[first:] if block["type"] != "text")]


def _block(part: Part) -> dict[str, Any] | None:
    match part:
        case Text():
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case Image():
            return {"type": "image", "source": {"type": "base64", "media_type": part.mime, "data": part.data}}
        case Thinking(seal={"redacted": data}):
            return {"type": "redacted_thinking", "data": data}
        case Thinking(seal={"signature": signature}):
            return {"type": "thinking", "thinking": part.text, "signature": signature}
        case Thinking():
            return None  # an unsigned thought is refused
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": dict(part.arguments)}
        case ToolResult():
            content = [block for inner in part.content if (block := _block(inner)) is not None]
            return {
                "type": "tool_result",
                "tool_use_id": part.call_id,
                "is_error": part.is_error,
                "content": content,
            }


def _tool(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": description, "input_schema": {"type": "object"} | schema}


def _choice(choice: str | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    return {"type": "any"} if choice == "any" else {"type": "tool", "name": choice}


def _thinking(think: bool | str | None) -> dict[str, Any] | None:
    if think is None:
        return None
    return {"type": "adaptive", "display": "summarized"} if think else {"type": "disabled"}
