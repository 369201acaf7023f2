"""Messages as JSON and back, and the words of a message that are searched."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from ..types import Message, Text, Thinking, ToolCall, ToolResult

MAX_SEARCHED_CHARS = 100_000  # of one message; the message itself is kept whole


def message_json(message: Message) -> str:
    """ASCII, so that a lone surrogate in what a model wrote survives too."""
    return json.dumps(_messages().dump_python(message, mode="json", warnings="none"))


def message_in(text: str) -> Message:
    """The message that `message_json` wrote."""
    try:
        return _messages().validate_json(text)  # twice as fast
    except ValueError:  # half characters, which JSON may name and pydantic's reader refuses
        return message_of(json.loads(text))


def message_of(value: Any) -> Message:
    return _messages().validate_python(value)


@cache
def _messages() -> TypeAdapter[Message]:
    return TypeAdapter(Message)


def searched(message: Message) -> str:
    said: list[str] = []
    for part in message.parts:
        match part:
            case Text() | Thinking():
                said.append(part.text)
            case ToolCall():
                said.append(
                    f"{part.name} {json.dumps(dict(part.arguments), ensure_ascii=False, default=str)}"
                )
            case ToolResult():
                said.append(part.text)
            case _:
                pass
    return "\n".join(said)[:MAX_SEARCHED_CHARS].encode("utf-8", "replace").decode()
