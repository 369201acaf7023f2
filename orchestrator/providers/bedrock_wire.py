"""Requests and answers in the words of Bedrock's Converse. Bytes are base64 text on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..types import Delta, Image, Part, Request, Stop, Text, Thinking, ToolCall, ToolResult, Usage
from .answer_schemas import CLAUDE, bound
from .assembler import Assembly
from .portable_history import sides
from .sanitize import count

STOPS: dict[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tool",
    "max_tokens": "length",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
    "model_context_window_exceeded": "context",
}
MALFORMED = ("malformed_model_output", "malformed_tool_use")


def body_of(request: Request) -> dict[str, Any]:
    inference: dict[str, Any] = {"maxTokens": request.max_tokens, "temperature": request.temperature}
    more = dict(request.options)
    inference |= {key: more.pop(key) for key in ("topP", "stopSequences") if key in more}
    output: dict[str, Any] = {}
    claude = "anthropic" in request.model_name or "claude" in request.model_name
    if request.think is not None and claude:
        more["thinking"] = (
            {"type": "adaptive", "display": "summarized"} if request.think else {"type": "disabled"}
        )
    if isinstance(request.think, str):
        output["effort"] = request.think
    request, form = bound(request, CLAUDE)
    if form is not None:
        written = json.dumps(form)
        output["textFormat"] = {
            "type": "json_schema",
            "structure": {"jsonSchema": {"name": "answer", "schema": written}},
        }
    body: dict[str, Any] = {
        "messages": [{"role": role, "content": _blocks(parts)} for role, parts in sides(request.messages)],
        "system": [{"text": request.system}] if request.system.strip() else None,
        "inferenceConfig": {k: v for k, v in inference.items() if v is not None} or None,
        "toolConfig": _tools(request),
        "outputConfig": output or None,
        "additionalModelRequestFields": more or None,
    }
    return {key: value for key, value in body.items() if value is not None}


def grow(parts: Assembly, event: dict[str, Any]) -> Delta | None:
    """One contentBlockStart or contentBlockDelta. Text and reasoning come without a start."""
    index: int = event["contentBlockIndex"]
    if call := event.get("start", {}).get("toolUse"):
        parts.call(index, call["name"], id=call["toolUseId"])
        return None
    match event.get("delta", {}):
        case {"text": str(text)}:
            return parts.text(index, text)
        case {"toolUse": {"input": str(fragment)}}:
            parts.arguments(index, fragment)
        case {"reasoningContent": {"text": str(text)}}:
            return parts.thinking(index, text)
        case {"reasoningContent": {"signature": str(signature)}}:
            parts.seal(index, "thinking", signature=signature)
        case {"reasoningContent": {"redactedContent": str(redacted)}}:
            parts.seal(index, "thinking", redacted=redacted)
        case _:
            pass
    return None


def usage_of(said: dict[str, Any]) -> Usage:
    """`inputTokens` here excludes what went through the cache; ours includes it."""
    fresh, read, written = (
        count(said.get(k)) for k in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    )
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        cached_tokens=read,
        cache_write_tokens=written,
        output_tokens=count(said.get("outputTokens")),
    )


def _blocks(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [block for part in parts if (block := _block(part)) is not None]


def _block(part: Part) -> dict[str, Any] | None:
    match part:
        case Text():
            return {"text": part.text} if part.text.strip() else None
        case Image():
            return {"image": {"format": part.mime.removeprefix("image/"), "source": {"bytes": part.data}}}
        case Thinking(seal={"redacted": data}):
            return {"reasoningContent": {"redactedContent": data}}
        case Thinking(seal={"signature": signature}):
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": signature}}}
        case Thinking():
            return None
        case ToolCall():
            return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": dict(part.arguments)}}
        case ToolResult():
            status = "error" if part.is_error else "success"
            return {
                "toolResult": {"toolUseId": part.call_id, "status": status, "content": _blocks(part.content)}
            }


def _tools(request: Request) -> dict[str, Any] | None:
    """Tools named in the history must be declared, even where none is offered any more."""
    specs = [_spec(t.name, t.description, dict(t.parameters)) for t in request.tools]
    if not specs:
        used = dict.fromkeys(call.name for message in request.messages for call in message.tool_calls)
        specs = [_spec(name, "No longer offered.", {}) for name in used]
        return {"tools": specs} if specs else None
    match request.tool_choice:
        case None:
            return {"tools": specs}
        case "any":
            return {"tools": specs, "toolChoice": {"any": {}}}
        case name:
            return {"tools": specs, "toolChoice": {"tool": {"name": name}}}


def _spec(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": name, "inputSchema": {"json": {"type": "object"} | schema}}
    return {"toolSpec": spec | ({"description": description} if description.strip() else {})}
