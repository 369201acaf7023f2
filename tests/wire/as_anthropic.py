"""The stub as Anthropic's Messages API."""

from __future__ import annotations

import re
from typing import Any

from tests.wire.turns import USAGE, Call, Dialect, Said, Thought, Turn, pieces, seal, sse

SEAL = seal("anthropic")
STOPS = {
    "end": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "context": "model_context_window_exceeded",
}
ERRORS = {
    "bad": ("invalid_request_error", "messages.0: something is not as it should be"),
    "context": ("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
    "auth": ("authentication_error", "invalid x-api-key"),
    "permission": ("permission_error", "your key may not do this"),
    "missing": ("not_found_error", "model: stub-e404"),
    "big": ("request_too_large", "Request exceeds the maximum size"),
    "rate": ("rate_limit_error", "This would exceed your rate limit"),
    "quota": ("rate_limit_error", "You have reached your spend limit"),
    "overloaded": ("overloaded_error", "Overloaded"),
}


def frames(turn: Turn, model: str, body: dict[str, Any]) -> list[bytes]:
    start_usage = {
        "input_tokens": USAGE["fresh"],
        "output_tokens": 1,
        "cache_read_input_tokens": USAGE["cached"],
        "cache_creation_input_tokens": USAGE["written"],
    }
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": []}
    events: list[dict[str, Any]] = [
        {
            "type": "message_start",
            "message": head | {"stop_reason": None, "stop_sequence": None, "usage": start_usage},
        },
        {"type": "ping"},
    ]
    for index, block in enumerate(turn.blocks):
        opening, deltas = _block(block)
        events.append({"type": "content_block_start", "index": index, "content_block": opening})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    end_usage = {
        "output_tokens": USAGE["out"],
        "output_tokens_details": {"thinking_tokens": USAGE["thought"]},
    }
    events += [
        {
            "type": "message_delta",
            "delta": {"stop_reason": STOPS[turn.stop], "stop_sequence": None},
            "usage": end_usage,
        },
        {"type": "message_stop"},
    ]
    return [sse(event, named=True) for event in events]


def _block(block: Thought | Said | Call) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block:
        case Thought():
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block.text)]
            return {"type": "thinking", "thinking": "", "signature": ""}, [
                *deltas,
                {"type": "signature_delta", "signature": SEAL},
            ]
        case Said():
            return {"type": "text", "text": ""}, [
                {"type": "text_delta", "text": p} for p in pieces(block.text)
            ]
        case Call():
            deltas = [
                {"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(block.json)]
            ]
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": {}}, deltas


def error(kind: str) -> dict[str, Any]:
    type_, message = ERRORS.get(kind, ("api_error", "Internal server error"))
    return {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}


def refusal(kind: str, status: int) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, error(kind), {"request-id": "req_1"} | ({"retry-after": "3"} if kind == "rate" else {})


def complaint(body: dict[str, Any]) -> str | None:
    """The rules its documentation and its users' error messages give."""
    waiting: list[str] = []
    role = "assistant"
    for position, message in enumerate(body["messages"]):
        blocks = message["content"]
        if message["role"] == role:
            return f"messages.{position}: roles must alternate"
        role = message["role"]
        if not blocks:
            return f"messages.{position}: all messages must have non-empty content"
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        if results != waiting:
            return f"messages.{position}: tool_use ids were found without tool_result blocks immediately after: {waiting}"
        if any(b["type"] == "tool_result" for b in blocks[len(results) :]):
            return f"messages.{position}: tool_result blocks must come first"
        kinds = [b["type"] for b in blocks]
        if "tool_use" in kinds and "text" in kinds[kinds.index("tool_use") :]:
            return f"messages.{position}: text after tool_use"
        waiting = [b["id"] for b in blocks if b["type"] == "tool_use"]
        for block in blocks:
            if why := _refused(block):
                return f"messages.{position}: {why}"
    return f"unanswered: {waiting}" if waiting else None


def _refused(block: dict[str, Any]) -> str | None:
    match block:
        case {"type": "text", "text": text} if not text.strip():
            return "text content blocks must be non-empty"
        case {"type": "thinking", "signature": signature} if signature != SEAL:
            return "Invalid signature in thinking block"
        case {"type": "tool_use", "id": id, "name": name} if not (
            re.fullmatch(r"[a-zA-Z0-9_-]+", id) and re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name)
        ):
            return f"tool_use: {id!r} or {name!r} does not match the pattern"
        case _:
            return None


DIALECT = Dialect(
    name="anthropic",
    frames=frames,
    refusal=refusal,
    midway=sse(error("overloaded"), named=True),
    stranger=sse({"type": "content_block_sung", "index": 0, "song": "la"}, named=True),
    complaint=complaint,
    first=4,
)
