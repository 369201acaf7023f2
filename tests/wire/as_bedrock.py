"""The stub as Bedrock's ConverseStream, in AWS event-stream frames."""

from __future__ import annotations

import binascii
import re
import struct
from typing import Any

from tests.wire.turns import USAGE, Call, Dialect, Said, Thought, Turn, dumps, pieces, seal

SEAL = seal("bedrock")
STOPS = {
    "end": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "refusal": "guardrail_intervened",
    "context": "model_context_window_exceeded",
}
ERRORS = {
    "bad": (400, "ValidationException", "The request is not valid"),
    "context": (400, "ValidationException", "Input is too long for requested model."),
    "auth": (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    "permission": (
        403,
        "AccessDeniedException",
        "You don't have access to the model with the specified model ID.",
    ),
    "missing": (
        404,
        "ResourceNotFoundException",
        "Could not resolve the foundation model from the identifier",
    ),
    "big": (413, "RequestEntityTooLargeException", "The request is too large"),
    "rate": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    "quota": (400, "ServiceQuotaExceededException", "You have reached your spend limit"),
    "server": (500, "InternalServerException", "The system encountered an unexpected error."),
    "unavailable": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    "overloaded": (429, "ModelNotReadyException", "Model is not ready for inference."),
}


def frames(turn: Turn, model: str, body: dict[str, Any]) -> list[bytes]:
    events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    for index, block in enumerate(turn.blocks):
        at = {"contentBlockIndex": index}
        match block:  # only calls have a start; real servers omit it for text and reasoning
            case Thought():
                deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(block.text)]
                deltas.append({"reasoningContent": {"signature": SEAL}})
            case Said():
                deltas = [{"text": piece} for piece in pieces(block.text)]
            case Call():
                start = {"toolUse": {"toolUseId": block.id, "name": block.name}}
                events.append(("contentBlockStart", {"start": start, **at}))
                deltas = [{"toolUse": {"input": piece}} for piece in pieces(block.json)]
        events += [("contentBlockDelta", {"delta": delta, **at}) for delta in deltas]
        events.append(("contentBlockStop", at))
    usage = {
        "inputTokens": USAGE["fresh"],
        "outputTokens": USAGE["out"],
        "totalTokens": sum(USAGE.values()) - USAGE["thought"],
        "cacheReadInputTokens": USAGE["cached"],
        "cacheWriteInputTokens": USAGE["written"],
    }
    events += [
        ("messageStop", {"stopReason": STOPS[turn.stop]}),
        ("metadata", {"usage": usage, "metrics": {"latencyMs": 9}}),
    ]
    return [frame(dumps(event).encode(), message_type="event", event_type=kind) for kind, event in events]


def frame(payload: bytes, **headers: str) -> bytes:
    """One application/vnd.amazon.eventstream message; every header is a string (type 7)."""
    packed = b""
    for key, value in (headers | {"content_type": "application/json"}).items():
        name = ":" + key.replace("_", "-")
        packed += (
            bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + packed + payload
    return message + struct.pack(">I", binascii.crc32(message))


def refusal(kind: str, status: int) -> tuple[int, dict[str, Any], dict[str, str]]:
    status, name, message = ERRORS.get(kind, (status, "InternalServerException", "broken"))
    headers = {"x-amzn-errortype": name} | ({"retry-after": "3"} if kind == "rate" else {})
    return status, {"message": message}, headers


def complaint(body: dict[str, Any]) -> str | None:
    waiting: list[str] = []
    role = "assistant"
    for position, message in enumerate(body["messages"]):
        blocks = message["content"]
        if message["role"] == role:
            return f"messages.{position}: a conversation must alternate between user and assistant roles"
        role = message["role"]
        if not blocks or any("text" in b and not b["text"].strip() for b in blocks):
            return f"messages.{position}: the text field in the ContentBlock object is blank"
        results = [b["toolResult"] for b in blocks if "toolResult" in b]
        if [result["toolUseId"] for result in results] != waiting or any(not r["content"] for r in results):
            return f"messages.{position}: Expected toolResult blocks for the following Ids: {waiting}"
        calls = [b["toolUse"] for b in blocks if "toolUse" in b]
        waiting = [call["toolUseId"] for call in calls]
        for call in calls:
            if not re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", call["toolUseId"]) or not re.fullmatch(
                r"[a-zA-Z0-9_-]{1,64}", call["name"]
            ):
                return f"messages.{position}: illegal name or id"
        for block in blocks:
            thought = block.get("reasoningContent", {}).get("reasoningText")
            if thought and thought.get("signature") != SEAL:
                return f"messages.{position}: Invalid signature in thinking block"
        if (calls or results) and "toolConfig" not in body:
            return "The toolConfig field must be defined when using toolUse and toolResult content blocks."
    for tool in body.get("toolConfig", {}).get("tools", ()):
        if not tool["toolSpec"].get("description", "x"):
            return "toolSpec.description: minimum length is 1"
    return f"unanswered: {waiting}" if waiting else None


DIALECT = Dialect(
    name="bedrock",
    frames=frames,
    refusal=refusal,
    midway=frame(
        b'{"message":"Too many tokens"}', message_type="exception", exception_type="throttlingException"
    ),
    stranger=frame(b'{"song":"la"}', message_type="event", event_type="contentBlockSung"),
    complaint=complaint,
    media="application/vnd.amazon.eventstream",
    answered=("toolResult",),
)
