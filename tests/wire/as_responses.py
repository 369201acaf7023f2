"""The stub as OpenAI's Responses API."""

from __future__ import annotations

import json
from typing import Any

from tests.wire import as_chat
from tests.wire.turns import USAGE, Call, Dialect, Said, Thought, Turn, pieces, seal, sse

SEAL = seal("responses")


def frames(turn: Turn, model: str, body: dict[str, Any]) -> list[bytes]:
    items = [_item(index, block) for index, block in enumerate(turn.blocks)]
    blank = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": model,
        "status": "in_progress",
        "output": [],
        "error": None,
        "incomplete_details": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": blank},
        {"type": "response.in_progress", "response": blank},
    ]
    for index, (block, item) in enumerate(zip(turn.blocks, items, strict=True)):
        events += _events(index, block, item)
    final = blank | {"status": "completed", "output": items, "usage": usage()}
    if turn.stop in ("length", "refusal", "context"):
        reason = "content_filter" if turn.stop == "refusal" else "max_output_tokens"
        final |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
    events.append({"type": f"response.{final['status']}", "response": final})
    return [sse(event | {"sequence_number": n}, named=True) for n, event in enumerate(events)]


def _item(index: int, block: Thought | Said | Call) -> dict[str, Any]:
    match block:
        case Thought():
            summary = [{"type": "summary_text", "text": block.text}]
            return {"type": "reasoning", "id": f"rs_{index}", "summary": summary, "encrypted_content": SEAL}
        case Said():
            content = [{"type": "output_text", "text": block.text, "annotations": []}]
            return {
                "type": "message",
                "id": f"msg_{index}",
                "role": "assistant",
                "status": "completed",
                "phase": "final_answer",
                "content": content,
            }
        case Call():
            call = {"type": "function_call", "id": f"fc_{index}", "call_id": block.id, "name": block.name}
            return call | {"arguments": block.json, "status": "completed"}


def _events(index: int, block: Thought | Said | Call, item: dict[str, Any]) -> list[dict[str, Any]]:
    at = {"output_index": index, "item_id": item["id"]}
    match block:
        case Thought():
            opening = item | {"summary": [], "encrypted_content": "partial"}
            kind, more = "response.reasoning_summary_text.delta", {"summary_index": 0}
            middle = [{"type": kind, "delta": piece, **at, **more} for piece in pieces(block.text)]
        case Said():
            opening = item | {"content": [], "status": "in_progress"}
            kind, more = "response.output_text.delta", {"content_index": 0, "logprobs": list[Any]()}
            middle = [{"type": kind, "delta": piece, **at, **more} for piece in pieces(block.text)]
        case Call():
            opening = item | {"arguments": "", "status": "in_progress"}
            kind = "response.function_call_arguments.delta"
            middle = [{"type": kind, "delta": piece, **at} for piece in pieces(block.json)]
    return [
        {"type": "response.output_item.added", "output_index": index, "item": opening},
        *middle,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def usage() -> dict[str, Any]:
    total_in = USAGE["fresh"] + USAGE["cached"] + USAGE["written"]
    return {
        "input_tokens": total_in,
        "output_tokens": USAGE["out"],
        "total_tokens": total_in + USAGE["out"],
        "input_tokens_details": {"cached_tokens": USAGE["cached"], "cache_write_tokens": USAGE["written"]},
        "output_tokens_details": {"reasoning_tokens": USAGE["thought"]},
    }


def complaint(body: dict[str, Any]) -> str | None:
    waiting: list[str] = []
    for position, item in enumerate(body["input"]):
        match item.get("type", "message"):
            case "function_call":
                if not isinstance(json.loads(item["arguments"]), dict) or len(item["call_id"]) > 64:
                    return f"input[{position}]: illegal function_call"
                waiting.append(item["call_id"])
            case "function_call_output":
                if item["call_id"] not in waiting:
                    return f"No tool call found for function call output with call_id {item['call_id']}"
                waiting.remove(item["call_id"])
            case "reasoning":
                if item["encrypted_content"] != SEAL:
                    return f"input[{position}]: The encrypted content could not be verified"
            case _:
                if waiting and item["role"] != "assistant":
                    return f"No tool output found for function call {waiting[0]}"
                if not item["content"]:
                    return f"input[{position}]: content is empty"
    return f"No tool output found for function call {waiting[0]}" if waiting else None


DIALECT = Dialect(
    name="responses",
    frames=frames,
    refusal=as_chat.refusal,
    midway=sse(
        {"type": "error", "code": "server_error", "message": "boom", "param": None, "sequence_number": 9},
        named=True,
    ),
    stranger=sse({"type": "response.song.delta", "delta": "la", "sequence_number": 9}, named=True),
    complaint=complaint,
    first=4,
)
