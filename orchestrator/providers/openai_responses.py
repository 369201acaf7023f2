"""Requests and answers in the words of OpenAI's Responses API, without state on the server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

from ..errors import BadRequest
from ..types import (
    Completion,
    Delta,
    Image,
    Message,
    Part,
    Request,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)
from .answer_schemas import strict
from .assembler import Assembly
from .error_mapping import failure
from .openai_chat import effort, image_url
from .sanitize import count
from .tool_schemas import shortened

STOPS: dict[str, Stop] = {"completed": "end", "max_output_tokens": "length", "content_filter": "refusal"}


_CHAT_ALONE = {"stop", "seed", "logit_bias", "presence_penalty", "frequency_penalty"}


def body_of(request: Request, *, hosted: bool = False) -> dict[str, Any]:
    """`hosted`: OpenAI's own service. Raises BadRequest for what it would refuse."""
    """Nothing is stored: reasoning comes back encrypted and is sent again with the history."""
    tools = [
        {
            "type": "function",
            "name": t.name,
            "description": shortened(t.description),
            "parameters": dict(t.parameters),
            "strict": False,  # schemas of MCP servers are rarely the subset strict mode takes
        }
        for t in request.tools
    ]
    if hosted and (lacking := sorted(_CHAT_ALONE & request.options.keys())):
        vendor = request.model.partition(":")[0]
        raise BadRequest(
            vendor,
            f"OpenAI's Responses have no {lacking[0]}; `options: {{api: chat}}` of this provider in config.yaml asks by"
            " Chat Completions, which have it",
        )
    thinking = effort(request.think)
    body: dict[str, Any] = {
        "model": request.model_name,
        "instructions": request.system or None,
        "input": [item for message in request.messages for item in _items(message)],
        "tools": tools or None,
        "tool_choice": _choice(request.tool_choice) if tools else None,
        "text": {"format": _format(request)} if request.schema else None,
        "reasoning": {"effort": thinking, "summary": "auto"} if thinking else None,
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
        "extra_body": dict(request.options) or None,
    }
    sent = {key: value for key, value in body.items() if value is not None}
    if not re.match(r"gpt-[34]|chatgpt-", request.model_name):  # which do not reason, and refuse the question
        sent["include"] = ["reasoning.encrypted_content"]
    return sent | {"stream": True, "store": False}


async def read(parts: Assembly, events: Any) -> AsyncGenerator[Delta | Completion]:
    final: Any = None
    place = _Places()
    async for event in events:
        match event.type:
            case "response.output_text.delta" | "response.refusal.delta":
                yield parts.text(place.of(event), event.delta)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                yield parts.thinking(place.of(event), event.delta)
            case "response.reasoning_summary_part.added" if event.summary_index:
                yield parts.thinking(place.of(event), "\n\n")
            case "response.output_item.added" if event.item.type == "function_call":
                parts.call(place.of(event), event.item.name, id=event.item.call_id)
            case "response.output_item.done":
                _finish(parts, place.of(event), event.item)
            case "error":
                raise failure(parts.provider, None, event.message or "", code=event.code or "")
            case "response.failed":
                error = event.response.error
                message, code = (error.message, error.code) if error else ("the vendor gave no reason", "")
                raise failure(parts.provider, None, message, code=code)
            case "response.completed" | "response.incomplete":
                final = event.response
            case _:  # newer kinds of events
                pass
    if final is None:
        parts.cut()
    details = final.incomplete_details
    said = details.reason if final.status == "incomplete" and details else final.status
    yield Completion(message=parts.message(), usage=_usage(final.usage), stop=parts.stop(said, STOPS))


class _Places:
    """Where an event's item stands. llama.cpp's server leaves the index out; the item's id tells then."""

    def __init__(self) -> None:
        self.by_id: dict[str, int] = {}

    def of(self, event: Any) -> int:
        index = getattr(event, "output_index", None)
        if isinstance(index, int):
            return index
        id = event.item.id if hasattr(event, "item") else event.item_id
        return self.by_id.setdefault(id, len(self.by_id))


def _finish(parts: Assembly, index: int, item: Any) -> None:
    """The finished item is the record; what it needs to be understood again becomes the seal."""
    match item.type:
        case "function_call":
            parts.call(index, item.name, id=item.call_id)
            parts.replace(index, item.arguments)
            parts.seal(index, "tool_call", id=item.id, namespace=item.namespace)
        case "reasoning":
            summary = [part.text for part in item.summary or ()]
            parts.seal(
                index, "thinking", id=item.id, encrypted_content=item.encrypted_content, summary=summary
            )
        case "message":
            parts.seal(index, "text", id=item.id, phase=item.phase, status=item.status)
        case _:
            pass


def _items(message: Message) -> list[dict[str, Any]]:
    match message.role:
        case "assistant":
            return [item for part in message.parts if (item := _own_item(part)) is not None]
        case "tool":
            return [_output(part) for part in message.parts if isinstance(part, ToolResult)]
        case "user":
            return [{"role": "user", "content": _content(message.parts)}]


def _own_item(part: Part) -> dict[str, Any] | None:
    match part:
        case Thinking(seal={"encrypted_content": str(sealed), "id": id, "summary": summary}):
            shown = [{"type": "summary_text", "text": text} for text in summary]
            return {"type": "reasoning", "id": id, "summary": shown, "encrypted_content": sealed}
        case Text(seal=None):
            return {"role": "assistant", "content": part.text}
        case Text():
            content = [{"type": "output_text", "text": part.text, "annotations": []}]
            return {"type": "message", "role": "assistant", "content": content, **(part.seal or {})}
        case ToolCall():
            arguments = json.dumps(dict(part.arguments), ensure_ascii=False)
            call = {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments}
            return call | dict(part.seal or {})
        case _:
            return None


def _output(result: ToolResult) -> dict[str, Any]:
    parts = (Text(text="ERROR"), *result.content) if result.is_error else result.content
    return {"type": "function_call_output", "call_id": result.call_id, "output": _content(parts)}


def _content(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    return [
        {"type": "input_text", "text": part.text}
        if isinstance(part, Text)
        else {"type": "input_image", "image_url": image_url(part), "detail": "auto"}
        for part in parts
        if isinstance(part, Text | Image)
    ]


def _choice(choice: str | None) -> Any:
    if choice is None:
        return None
    return "required" if choice == "any" else {"type": "function", "name": choice}


def _format(request: Request) -> dict[str, Any]:
    return {"type": "json_schema", "name": "answer", **strict(request.schema or {})}


def _usage(said: Any) -> Usage:
    if said is None:
        return Usage()
    into, out = said.input_tokens_details, said.output_tokens_details
    return Usage(
        input_tokens=count(said.input_tokens),
        cached_tokens=count(into.cached_tokens) if into else None,
        cache_write_tokens=count(getattr(into, "cache_write_tokens", None)),
        output_tokens=count(said.output_tokens),
        thinking_tokens=count(out.reasoning_tokens) if out else None,
    )
