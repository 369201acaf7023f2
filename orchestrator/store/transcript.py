"""A kept conversation as text for people to take away."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ..errors import ConfigError
from ..sanitize import one_line, visible
from ..types import Image, Message, Text, Thinking, ToolCall, ToolResult
from .records import Entry, Kept

LAST_MOMENT = 253_402_300_799.0  # the end of the year 9999


def write(lines: Iterable[str], path: Path) -> None:
    """Into a new file. Raises ConfigError."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except FileExistsError:
        raise ConfigError(f"{path} exists; choose another name") from None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror or exc}") from exc


def as_markdown(kept: Kept, entries: Iterable[Entry]) -> Iterator[str]:
    yield f"# {one_line(kept.title) or kept.id}\n"
    yield f"Session {kept.id}, begun {moment(kept.created_at)}.\n"
    for entry in entries:
        yield f"## {_who(entry)}, {moment(entry.at)}\n"
        yield from _parts(entry.message)


def moment(seconds: float) -> str:
    """Seconds since 1970 as 2026-11-21T03:30:00Z; what no clock shows is the nearest that one does."""
    seconds = min(max(seconds, 0.0), LAST_MOMENT)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _who(entry: Entry) -> str:
    match entry.message.role:
        case "assistant":
            return f"{one_line(entry.agent, 40)} `{one_line(entry.message.origin or entry.model, 80)}`"
        case "tool":
            return "tools"
        case "user":
            return "you" if entry.main else f"to {one_line(entry.agent, 40)}"


def _parts(message: Message) -> Iterator[str]:
    for part in message.parts:
        match part:
            case Text():
                yield visible(part.text) + "\n"
            case Thinking():
                yield "".join(f"> {line}\n" for line in visible(part.text).splitlines())
            case Image():
                yield f"[image, {part.mime}]\n"
            case ToolCall():
                yield f"- calls `{one_line(part.name)}`\n"
                yield _fence(
                    json.dumps(dict(part.arguments), indent=1, ensure_ascii=False, default=str), "json"
                )
            case ToolResult():
                yield f"- `{one_line(part.name)}` {'failed' if part.is_error else 'answers'}\n"
                yield _fence(part.text, "text")


def _fence(text: str, language: str) -> str:
    """A fence longer than any inside."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{visible(text).rstrip()}\n{fence}\n"
