"""OpenAI's Responses API, as a server without memory speaks it."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from itertools import count
from typing import Any

from pydantic import BaseModel, Field

from ..errors import BadRequest, OrchestratorError
from ..types import (
    Completion,
    Image,
    Message,
    Part,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from .chat_completions import chosen, picture, read_call, refusal, schema_of, think_of
from .messages import arguments
from .wire import Asked, Body, Items, Wire, checked, event, malformed

WRITTEN = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
"""The arguments of a tool that takes free text, for models that know only functions."""


class _Body(BaseModel):
    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None


def read(body: Body) -> Asked:
    given = checked(_Body, body)
    if given.previous_response_id or given.conversation:
        raise BadRequest("gateway", "no response is kept here: send the whole conversation as input")
    items = [{"role": "user", "content": given.input}] if isinstance(given.input, str) else given.input
    names: dict[str, str] = {}
    system = [given.instructions or "", *(_plain(item) for item in items if _is_system(item))]
    tools, namespaces = _flat(given.tools or ())
    specs = [spec for tool in tools if (spec := _spec(tool)) is not None]
    request = Request(
        model=given.model,
        messages=tuple(m for item in items if not _is_system(item) for m in _messages(item, names)),
        system="\n\n".join(text for text in system if text),
        tools=() if given.tool_choice == "none" else tuple(specs),
        tool_choice=chosen(given.tool_choice),
        schema=schema_of((given.text or {}).get("format")),
        max_tokens=given.max_output_tokens,
        temperature=given.temperature,
        think=think_of((given.reasoning or {}).get("effort")),
    )
    return Asked(
        request=request,
        stream=bool(given.stream),
        sampling={"top_p": given.top_p},
        written=frozenset(str(tool.get("name")) for tool in tools if tool.get("type") == "custom"),
        namespaces=namespaces,
    )


def whole(asked: Asked, done: Completion) -> Body:
    items = [_thought(p.text) for p in done.message.parts if isinstance(p, Thinking) and p.text]
    if done.message.text:
        items.append(_said(done.message.text))
    items += [_call(call, asked) for call in done.message.tool_calls]
    return _ended(_response(asked), done, items)


async def stream(asked: Asked, items: Items) -> AsyncGenerator[bytes]:
    numbers = count()

    def tell(kind: str, **fields: Any) -> bytes:
        return event(kind, {"type": kind, "sequence_number": next(numbers)} | fields)

    response = _response(asked)
    yield tell("response.created", response=response)
    yield tell("response.in_progress", response=response)
    output: list[Body] = []
    part: _Open | None = None
    async for item in items:
        if isinstance(item, Completion):
            break
        if part is None or part.thinking != item.thinking:
            if part is not None:
                for piece in part.closed(tell):
                    yield piece
                output.append(part.item)
            part = _Open(len(output), thinking=item.thinking)
            for piece in part.opened(tell):
                yield piece
        yield part.grown(tell, item.text)
    else:
        return
    if part is not None:
        for piece in part.closed(tell):
            yield piece
        output.append(part.item)
    for call in item.message.tool_calls:
        for piece in _call_events(tell, len(output), _call(call, asked)):
            yield piece
        output.append(_call(call, asked))
    ended = _ended(response, item, output)
    yield tell(f"response.{ended['status']}", response=ended)


def broken(exc: OrchestratorError) -> bytes:
    error = refusal(exc)[1]["error"]
    kind = {
        "type": "error",
        "code": error["code"] or error["type"],
        "message": error["message"],
        "param": None,
    }
    return event("error", kind | {"sequence_number": 0})


RESPONSES = Wire(
    name="responses",
    vendor="openai",
    media_type="text/event-stream",
    read=read,
    whole=whole,
    stream=stream,
    refusal=refusal,
    broken=broken,
    ping=b": waiting\n\n",
)


class _Open:
    """An item of the answer while its words arrive."""

    def __init__(self, index: int, *, thinking: bool) -> None:
        self.thinking, self.text = thinking, ""
        self.item = _thought("") if thinking else _said("")
        self.where = {"item_id": self.item["id"], "output_index": index}
        self.where |= {"summary_index": 0} if thinking else {"content_index": 0}

    def opened(self, tell: Any) -> Iterable[bytes]:
        index = self.where["output_index"]
        begun = self.item | {"status": "in_progress", "summary" if self.thinking else "content": []}
        yield tell("response.output_item.added", output_index=index, item=begun)
        if self.thinking:
            yield tell("response.reasoning_summary_part.added", **self.where, part=_summary(""))
        else:
            yield tell("response.content_part.added", **self.where, part=_output_text(""))

    def grown(self, tell: Any, text: str) -> bytes:
        self.text += text
        if self.thinking:
            return tell("response.reasoning_summary_text.delta", **self.where, delta=text)
        return tell("response.output_text.delta", **self.where, delta=text, logprobs=[])

    def closed(self, tell: Any) -> Iterable[bytes]:
        text, id = self.text, self.item["id"]
        if self.thinking:
            self.item = _thought(text, id)
            yield tell("response.reasoning_summary_text.done", **self.where, text=text)
            yield tell("response.reasoning_summary_part.done", **self.where, part=_summary(text))
        else:
            self.item = _said(text, id)
            yield tell("response.output_text.done", **self.where, text=text, logprobs=[])
            yield tell("response.content_part.done", **self.where, part=_output_text(text))
        yield tell("response.output_item.done", output_index=self.where["output_index"], item=self.item)


def _call_events(tell: Any, index: int, item: Body) -> Iterable[bytes]:
    field = "arguments" if item["type"] == "function_call" else "input"
    kind = "function_call_arguments" if field == "arguments" else "custom_tool_call_input"
    where = {"item_id": item["id"], "output_index": index}
    begun = item | {"status": "in_progress", field: ""}
    yield tell("response.output_item.added", output_index=index, item=begun)
    yield tell(f"response.{kind}.delta", **where, delta=item[field])
    yield tell(f"response.{kind}.done", **where, name=item["name"], **{field: item[field]})
    yield tell("response.output_item.done", output_index=index, item=item)


def _is_system(item: Mapping[str, Any]) -> bool:
    return item.get("role") in ("system", "developer")


def _messages(item: Mapping[str, Any], names: dict[str, str]) -> Iterable[Message]:
    match item:
        case {"type": "function_call", "call_id": str(id), "name": str(name)}:
            names[id] = name = _joined(item.get("namespace"), name)
            call = read_call(id, name, str(item.get("arguments") or ""))
            yield Message(role="assistant", parts=(call,))
        case {"type": "custom_tool_call", "call_id": str(id), "name": str(name), "input": str(text)}:
            names[id] = name = _joined(item.get("namespace"), name)
            yield Message(role="assistant", parts=(ToolCall(id=id, name=name, arguments={"input": text}),))
        case {
            "type": "function_call_output" | "custom_tool_call_output",
            "call_id": str(id),
            "output": output,
        }:
            content = tuple(p for p in _parts(output) if isinstance(p, Text | Image))
            result = ToolResult(call_id=id, name=names.get(id, ""), content=content)
            yield Message(role="tool", parts=(result,))
        case {"type": "reasoning"}:
            shown = [str(part.get("text") or "") for part in item.get("summary") or ()]
            if text := "\n".join(shown):
                yield Message(role="assistant", parts=(Thinking(text=text),))
        case {"role": "user" | "assistant" as role, "content": content}:
            if parts := tuple(_parts(content)):
                yield Message(role=role, parts=parts)
        case {"type": "item_reference"}:
            raise BadRequest("gateway", "no item is kept here: send the whole conversation as input")
        case {"type": str()}:
            pass  # what ran at the vendor: a search, a picture
        case _:
            raise malformed("input", "a message, a call or its output", item)


def _parts(content: object) -> Iterable[Part]:
    if isinstance(content, str):
        yield Text(text=content)
        return
    if not isinstance(content, list):
        raise malformed("input.content", "text or a list of parts", content)
    for part in content:
        match part:
            case {"type": "input_text" | "output_text" | "text", "text": str(text)}:
                yield Text(text=text)
            case {"type": "refusal", "refusal": str(text)}:
                yield Text(text=text)
            case {"type": "input_image", "image_url": url}:
                yield picture(url)
            case {"type": str(kind)}:
                yield Text(text=f"(a part of the kind {kind} was left out; this model reads text and images)")
            case _:
                raise malformed("input.content", "a part with a type", part)


def _plain(item: Mapping[str, Any]) -> str:
    return "\n".join(part.text for part in _parts(item.get("content")) if isinstance(part, Text))


def _flat(tools: Iterable[Mapping[str, Any]]) -> tuple[list[Mapping[str, Any]], dict[str, tuple[str, str]]]:
    """Tools in namespaces, as Codex sends those of MCP servers, beside the others: other models know no namespaces."""
    found, namespaces = list[Mapping[str, Any]](), dict[str, tuple[str, str]]()
    for tool in tools:
        if tool.get("type") != "namespace":
            found.append(tool)
            continue
        inner: Iterable[Mapping[str, Any]] = tool.get("tools") or ()
        for one in inner:
            name = _joined(tool.get("name"), str(one.get("name")))
            namespaces[name] = (str(tool.get("name")), str(one.get("name")))
            found.append({**one, "name": name})
    return found, namespaces


def _joined(namespace: object, name: str) -> str:
    return f"{namespace}__{name}" if namespace else name


def _spec(tool: Mapping[str, Any]) -> ToolSpec | None:
    match tool:
        case {"type": "function", "name": str(name)}:
            parameters = tool.get("parameters") or {"type": "object", "properties": {}}
        case {"type": "custom", "name": str(name)}:
            parameters = WRITTEN
        case _:
            return None  # a tool that runs at the vendor, which no other model has
    return ToolSpec(name=name, description=str(tool.get("description") or ""), parameters=parameters)


def _response(asked: Asked) -> Body:
    request = asked.request
    return {
        "id": f"resp_{secrets.token_hex(16)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "model": asked.model,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "instructions": request.system or None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "temperature": request.temperature,
        "top_p": asked.sampling.get("top_p"),
        "max_output_tokens": request.max_tokens,
        "metadata": {},
        "store": False,
        "usage": None,
    }


def _ended(response: Body, done: Completion, output: list[Body]) -> Body:
    whole = done.stop in ("end", "tool", "pause")
    why = None if whole else "content_filter" if done.stop == "refusal" else "max_output_tokens"
    return response | {
        "status": "completed" if whole else "incomplete",
        "incomplete_details": {"reason": why} if why else None,
        "output": output,
        "usage": _usage(done.usage),
    }


def _thought(text: str, id: str | None = None) -> Body:
    id = id or f"rs_{secrets.token_hex(16)}"
    return {"id": id, "type": "reasoning", "summary": [_summary(text)], "status": "completed"}


def _said(text: str, id: str | None = None) -> Body:
    id = id or f"msg_{secrets.token_hex(16)}"
    content = [_output_text(text)]
    return {"id": id, "type": "message", "role": "assistant", "status": "completed", "content": content}


def _call(call: ToolCall, asked: Asked) -> Body:
    item: Body = {"id": f"fc_{call.id}", "call_id": call.id, "name": call.name, "status": "completed"}
    if call.name in asked.namespaces:
        item["namespace"], item["name"] = asked.namespaces[call.name]
    if call.name in asked.written:
        text = call.arguments.get("input")
        return item | {
            "type": "custom_tool_call",
            "input": text if isinstance(text, str) else arguments(call),
        }
    return item | {"type": "function_call", "arguments": arguments(call)}


def _output_text(text: str) -> Body:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _summary(text: str) -> Body:
    return {"type": "summary_text", "text": text}


def _usage(usage: Usage) -> Body:
    into, out = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": into,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": usage.thinking_tokens or 0},
        "total_tokens": into + out,
    }
