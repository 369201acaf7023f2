"""Any conversation, as any vendor accepts it: repaired, stripped of foreign seals, with legal names and ids.

Rules every vendor shares (each was seen refused somewhere): every call is answered exactly once, in call
order, by the very next message; no result without its call; no empty message; people and models take turns.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from ..errors import BadRequest
from ..types import (
    Image,
    JsonObject,
    Message,
    Part,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from .sanitize import clean, sane
from .tool_schemas import fitted

NO_OUTPUT = "(no output)"
MADE_IMAGE = "(an image was here)"
INTERRUPTED = "Interrupted: no result."
IMAGE_KINDS = ("image/png", "image/jpeg", "image/webp", "image/gif")

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def portable(request: Request, origin: str) -> Request:
    """`request` as it can be sent to `origin` ("provider:model"). Thinking and seals of others are gone.

    Raises BadRequest when nothing is left to answer, or something in it is no JSON.
    """
    provider = origin.partition(":")[0]
    try:
        sent = _portable(request, origin)
    except (TypeError, RecursionError) as exc:
        why = "it is nested too deeply" if isinstance(exc, RecursionError) else str(exc)
        raise BadRequest(provider, f"the request cannot be written as JSON: {why}") from exc
    if not sent.messages:
        raise BadRequest(provider, "there is nothing to answer: the request has no words")
    return sent


def _portable(request: Request, origin: str) -> Request:
    choice = request.tool_choice
    return replace(
        request,
        system=clean(request.system),
        messages=tuple(_joined(_answered(_sendable_messages(request.messages, origin)), origin)),
        tools=tuple(_tool(tool) for tool in request.tools),
        tool_choice=choice if choice in (None, "any") else wire_name(choice),
        schema=None if request.schema is None else sane(dict(request.schema)),
        options=sane(dict(request.options)),
    )


def _tool(tool: ToolSpec) -> ToolSpec:
    parameters, note = fitted(sane(dict(tool.parameters)))
    description = clean(f"{tool.description}\n{note}".strip() if note else tool.description)
    return ToolSpec(name=wire_name(tool.name), description=description, parameters=parameters)


def sides(messages: Iterable[Message]) -> list[tuple[Literal["user", "assistant"], tuple[Part, ...]]]:
    """Prepared messages for vendors that know two roles: results and what people say after them are one turn."""
    out: list[tuple[Literal["user", "assistant"], tuple[Part, ...]]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if out and out[-1][0] == role == "user":
            out[-1] = (role, (*out[-1][1], *message.parts))
        else:
            out.append((role, message.parts))
    return out


def wire_name(name: str) -> str:
    """A tool name all vendors accept; legal names stay as they are."""
    if _NAME.fullmatch(name):
        return name
    mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"t_{re.sub(r'[^a-zA-Z0-9_-]', '_', name)[:53]}_{mark}"


def _sendable_messages(messages: Iterable[Message], origin: str) -> list[Message]:
    kept = (replace(m, parts=_kept(m, own=m.origin == origin)) for m in messages)
    return [message for message in kept if message.parts]


def _kept(message: Message, *, own: bool) -> tuple[Part, ...]:
    given = message.parts
    if message.role == "assistant":  # no vendor takes pictures from a model
        given = tuple(Text(text=MADE_IMAGE) if isinstance(part, Image) else part for part in given)
    parts = [p for part in given if (p := _sendable(part, own)) is not None]
    if message.role == "assistant" and not own:  # some vendors refuse text after a call
        parts.sort(key=lambda p: isinstance(p, ToolCall))
    while parts and isinstance(
        parts[-1], Thinking
    ):  # a thought that led to nothing is refused as a last word
        parts.pop()
    return tuple(parts)


def _sendable(part: Part, own: bool) -> Part | None:
    match part:
        case Text():
            seal = _seal(part.seal) if own else None
            signed = seal is not None and "signature" in seal  # Gemini signs an empty part at the end
            return replace(part, text=clean(part.text), seal=seal) if part.text.strip() or signed else None
        case Thinking():
            return replace(part, text=clean(part.text), seal=_seal(part.seal)) if own else None
        case ToolCall():
            arguments = sane(dict(part.arguments))
            return replace(
                part, name=wire_name(part.name), arguments=arguments, seal=_seal(part.seal) if own else None
            )
        case Image():
            return _image(part)
        case ToolResult():
            content = tuple(c for p in part.content if (c := _content(p)) is not None)
            return replace(part, name=wire_name(part.name), content=content or (Text(text=NO_OUTPUT),))


def _seal(seal: JsonObject | None) -> JsonObject | None:
    return None if seal is None else sane(dict(seal))


def _content(part: Text | Image) -> Text | Image | None:
    if isinstance(part, Image):
        return _image(part)
    return replace(part, text=clean(part.text), seal=None) if part.text.strip() else None


def _image(image: Image) -> Image | Text:
    if image.mime not in IMAGE_KINDS:
        return Text(
            text=f"(an image of the kind {image.mime!r} was left out; models take {', '.join(IMAGE_KINDS)})"
        )
    try:
        base64.b64decode(image.data, validate=True)
    except (binascii.Error, ValueError):
        return Text(text="(an image was left out: its data is not base64)")
    return image


def _joined(messages: list[Message], origin: str) -> list[Message]:
    """People and models take turns, and a person speaks first."""
    out: list[Message] = []
    for message in messages:
        if out and out[-1].role == message.role:
            whose = origin if origin in (out[-1].origin, message.origin) else message.origin
            out[-1] = replace(out[-1], parts=(*out[-1].parts, *message.parts), origin=whose)
        else:
            out.append(message)
    if out and out[0].role == "assistant":
        out.insert(0, Message(role="user", parts=(Text(text="(The conversation goes on.)"),)))
    return out


def _answered(turns: list[Message]) -> list[Message]:
    """Every call with its result in the message after it, under ids that are legal and unique."""
    out: list[Message] = []
    taken: set[str] = set()
    for index, message in enumerate(turns):
        if message.role == "tool":
            continue  # taken from where the calls are
        if not message.tool_calls:
            out.append(message)
            continue
        given = _results_after(turns, index)
        parts: list[Part] = []
        results: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                answer = given.pop(part.id, None) or _lost(part)
                id = (
                    part.id
                    if _ID.fullmatch(part.id) and part.id not in taken
                    else _fresh(part.id, len(taken))
                )
                taken.add(id)
                results.append(replace(answer, call_id=id, name=part.name))
                part = replace(part, id=id)
            parts.append(part)
        out += [replace(message, parts=tuple(parts)), Message(role="tool", parts=tuple(results))]
    return out


def _results_after(turns: list[Message], index: int) -> dict[str, ToolResult]:
    """Results between this model turn and the next; the first of each call counts."""
    found: dict[str, ToolResult] = {}
    for message in turns[index + 1 :]:
        if message.role == "assistant":
            break
        for part in message.parts:
            if isinstance(part, ToolResult):
                found.setdefault(part.call_id, part)
    return found


def _lost(call: ToolCall) -> ToolResult:
    return ToolResult(call_id=call.id, name=call.name, content=(Text(text=INTERRUPTED),), is_error=True)


def _fresh(id: str, position: int) -> str:
    """The same replacement every time the same history is sent: prompt caches depend on it."""
    return "call_" + hashlib.sha256(f"{position} {id}".encode("utf-8", "replace")).hexdigest()[:24]
