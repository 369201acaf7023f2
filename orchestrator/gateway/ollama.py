"""Ollama's native API, /api/chat and /api/generate, as a server speaks it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from ..errors import OrchestratorError
from ..types import Completion, Image, Message, Part, Request, Text, Thinking, ToolCall, ToolResult, ToolSpec
from .failures import status_of, words_of
from .wire import Asked, Body, Items, Wire, checked, malformed, pictured

_PICTURES = {"/9j/": "image/jpeg", "iVBOR": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""Kinds of images by the first characters of their base64: this API does not name them."""
_APART = ("keep_alive", "logprobs", "top_logprobs", "shift", "truncate")


class _Turn(BaseModel):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Body(BaseModel):
    model: str
    messages: list[_Turn] = []
    prompt: str = ""
    system: str = ""
    images: list[str] | None = None
    tools: list[dict[str, Any]] | None = None
    format: Literal["", "json"] | dict[str, Any] | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    options: dict[str, Any] | None = Field(default=None)
    stream: bool | None = None
    keep_alive: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    shift: bool | None = None
    truncate: bool | None = None


def read(body: Body) -> Asked:
    """Of /api/chat, or of /api/generate where there is a prompt in place of messages."""
    given = checked(_Body, body)
    generate = "messages" not in body
    turns = given.messages or [_Turn(role="user", content=given.prompt, images=given.images)]
    options = dict(given.options or {})
    cap, temperature = options.pop("num_predict", None), options.pop("temperature", None)
    system = [given.system, *(turn.content for turn in turns if turn.role == "system")]
    calls: list[ToolCall] = []
    request = Request(
        model=given.model,
        messages=tuple(m for turn in turns for m in _messages(turn, calls)),
        system="\n\n".join(text for text in system if text),
        tools=tuple(_spec(tool) for tool in given.tools or ()),
        schema={"type": "object"} if given.format == "json" else given.format or None,
        max_tokens=cap if isinstance(cap, int) and cap > 0 else None,
        temperature=temperature if isinstance(temperature, int | float) else None,
        think=given.think,
    )
    apart = {name: value for name in _APART if (value := getattr(given, name)) is not None}
    return Asked(request=request, stream=given.stream is not False, native=options | apart, generate=generate)


def whole(asked: Asked, done: Completion) -> Body:
    thought = "".join(part.text for part in done.message.parts if isinstance(part, Thinking))
    return _line(asked, done.message.text, thought=thought, calls=done.message.tool_calls) | _closing(done)


async def stream(asked: Asked, items: Items) -> AsyncGenerator[bytes]:
    async for item in items:
        if not isinstance(item, Completion):
            said, thought = ("", item.text) if item.thinking else (item.text, "")
            yield _written(_line(asked, said, thought=thought))
            continue
        if item.message.tool_calls:
            yield _written(_line(asked, "", calls=item.message.tool_calls))
        yield _written(_line(asked, "") | _closing(item))


def refusal(exc: OrchestratorError) -> tuple[int, Body]:
    return status_of(exc), {"error": words_of(exc)}


def broken(exc: OrchestratorError) -> bytes:
    return _written({"error": words_of(exc)})


OLLAMA = Wire(
    name="ollama",
    vendor="",
    media_type="application/x-ndjson",
    read=read,
    whole=whole,
    stream=stream,
    refusal=refusal,
    broken=broken,
    ping=b"",
)


def _messages(turn: _Turn, calls: list[ToolCall]) -> Iterable[Message]:
    """Ids are optional here: a result without one answers the oldest open call, of its tool where it names one."""
    pictures = tuple(_picture(image) for image in turn.images or ())
    match turn.role:
        case "system":
            return
        case "user":
            text = (Text(text=turn.content),) if turn.content else ()
            yield Message(role="user", parts=(*text, *pictures))
        case "assistant":
            parts: list[Part] = [Thinking(text=turn.thinking)] if turn.thinking else []
            parts += [Text(text=turn.content)] if turn.content else []
            made = [_read_call(call, len(calls) + at) for at, call in enumerate(turn.tool_calls or ())]
            calls += made
            if parts or made:
                yield Message(role="assistant", parts=(*parts, *made))
        case "tool":
            answered = next((call for call in calls if _answers(turn, call)), None)
            if answered is not None:
                calls.remove(answered)
            result = ToolResult(
                call_id=answered.id if answered else turn.tool_call_id or "",
                name=answered.name if answered else turn.tool_name or "",
                content=(Text(text=turn.content), *pictures),
            )
            yield Message(role="tool", parts=(result,))


def _answers(turn: _Turn, call: ToolCall) -> bool:
    if turn.tool_call_id:
        return turn.tool_call_id == call.id
    return turn.tool_name in (None, "", call.name)


def _read_call(call: dict[str, Any], number: int) -> ToolCall:
    match call:
        case {"function": {"name": str(name)} as function}:
            given = function.get("arguments")
            arguments: dict[str, Any] = given if isinstance(given, dict) else {}
            return ToolCall(id=str(call.get("id") or f"call_{number}"), name=name, arguments=arguments)
        case _:
            raise malformed("messages.tool_calls", "a function with a name", call)


def _spec(tool: dict[str, Any]) -> ToolSpec:
    match tool:
        case {"function": {"name": str(name)} as function}:
            return ToolSpec(
                name=name,
                description=str(function.get("description") or ""),
                parameters=function.get("parameters") or {"type": "object", "properties": {}},
            )
        case _:
            raise malformed("tools", "a function with a name", tool)


def _picture(image: str) -> Image:
    mime = next((mime for start, mime in _PICTURES.items() if image.startswith(start)), None)
    if mime is None:
        raise malformed("images", "base64 of a PNG, JPEG, GIF or WebP", image[:40])
    return pictured(image, mime, "images")


def _line(asked: Asked, said: str, *, thought: str = "", calls: tuple[ToolCall, ...] = ()) -> Body:
    head = {"model": asked.model, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    thinking = {"thinking": thought} if thought else {}
    if asked.generate:
        return head | {"response": said, "done": False} | thinking
    message: Body = {"role": "assistant", "content": said} | thinking
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "function": {"index": at, "name": call.name, "arguments": dict(call.arguments)}}
            for at, call in enumerate(calls)
        ]
    return head | {"message": message, "done": False}


def _closing(done: Completion) -> Body:
    """The last line, with the durations in nanoseconds where they were measured."""
    usage = done.usage
    seconds = {
        "total_duration": usage.total_s,
        "load_duration": usage.load_s,
        "prompt_eval_duration": usage.prefill_s,
        "eval_duration": usage.decode_s,
    }
    tokens = {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
    measured = {name: round(value * 1e9) for name, value in seconds.items() if value is not None}
    reason = "length" if done.stop in ("length", "context") else "stop"
    counted = {name: value for name, value in tokens.items() if value is not None}
    return {"done": True, "done_reason": reason} | measured | counted


def _written(line: Body) -> bytes:
    return json.dumps(line).encode() + b"\n"
