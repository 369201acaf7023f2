"""Requests and answers in the words of OpenAI's Chat Completions, as its many servers speak them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from servers.ollama.ledger.profile import from_llamacpp

from ..types import Completion, Delta, Image, Message, Part, Request, Stop, Text, Thinking, ToolResult, Usage
from .assembler import Assembly
from .sanitize import count, sane
from .schemas import strict
from .tool_schemas import shortened

STOPS: dict[str, Stop] = {
    "stop": "end",
    "tool_calls": "tool",
    "function_call": "tool",
    "length": "length",
    "content_filter": "refusal",
}


def body_of(request: Request, *, hosted: bool) -> dict[str, Any]:
    """`hosted`: OpenAI's own service, which renamed the cap of the answer."""
    tools = [
        {
            "type": "function",
            "function": {
                "name": t.name,
                "description": shortened(t.description) if hosted else t.description,
                "parameters": dict(t.parameters),
            },
        }
        for t in request.tools
    ]
    body: dict[str, Any] = {
        "model": request.model_name,
        "messages": _messages(request),
        "tools": tools or None,
        "tool_choice": _choice(request.tool_choice) if tools else None,
        "response_format": _format(request) if request.schema else None,
        "max_completion_tokens" if hosted else "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "reasoning_effort": effort(request.think),
        "extra_body": dict(request.options) or None,
    }
    sent = {key: value for key, value in body.items() if value is not None}
    return sent | {"stream": True, "stream_options": {"include_usage": True}}


async def read(parts: Assembly, chunks: Any) -> AsyncGenerator[Delta | Completion]:
    usage, reason, timings = Usage(), None, None
    async for chunk in chunks:
        if chunk.usage:
            usage = _usage(chunk.usage)
        timings = (chunk.model_extra or {}).get("timings") or timings  # llama.cpp's server
        for choice in chunk.choices or ():
            delta, extra = choice.delta, choice.delta.model_extra or {}
            if thought := extra.get("reasoning_content") or extra.get("reasoning"):
                yield parts.thinking((0, 0), thought)
            if said := delta.content or delta.refusal:
                yield parts.text((1, 0), said)
            for call in delta.tool_calls or ():
                _grow(parts, call)
            reason = choice.finish_reason or reason
    if not reason:
        parts.cut()
    yield Completion(
        message=parts.message(),
        usage=_timed(usage, timings),
        stop=parts.stop(reason, STOPS),
        raw={"timings": sane(timings)} if timings else {},
    )


def effort(think: bool | str | None) -> str | None:
    """Thinking as a `reasoning_effort`."""
    if think is None or isinstance(think, str):
        return think
    return "medium" if think else "none"


def image_url(image: Image) -> str:
    return f"data:{image.mime};base64,{image.data}"


def failed_text(result: ToolResult) -> str:
    """The text of a result for wires without an error flag."""
    return ("ERROR: " if result.is_error else "") + result.text


def _grow(parts: Assembly, call: Any) -> None:
    key = (2, call.index or 0)
    function = call.function
    if call.id or (function and function.name):
        parts.call(key, function.name or "" if function else "", id=call.id)
    if function and function.arguments:
        parts.arguments(key, function.arguments)


def _messages(request: Request) -> list[dict[str, Any]]:
    wire: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    for message in request.messages:
        match message.role:
            case "assistant":
                wire.append(_assistant(message))
            case "tool":
                wire += _results(message)
            case "user":
                wire.append({"role": "user", "content": _content(message.parts)})
    return wire


def _assistant(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": "assistant", "content": message.text or None}
    if thought := "".join(p.text for p in message.parts if isinstance(p, Thinking)):
        wire["reasoning_content"] = thought
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": c.id,
                "type": "function",
                "function": {"name": c.name, "arguments": json.dumps(dict(c.arguments), ensure_ascii=False)},
            }
            for c in message.tool_calls
        ]
    elif wire["content"] is None:
        wire["content"] = ""
    return wire


def _results(message: Message) -> list[dict[str, Any]]:
    """Results carry text alone here; their images follow as a message of the user."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    images = [image for part in results for image in part.content if isinstance(image, Image)]
    wire: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": r.call_id, "content": failed_text(r) or "(see the image below)"}
        for r in results
    ]
    return wire + ([{"role": "user", "content": _content(tuple(images))}] if images else [])


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, Text))
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "image_url", "image_url": {"url": image_url(part)}}
        for part in parts
        if isinstance(part, Text | Image)
    ]


def _choice(choice: str | None) -> Any:
    if choice is None:
        return None
    return "required" if choice == "any" else {"type": "function", "function": {"name": choice}}


def _format(request: Request) -> dict[str, Any]:
    schema = dict(request.schema or {})
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": strict(schema)},
    }


def _usage(said: Any) -> Usage:
    prompt, completion = said.prompt_tokens_details, said.completion_tokens_details
    return Usage(
        input_tokens=count(said.prompt_tokens),
        cached_tokens=count(prompt.cached_tokens) if prompt else None,
        cache_write_tokens=count(getattr(prompt, "cache_write_tokens", None)),
        output_tokens=count(said.completion_tokens),
        thinking_tokens=count(completion.reasoning_tokens) if completion else None,
    )


def _timed(usage: Usage, timings: dict[str, Any] | None) -> Usage:
    if not timings:
        return usage
    profile = from_llamacpp(timings, model="")
    return replace(usage, prefill_s=profile.prefill_s, decode_s=profile.decode_s)
