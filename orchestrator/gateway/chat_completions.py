"""OpenAI's Chat Completions, as a server speaks it."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from ..errors import ContextTooLong, NoSuchModel, OrchestratorError, OutOfBudget, OutOfCredit
from ..types import (
    Completion,
    Image,
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
from .messages import arguments
from .wire import Asked, Body, Items, Wire, checked, data, malformed, pictured

STOPS: dict[Stop, str] = {
    "end": "stop",
    "tool": "tool_calls",
    "length": "length",
    "context": "length",
    "refusal": "content_filter",
    "pause": "stop",
}


class _Turn(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class _Body(BaseModel):
    model: str
    messages: list[_Turn] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None


def read(body: Body) -> Asked:
    given = checked(_Body, body)
    if given.n not in (None, 1):
        raise malformed("n", "1: one answer to a request", given.n)
    names: dict[str, str] = {}
    system = "\n\n".join(
        _plain(turn.content) for turn in given.messages if turn.role in ("system", "developer")
    )
    request = Request(
        model=given.model,
        messages=tuple(m for turn in given.messages for m in _messages(turn, names)),
        system=system,
        tools=() if given.tool_choice == "none" else tuple(_spec(tool) for tool in given.tools or ()),
        tool_choice=chosen(given.tool_choice),
        schema=schema_of(given.response_format),
        max_tokens=given.max_completion_tokens or given.max_tokens,
        temperature=given.temperature,
        think=think_of(given.reasoning_effort),
    )
    stop = [given.stop] if isinstance(given.stop, str) else given.stop
    return Asked(
        request=request,
        stream=bool(given.stream),
        sampling={"top_p": given.top_p, "seed": given.seed, "stop": stop},
        usage_chunk=bool((given.stream_options or {}).get("include_usage")),
    )


def whole(asked: Asked, done: Completion) -> Body:
    content = done.message.text or (None if done.message.tool_calls else "")  # clients count on a text
    message: Body = {"role": "assistant", "content": content, "refusal": None}
    if thought := "".join(p.text for p in done.message.parts if isinstance(p, Thinking)):
        message["reasoning_content"] = thought
    if done.message.tool_calls:
        message["tool_calls"] = [_call(call) for call in done.message.tool_calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": STOPS[done.stop]}
    return _head(asked, "chat.completion") | {"choices": [choice], "usage": _usage(done.usage)}


async def stream(asked: Asked, items: Items) -> AsyncGenerator[bytes]:
    head = _head(asked, "chat.completion.chunk")

    def chunk(delta: Body, reason: str | None = None) -> bytes:
        return data(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

    yield chunk({"role": "assistant", "content": ""})
    async for item in items:
        if not isinstance(item, Completion):
            yield chunk({"reasoning_content" if item.thinking else "content": item.text})
            continue
        for index, call in enumerate(item.message.tool_calls):
            yield chunk({"tool_calls": [{"index": index} | _call(call)]})
        yield chunk({}, STOPS[item.stop])
        if asked.usage_chunk:
            yield data(head | {"choices": [], "usage": _usage(item.usage)})
        yield b"data: [DONE]\n\n"


def refusal(exc: OrchestratorError) -> tuple[int, Body]:
    status, code = status_of(exc), None
    match exc:
        case OutOfCredit() | OutOfBudget():
            status, code = 429, "insufficient_quota"
        case ContextTooLong():
            code = "context_length_exceeded"
        case NoSuchModel():
            code = "model_not_found"
        case _ if status == 401:
            code = "invalid_api_key"
        case _ if status == 429:
            code = "rate_limit_exceeded"
        case _ if status == 405:
            code = "method_not_supported"
        case _:
            pass
    kind = (
        "server_error"
        if status >= 500
        else "insufficient_quota"
        if code == "insufficient_quota"
        else ("requests" if status == 429 else "invalid_request_error")
    )
    return status, {"error": {"message": words_of(exc), "type": kind, "param": None, "code": code}}


def broken(exc: OrchestratorError) -> bytes:
    return data(refusal(exc)[1])


def schema_of(format: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The JSON Schema of a response format; any object for the older form that names none."""
    match format or {}:
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}} | {
            "type": "json_schema",
            "schema": dict(schema),
        }:
            return schema
        case {"type": "json_object"}:
            return {"type": "object"}
        case {} if (format or {}).get("type", "text") == "text":
            return None
        case _:
            wanted = "text, json_object, or json_schema with a schema"
            raise malformed("response_format", wanted, format)


def think_of(effort: str | None) -> bool | Literal["low", "medium", "high"] | None:
    match effort:
        case None:
            return None
        case "none":
            return False
        case "low" | "medium" | "high":
            return effort
        case _:
            return "low" if effort == "minimal" else "high"


def chosen(choice: str | Mapping[str, Any] | None) -> str | None:
    match choice:
        case "required":
            return "any"
        case {"function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return name
        case str() if choice not in ("auto", "none"):
            raise malformed("tool_choice", "auto, none, required or a function with its name", choice)
        case _:
            return None


def picture(url: object) -> Image:
    """A picture that stands in the request. Raises BadRequest for an address: nothing is fetched here."""
    match = (
        re.fullmatch(r"data:(image/[\w.+-]+);base64,(.*)", url, re.DOTALL) if isinstance(url, str) else None
    )
    if match is None:
        raise malformed("image_url", "a data: URL with base64 data; pictures are not fetched here", str(url))
    return pictured(match[2], match[1], "image_url")


CHAT_COMPLETIONS = Wire(
    name="chat_completions",
    vendor="openai",
    media_type="text/event-stream",
    read=read,
    whole=whole,
    stream=stream,
    refusal=refusal,
    broken=broken,
    ping=b": waiting\n\n",
)


def _messages(turn: _Turn, names: dict[str, str]) -> Iterable[Message]:
    match turn.role:
        case "system" | "developer":
            return
        case "tool" | "function":
            id = turn.tool_call_id or ""
            content = tuple(p for p in _parts(turn.content) if isinstance(p, Text | Image))
            result = ToolResult(call_id=id, name=turn.name or names.get(id, ""), content=content)
            yield Message(role="tool", parts=(result,))
        case "user":
            yield Message(role="user", parts=tuple(_parts(turn.content)))
        case "assistant":
            thought = (Thinking(text=turn.reasoning_content),) if turn.reasoning_content else ()
            calls = tuple(_tool_call(call, names) for call in turn.tool_calls or ())
            parts = (*thought, *_parts(turn.content), *calls)
            if parts:
                yield Message(role="assistant", parts=parts)


def _parts(content: str | list[dict[str, Any]] | None) -> Iterable[Part]:
    if isinstance(content, str):
        if content:
            yield Text(text=content)
        return
    for part in content or ():
        match part:
            case {"type": "text" | "refusal"}:
                yield Text(text=str(part.get("text") or part.get("refusal") or ""))
            case {"type": "image_url", "image_url": {"url": url}} | {
                "type": "image_url",
                "image_url": str(url),
            }:
                yield picture(url)
            case {"type": str(kind)}:
                yield Text(text=f"(a part of the kind {kind} was left out; this model reads text and images)")
            case _:
                raise malformed("messages.content", "a part with a type", part)


def _tool_call(call: Mapping[str, Any], names: dict[str, str]) -> ToolCall:
    match call:
        case {"id": str(id), "function": {"name": str(name), "arguments": str(written)}}:
            names[id] = name
            return read_call(id, name, written)
        case _:
            raise malformed("messages.tool_calls", "an id and a function with name and arguments", call)


def read_call(id: str, name: str, written: str) -> ToolCall:
    try:
        value = json.loads(written or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return ToolCall(id=id, name=name, arguments={}, raw=written)
    return ToolCall(id=id, name=name, arguments=value)


def _spec(tool: Mapping[str, Any]) -> ToolSpec:
    match tool:
        case {"type": "function", "function": {"name": str(name)} as function}:
            return ToolSpec(
                name=name,
                description=str(function.get("description") or ""),
                parameters=function.get("parameters") or {"type": "object", "properties": {}},
            )
        case _:
            raise malformed("tools", "a function with a name", tool)


def _call(call: ToolCall) -> Body:
    function = {"name": call.name, "arguments": arguments(call)}
    return {"id": call.id, "type": "function", "function": function}


def _plain(content: str | list[dict[str, Any]] | None) -> str:
    return "\n".join(part.text for part in _parts(content) if isinstance(part, Text))


def _head(asked: Asked, kind: str) -> Body:
    id = f"chatcmpl-{secrets.token_hex(12)}"
    return {"id": id, "object": kind, "created": int(time.time()), "model": asked.model}


def _usage(usage: Usage) -> Body:
    into, out = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "prompt_tokens": into,
        "completion_tokens": out,
        "total_tokens": into + out,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": usage.thinking_tokens or 0},
    }
