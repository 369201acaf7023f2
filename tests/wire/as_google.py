"""The stub as Gemini's generateContent."""

from __future__ import annotations

import base64
import re
from typing import Any

from tests.wire.turns import USAGE, Call, Dialect, Said, Thought, Turn, dumps, pieces, seal

SEAL = seal("google")
FOREIGN = "skip_thought_signature_validator"
ERRORS: dict[str, tuple[str, str]] = {
    "bad": ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    "context": (
        "INVALID_ARGUMENT",
        "The input token count (2000000) exceeds the maximum number of tokens allowed.",
    ),
    "auth": ("UNAUTHENTICATED", "API key not valid."),
    "permission": ("PERMISSION_DENIED", "You may not do this."),
    "missing": ("NOT_FOUND", "models/stub-e404 is not found for API version v1"),
    "big": ("INVALID_ARGUMENT", "Request payload size exceeds the limit"),
    "rate": ("RESOURCE_EXHAUSTED", "Resource exhausted."),
    "quota": (
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "unavailable": ("UNAVAILABLE", "The model is overloaded."),
    "overloaded": ("UNAVAILABLE", "The model is overloaded."),
}


def frames(turn: Turn, model: str, body: dict[str, Any]) -> list[bytes]:
    parts: list[dict[str, Any]] = []
    unsigned = any(not isinstance(block, Said) for block in turn.blocks)
    for block in turn.blocks:
        match block:
            case Thought():
                parts += [{"text": piece, "thought": True} for piece in pieces(block.text)]
            case Said():
                parts += [{"text": piece} for piece in pieces(block.text)]
            case Call():
                parts.append({"functionCall": {"id": block.id, "name": block.name, "args": block.arguments}})
                if unsigned:  # the first call of a step carries the signature
                    parts[-1]["thoughtSignature"], unsigned = SEAL, False
    if unsigned:  # a turn of text gets it on an empty last part
        parts.append({"text": "", "thoughtSignature": SEAL})
    finish = {"length": "MAX_TOKENS", "context": "MAX_TOKENS", "refusal": "SAFETY"}.get(turn.stop, "STOP")
    events = [_event([part], model) for part in parts]
    events.append(_event([{"text": ""}], model, finish))
    return [sse(event) for event in events]


def _event(parts: list[dict[str, Any]], model: str, finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if finish:
        candidate["finishReason"] = finish
    total = USAGE["fresh"] + USAGE["cached"] + USAGE["written"]
    usage = {
        "promptTokenCount": total,
        "cachedContentTokenCount": USAGE["cached"],
        "candidatesTokenCount": USAGE["out"] - USAGE["thought"],
        "thoughtsTokenCount": USAGE["thought"],
        "totalTokenCount": total + USAGE["out"],
    }
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "r1"}


def sse(event: dict[str, Any]) -> bytes:
    return f"data: {dumps(event)}\r\n\r\n".encode()


def error(kind: str, status: int) -> dict[str, Any]:
    name, message = ERRORS.get(kind, ("INTERNAL", "An internal error has occurred."))
    details = (
        [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}] if kind == "rate" else []
    )
    return {"error": {"code": status, "message": message, "status": name, "details": details}}


def refusal(kind: str, status: int) -> tuple[int, dict[str, Any], dict[str, str]]:
    return status, error(kind, status), {}


def complaint(body: dict[str, Any]) -> str | None:
    waiting: list[str] = []
    role = "model"
    for position, content in enumerate(body["contents"]):
        if content["role"] == role:
            return f"contents[{position}]: please alternate between user and model"
        role = content["role"]
        parts = content.get("parts") or []
        if not parts:
            return f"contents[{position}].parts must not be empty"
        answers = [p["functionResponse"]["id"] for p in parts if "functionResponse" in p]
        if answers != waiting:
            return "the number of function response parts is equal to the number of function call parts"
        calls = [p for p in parts if "functionCall" in p]
        waiting = [p["functionCall"]["id"] for p in calls]
        if calls and not calls[0].get("thoughtSignature"):
            return f"contents[{position}]: function call is missing a thought_signature"
        for part in parts:
            if part.get("thoughtSignature") not in (None, SEAL, FOREIGN):
                return (
                    f"contents[{position}]: Corrupted thought signature: {_shown(part['thoughtSignature'])}"
                )
        names = [p["functionCall"]["name"] for p in calls]
        if any(not re.fullmatch(r"[a-zA-Z_][\w.:-]{0,127}", name, re.ASCII) for name in names):
            return f"contents[{position}]: invalid function name"
    return f"unanswered: {waiting}" if waiting else None


def _shown(signature: str) -> str:
    return base64.b64decode(signature + "==").decode("utf-8", "replace")


DIALECT = Dialect(
    name="google",
    frames=frames,
    refusal=refusal,
    midway=sse(error("unavailable", 503)),
    stranger=sse(
        {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"song": "la"}]}}], "note": 1}
    ),
    complaint=complaint,
    first=1,
)
