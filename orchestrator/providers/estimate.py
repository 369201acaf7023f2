"""How many tokens a request may have, before anyone counted: a likely upper bound and a certain lower one."""

from __future__ import annotations

import json

from ..types import Image, Part, Request, Text, Thinking, ToolCall, ToolResult

BYTES_PER_TOKEN = 3.0  # real text has 3.5 to 4.5; code, JSON and non-Latin scripts come near this
TOKENS_PER_MESSAGE = 8
TOKENS_PER_IMAGE = 1_600  # a full-size image at the vendors that publish a figure


def tokens_at_most(request: Request) -> int:
    """A prompt size that ordinary text stays under: for sizing a context, a budget, a warning."""
    tools = [(tool.name, tool.description, tool.parameters) for tool in request.tools]
    written = len(request.system.encode()) + len(json.dumps(tools, ensure_ascii=False, default=str).encode())
    images = 0
    for message in request.messages:
        for part in message.parts:
            text, pictures = _content(part)
            written += len(text.encode("utf-8", "replace"))
            images += pictures
    each = TOKENS_PER_MESSAGE * (len(request.messages) + 2)
    return int(written / BYTES_PER_TOKEN) + each + images * TOKENS_PER_IMAGE


def tokens_at_least(request: Request) -> int:
    """A prompt size no tokenizer can undercut: one token for each word between blanks."""
    texts = [
        request.system,
        *(_content(p)[0] for m in request.messages for p in m.parts if not isinstance(p, Thinking)),
    ]
    return sum(len(text.split()) for text in texts)


def _content(part: Part) -> tuple[str, int]:
    match part:
        case Text() | Thinking():
            return part.text, 0
        case ToolCall():
            return f"{part.name} {json.dumps(dict(part.arguments), ensure_ascii=False, default=str)}", 0
        case ToolResult():
            return part.text, sum(isinstance(p, Image) for p in part.content)
        case Image():
            return "", 1
