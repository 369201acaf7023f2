"""How many tokens a text, a conversation or a request has, before any model counted them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from servers.ollama.forecast.token_estimates import CHARS_PER_TOKEN

from ..types import Image, Message, Part, Request, Text, Thinking, ToolCall, ToolResult, ToolSpec

MESSAGE_TOKENS = 4  # what a vendor adds for each message
BYTES_PER_TOKEN = 3.0  # real text has 3.5 to 4.5; code, JSON and non-Latin scripts come near this
TOKENS_PER_MESSAGE = 8
TOKENS_PER_IMAGE = 1_600  # a full-size image at the vendors that publish a figure


def count_tokens(said: str | Message | Sequence[Message], tools: Sequence[ToolSpec] = ()) -> int:
    """An estimate for models in general, rather too high than too low, of a text or messages, and of tools offered.

    No tokenizer is asked, nothing is sent anywhere; a model's own count is in the `usage` of its answers. By bytes, so
    that scripts whose every character is a token or more are not taken for short.
    """
    if isinstance(said, str):
        tokens = _of_text(said)
    else:
        messages = (said,) if isinstance(said, Message) else said
        tokens = sum(MESSAGE_TOKENS + sum(map(_of_part, message.parts)) for message in messages)
    return tokens + (_of_text(_offered(tools)) if tools else 0)


def tokens_at_most(request: Request) -> int:
    """A prompt size that ordinary text stays under: for sizing a context, a budget, a warning."""
    written = len(request.system.encode()) + len(_offered(request.tools).encode())
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


def _of_part(part: Part) -> int:
    text, images = _content(part)
    return _of_text(text) + images * TOKENS_PER_IMAGE


def _of_text(text: str) -> int:
    return int(len(text.encode("utf-8", "replace")) / CHARS_PER_TOKEN) + 1


def _offered(tools: Iterable[ToolSpec]) -> str:
    shown = [(tool.name, tool.description, tool.parameters) for tool in tools]
    return json.dumps(shown, ensure_ascii=False, default=str)


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
