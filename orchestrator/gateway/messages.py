"""Anthropic's Messages API, as a server speaks it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from ..errors import (
    ContextTooLong,
    OrchestratorError,
    Overloaded,
)
from ..types import (
    Completion,
    Image,
    JsonObject,
    Message,
    Part,
    Request,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from .failures import status_of, words_of
from .wire import Asked, Body, Items, Wire, checked, event, malformed, pictured

STOPS: dict[Stop, str] = {
    "end": "end_turn",
    "tool": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "context": "model_context_window_exceeded",
    "pause": "pause_turn",
}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Turn(BaseModel):
    role: Literal["user", "assistant", "system"]
    content: str | list[dict[str, Any]]


class _Tool(BaseModel):
    name: str
    description: str = ""
    input_schema: dict[str, Any] | None = (
        None  # None: a tool that runs at the vendor, which no other model has
    )


class _Body(BaseModel):
    model: str
    messages: list[_Turn] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    system: str | list[dict[str, Any]] = ""
    tools: list[_Tool] = []
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool = False


def read(body: Body) -> Asked:
    given = checked(_Body, body)
    names: dict[str, str] = {}  # of tools by the id of their call: results here do not repeat them
    messages = [message for turn in given.messages for message in _messages(turn, names)]
    choice = given.tool_choice or {}
    kind = choice.get("type")
    tools = (
        () if kind == "none" else tuple(_spec(tool) for tool in given.tools if tool.input_schema is not None)
    )
    output = given.output_config or {}
    schema = output.get("format") or {}
    request = Request(
        model=given.model,
        messages=tuple(messages),
        system=_plain(given.system),
        tools=tools,
        tool_choice=choice.get("name") if kind == "tool" else "any" if kind == "any" else None,
        schema=schema.get("schema"),
        max_tokens=given.max_tokens,
        temperature=given.temperature,
        think=_think(given.thinking, output.get("effort")),
    )
    sampling = {"top_p": given.top_p, "top_k": given.top_k, "stop": given.stop_sequences}
    return Asked(request=request, stream=given.stream, sampling=sampling, unthinking=given.thinking is None)


def whole(asked: Asked, done: Completion) -> Body:
    return _message(asked) | {
        "content": [block for part in done.message.parts if (block := _block(part)) is not None],
        "stop_reason": STOPS[done.stop],
        "usage": _usage(done.usage),
    }


async def stream(asked: Asked, items: Items) -> AsyncGenerator[bytes]:
    yield event("message_start", {"type": "message_start", "message": _message(asked)})
    index, open_kind = -1, ""
    async for item in items:
        if isinstance(item, Completion):
            break
        kind = "thinking" if item.thinking else "text"
        if kind != open_kind:
            if open_kind:
                yield _stop(index)
            index, open_kind = index + 1, kind
            empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}}[kind]
            yield _start(index, {"type": kind} | empty)
        yield _delta(index, {"type": f"{kind}_delta", kind: item.text})
    else:
        return
    if open_kind:
        yield _stop(index)
    for call in item.message.tool_calls:
        index += 1
        yield _start(index, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        yield _delta(index, {"type": "input_json_delta", "partial_json": arguments(call)})
        yield _stop(index)
    ended = {"stop_reason": STOPS[item.stop], "stop_sequence": None}
    yield event("message_delta", {"type": "message_delta", "delta": ended, "usage": _usage(item.usage)})
    yield event("message_stop", {"type": "message_stop"})


def refusal(exc: OrchestratorError) -> tuple[int, Body]:
    status = 529 if isinstance(exc, Overloaded) else status_of(exc)
    words = words_of(exc)
    if isinstance(exc, ContextTooLong):
        words = f"prompt is too long: {words}"  # by these words clients know to shorten the conversation
    error = {"type": KINDS.get(status, "api_error"), "message": words}
    return status, {"type": "error", "error": error, "request_id": f"req_{secrets.token_hex(12)}"}


def broken(exc: OrchestratorError) -> bytes:
    return event("error", refusal(exc)[1])


def arguments(call: ToolCall) -> str:
    """What the model wrote, where that was not a JSON object: the client must see it to refuse it."""
    import json

    return json.dumps(dict(call.arguments)) if call.raw is None else call.raw


MESSAGES = Wire(
    name="messages",
    vendor="anthropic",
    media_type="text/event-stream",
    read=read,
    whole=whole,
    stream=stream,
    refusal=refusal,
    broken=broken,
    ping=event("ping", {"type": "ping"}),
)


def _messages(turn: _Turn, names: dict[str, str]) -> Iterable[Message]:
    """The turn as ours: results stand in a message of their own, before what the person says with them."""
    blocks = [{"type": "text", "text": turn.content}] if isinstance(turn.content, str) else turn.content
    parts = [part for block in blocks for part in _parts(block, names)]
    results = tuple(part for part in parts if isinstance(part, ToolResult))
    rest = tuple(part for part in parts if not isinstance(part, ToolResult))
    if results:
        yield Message(role="tool", parts=results)
    if rest:
        yield Message(role="assistant" if turn.role == "assistant" else "user", parts=rest)


def _parts(block: Mapping[str, Any], names: dict[str, str]) -> Iterable[Part]:
    match block:
        case {"type": "text", "text": str(text)}:
            yield Text(text=text)
        case {"type": "image", "source": {"type": "base64", "media_type": str(mime), "data": str(data)}}:
            yield pictured(data, mime, "messages.content.source.data")
        case {"type": "thinking", "thinking": str(text)}:
            signature = block.get("signature")
            yield Thinking(text=text, seal={"signature": signature} if signature else None)
        case {"type": "redacted_thinking"}:
            pass  # sealed by another model; nobody here can open it
        case {"type": "tool_use", "id": str(id), "name": str(name)}:
            names[id] = name
            yield ToolCall(id=id, name=name, arguments=_object(block.get("input")))
        case {"type": "tool_result", "tool_use_id": str(id)}:
            content = block.get("content") or ()
            inner = [{"type": "text", "text": content}] if isinstance(content, str) else content
            yield ToolResult(
                call_id=id,
                name=names.get(id, ""),
                content=tuple(p for b in inner for p in _parts(b, names) if isinstance(p, Text | Image)),
                is_error=block.get("is_error") is True,
            )
        case {"type": "document", "source": {"type": "text", "data": str(text)}}:
            yield Text(text=text)
        case {"type": "text" | "image" | "tool_use" | "tool_result" | "thinking"}:
            raise malformed("messages.content", f"a whole {block['type']} block, images as base64", block)
        case {"type": str(kind)}:
            yield Text(text=f"(a block of the kind {kind} was left out; this model reads text and images)")
        case _:
            raise malformed("messages.content", "a block with a type", block)


def _spec(tool: _Tool) -> ToolSpec:
    return ToolSpec(name=tool.name, description=tool.description, parameters=tool.input_schema or {})


def _think(thinking: Mapping[str, Any] | None, effort: Any) -> bool | Literal["low", "medium", "high"] | None:
    kind = (thinking or {}).get("type")
    if kind == "disabled":
        return False
    if kind is None:
        return None
    match effort:
        case "low" | "medium" | "high":
            return effort
        case _:
            return True


def _plain(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(str(block.get("text") or "") for block in content)


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _message(asked: Asked) -> Body:
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},  # counted at the end; the format wants numbers here
    }


def _block(part: Part) -> Body | None:
    match part:
        case Text():
            return {"type": "text", "text": part.text} if part.text else None
        case Thinking():
            seal = part.seal or {}
            return {"type": "thinking", "thinking": part.text, "signature": str(seal.get("signature") or "")}
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": dict(part.arguments)}
        case _:
            return None


def _usage(usage: Usage) -> Body:
    """`input_tokens` here leaves out what went through the cache; ours includes it."""
    read, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    return {
        "input_tokens": max((usage.input_tokens or 0) - read - written, 0),
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": usage.output_tokens or 0,
    }


def _start(index: int, block: Body) -> bytes:
    return event(
        "content_block_start", {"type": "content_block_start", "index": index, "content_block": block}
    )


def _delta(index: int, delta: Body) -> bytes:
    return event("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta})


def _stop(index: int) -> bytes:
    return event("content_block_stop", {"type": "content_block_stop", "index": index})
