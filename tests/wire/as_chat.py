"""The stub as OpenAI's Chat Completions."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.wire.turns import USAGE, Call, Dialect, Said, Thought, Turn, pieces, sse

STOPS = {
    "end": "stop",
    "tool": "tool_calls",
    "length": "length",
    "refusal": "content_filter",
    "context": "length",
}
ERRORS = {
    "bad": ("Invalid value", "invalid_request_error", "invalid_value"),
    "context": (
        "This model's maximum context length is 400000 tokens.",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    "auth": ("Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
    "permission": ("You may not do this", "invalid_request_error", None),
    "missing": ("The model `stub-e404` does not exist", "invalid_request_error", "model_not_found"),
    "big": ("Request too large", "invalid_request_error", None),
    "rate": ("Rate limit reached", "requests", "rate_limit_exceeded"),
    "quota": ("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
    "overloaded": ("Overloaded", "server_error", "server_is_overloaded"),
}


def frames(turn: Turn, model: str, body: dict[str, Any]) -> list[bytes]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [chunk({"role": "assistant", "content": ""})]
    calls: list[list[dict[str, Any]]] = []
    for block in turn.blocks:
        match block:
            case Thought():
                events += [chunk({"reasoning_content": piece}) for piece in pieces(block.text)]
            case Said():
                events += [chunk({"content": piece}) for piece in pieces(block.text)]
            case Call():
                calls.append(_call(block, len(calls)))
    while any(calls):  # parallel calls arrive interleaved
        events += [chunk({"tool_calls": [fragments.pop(0)]}) for fragments in calls if fragments]
    events.append(chunk({}, STOPS[turn.stop]))
    if (body.get("stream_options") or {}).get("include_usage"):
        events.append(head | {"choices": [], "usage": usage()})
    return [*(sse(event) for event in events), b"data: [DONE]\n\n"]


def _call(block: Call, index: int) -> list[dict[str, Any]]:
    opening = {
        "index": index,
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": ""},
    }
    return [opening, *({"index": index, "function": {"arguments": piece}} for piece in pieces(block.json))]


def usage() -> dict[str, Any]:
    total_in = USAGE["fresh"] + USAGE["cached"] + USAGE["written"]
    return {
        "prompt_tokens": total_in,
        "completion_tokens": USAGE["out"],
        "total_tokens": total_in + USAGE["out"],
        "prompt_tokens_details": {"cached_tokens": USAGE["cached"], "cache_write_tokens": USAGE["written"]},
        "completion_tokens_details": {"reasoning_tokens": USAGE["thought"]},
    }


def error(kind: str) -> dict[str, Any]:
    message, type_, code = ERRORS.get(kind, ("The server had an error", "server_error", None))
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def refusal(kind: str, status: int) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, error(kind), {"retry-after-ms": "3000"} if kind == "rate" else {}


def complaint(body: dict[str, Any]) -> str | None:
    waiting: list[str] = []
    for position, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if not waiting or message["tool_call_id"] != waiting.pop(0):
                return f"messages[{position}]: a tool message must follow its call"
            if not isinstance(message["content"], str) or not message["content"]:
                return f"messages[{position}]: a tool message carries text"
            continue
        if waiting:
            return f"messages[{position}]: an assistant message with tool_calls must be followed by {waiting}"
        calls = message.get("tool_calls") or []
        if message["role"] == "assistant" and not calls and not message["content"]:
            return f"messages[{position}]: content is empty"
        for call in calls:
            if not isinstance(json.loads(call["function"]["arguments"]), dict):
                return f"messages[{position}]: arguments are no object"
            if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call["function"]["name"]) or len(call["id"]) > 64:
                return f"messages[{position}]: illegal name or id"
        waiting = [call["id"] for call in calls]
    return f"unanswered: {waiting}" if waiting else None


DIALECT = Dialect(
    name="chat",
    frames=frames,
    refusal=refusal,
    midway=sse(error("server")),
    stranger=sse(
        {"id": "x", "object": "chat.completion.note", "created": 1, "model": "m", "choices": [], "note": "la"}
    ),
    complaint=complaint,
)
