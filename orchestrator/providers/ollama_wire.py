"""Requests and answers in the words of Ollama's /api/chat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from servers.ollama.ledger.profile import from_ollama

from ..types import Delta, Image, Message, Part, Request, Text, Thinking, ToolResult, Usage
from .assembler import Assembly
from .schemas import inlined

TOP_LEVEL = frozenset({"format", "keep_alive", "logprobs", "shift", "think", "top_logprobs", "truncate"})
"""Options that stand beside `options`, not in it."""


def body_of(
    request: Request, *, num_ctx: int, room: int, keep_alive: str | int | None, num_thread: int | None = None
) -> dict[str, Any]:
    """`room` caps the answer: without a cap Ollama writes ten contexts full. Nothing is cut silently."""
    beside = {key: value for key, value in request.options.items() if key in TOP_LEVEL}
    options: dict[str, Any] = {"num_ctx": num_ctx, "num_predict": room}
    if num_thread is not None:
        options["num_thread"] = num_thread
    if request.temperature is not None:
        options["temperature"] = request.temperature
    options |= {key: value for key, value in request.options.items() if key not in TOP_LEVEL}
    body: dict[str, Any] = {
        "model": request.model_name,
        "messages": _messages(request),
        "stream": True,
        "truncate": False,
        "shift": False,  # as delegated runs say it: each change loads the model anew
        "options": options,
        "tools": [_tool(t.name, t.description, inlined(t.parameters)) for t in request.tools] or None,
        "format": inlined(request.schema) if request.schema else None,
        "think": request.think,
        "keep_alive": keep_alive,
    }
    return {key: value for key, value in (body | beside).items() if value is not None}


def read(parts: Assembly, line: dict[str, Any]) -> Iterable[Delta]:
    """What one line adds to the answer."""
    message: dict[str, Any] = line.get("message") or {}
    if thought := message.get("thinking"):
        yield parts.thinking((0, 0), thought)
    if content := message.get("content"):
        yield parts.text((1, 0), content)
    for call in message.get("tool_calls") or ():
        function = call["function"]
        given = function.get("arguments")
        key = (2, parts.count())
        if isinstance(given, dict) or given is None:
            parts.call(key, function["name"], id=call.get("id"), arguments=given or {})
        else:
            parts.call(key, function["name"], id=call.get("id"))
            parts.arguments(key, str(given))


def usage_of(final: Mapping[str, Any]) -> Usage:
    profile = from_ollama(final)
    return Usage(
        input_tokens=profile.tokens_in,
        cached_tokens=profile.tokens_cached,
        output_tokens=profile.tokens_out,
        queue_s=profile.queue_s,
        load_s=profile.load_s,
        prefill_s=profile.prefill_s,
        decode_s=profile.decode_s,
        total_s=profile.total_s,
    )


def _messages(request: Request) -> list[dict[str, Any]]:
    wire: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    for message in request.messages:
        if message.role == "tool":
            wire += [_result(part) for part in message.parts if isinstance(part, ToolResult)]
        else:
            wire.append(_message(message))
    return wire


def _message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": _text(message.parts)}
    if thought := "".join(p.text for p in message.parts if isinstance(p, Thinking)):
        wire["thinking"] = thought
    if images := _images(message.parts):
        wire["images"] = images
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "function": {"index": index, "name": call.name, "arguments": dict(call.arguments)},
            }
            for index, call in enumerate(message.tool_calls)
        ]
    return wire


def _result(part: ToolResult) -> dict[str, Any]:
    text = ("ERROR: " if part.is_error else "") + _text(part.content)
    wire: dict[str, Any] = {
        "role": "tool",
        "tool_name": part.name,
        "tool_call_id": part.call_id,
        "content": text,
    }
    return wire | ({"images": images} if (images := _images(part.content)) else {})


def _tool(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def _text(parts: Iterable[Part]) -> str:
    return "\n".join(p.text for p in parts if isinstance(p, Text))


def _images(parts: Iterable[Part]) -> list[str]:
    return [p.data for p in parts if isinstance(p, Image)]
