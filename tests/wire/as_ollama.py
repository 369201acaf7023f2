"""The stub as Ollama's /api/chat. Real recorded answers stand in wire/ollama/."""

from __future__ import annotations

from typing import Any

from tests.wire.turns import USAGE, Dialect, Said, Thought, Turn, dumps, pieces

ERRORS = {
    "bad": "invalid request",
    "context": "input length exceeds the context length",
    "auth": "unauthorized",
    "permission": "forbidden",
    "missing": "model 'stub-e404' not found",
    "big": "request body too large",
    "rate": "rate limit exceeded",
    "quota": "you have reached your spend limit",
    "unavailable": "server busy, please try again.  maximum pending requests exceeded",
}


def frames(turn: Turn, model: str, body: dict[str, Any]) -> list[bytes]:
    head = {"model": model, "created_at": "2026-11-20T00:00:00.000000000Z"}

    def line(**message: Any) -> dict[str, Any]:
        return head | {"message": {"role": "assistant", "content": "", **message}, "done": False}

    lines: list[dict[str, Any]] = []
    for block in turn.blocks:
        if isinstance(block, Thought):
            lines += [line(thinking=piece) for piece in pieces(block.text)]
        elif isinstance(block, Said):
            lines += [line(content=piece) for piece in pieces(block.text)]
    lines += [
        line(
            tool_calls=[
                {
                    "id": c.id,
                    "function": {"index": i, "name": c.name, "arguments": _arguments(c.written, c.arguments)},
                }
            ]
        )
        for i, c in enumerate(turn.calls)
    ]
    figures = {
        "total_duration": 5_000_000_000,
        "load_duration": 1_000_000_000,
        "prompt_eval_count": USAGE["fresh"] + USAGE["cached"] + USAGE["written"],
        "prompt_eval_cached_count": USAGE["cached"],
        "prompt_eval_duration": 500_000_000,
        "eval_count": USAGE["out"],
        "eval_duration": 3_000_000_000,
    }
    final = (
        line()
        | {"done": True, "done_reason": "length" if turn.stop in ("length", "context") else "stop"}
        | figures
    )
    return [(dumps(each) + "\n").encode() for each in [*lines, final]]


def _arguments(written: str | None, arguments: dict[str, Any]) -> Any:
    return written or arguments


def refusal(kind: str, status: int) -> tuple[int, dict[str, Any], dict[str, str]]:
    return (
        status,
        {"error": ERRORS.get(kind, "something broke")},
        {"retry-after": "3"} if kind == "rate" else {},
    )


def complaint(body: dict[str, Any]) -> str | None:
    """It takes nearly anything; these are the mistakes it makes silently worse."""
    if body.get("truncate") is not False or "num_ctx" not in body["options"]:
        return "the prompt could be cut silently"
    if body["options"].get("num_predict", 0) < 1:
        return "the answer has no cap"
    waiting: list[str] = []
    for position, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if not waiting or message["tool_call_id"] != waiting.pop(0) or not message["tool_name"]:
                return f"messages[{position}]: not the result that is due"
            continue
        if waiting:
            return f"messages[{position}]: results are missing: {waiting}"
        waiting = [call["id"] for call in message.get("tool_calls", ())]
    return f"unanswered: {waiting}" if waiting else None


DIALECT = Dialect(
    name="ollama",
    frames=frames,
    refusal=refusal,
    midway=(dumps({"error": "an error was encountered while running the model: boom"}) + "\n").encode(),
    stranger=b'{"song": "la"}\n',
    complaint=complaint,
    media="application/x-ndjson",
)
