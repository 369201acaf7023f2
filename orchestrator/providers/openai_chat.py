"""Requests in the words of OpenAI's Chat Completions, as its many servers speak them."""

from __future__ import annotations

import json
from typing import Any

from ..types import Image, Message, Part, Request, Text, Thinking, ToolResult
from .answer_schemas import strict
from .dialects import Dialect
from .tool_schemas import shortened


def body_of(request: Request, *, dialect: Dialect, hosted: bool = False) -> dict[str, Any]:
    """`hosted`: OpenAI's own service, which takes shorter descriptions."""
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
        "messages": messages_of(request, dialect),
        "tools": tools or None,
        "tool_choice": _choice(request.tool_choice) if tools else None,
        "response_format": _format(request) if request.schema else None,
        dialect.cap: request.max_tokens,
        "temperature": request.temperature,
        "reasoning_effort": effort(request.think),
    }
    sent = {key: value for key, value in body.items() if value is not None}
    if dialect.streams:
        sent |= {"stream": True} | ({"stream_options": {"include_usage": True}} if dialect.usage else {})
    return sent | dict(request.options)


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


def messages_of(request: Request, dialect: Dialect) -> list[dict[str, Any]]:
    """The system prompt and the messages as this wire has them."""
    wire: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    for message in request.messages:
        match message.role:
            case "assistant":
                wire.append(_assistant(message, dialect))
            case "tool":
                wire += _results(message)
            case "user":
                wire.append({"role": "user", "content": _content(message.parts)})
    return wire


def _assistant(message: Message, dialect: Dialect) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": "assistant", "content": message.text or (None if dialect.null else "")}
    thought = "".join(p.text for p in message.parts if isinstance(p, Thinking))
    if dialect.thoughts and (thought or (dialect.demanded and message.tool_calls)):
        wire[dialect.thoughts] = thought
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
    return {"type": "json_schema", "json_schema": {"name": "answer", **strict(request.schema or {})}}
