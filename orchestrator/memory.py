"""How much of a conversation is sent: windows by messages and by tokens, summaries of what falls out.

Every cut falls before a question, so no tool call loses its result. Where something was cut, the thinking
of earlier answers is left out too: vendors bind it to the unedited conversation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from .agent import Agent
from .patterns import Ask
from .types import Image, Message, Part, Text, Thinking, ToolCall, ToolResult, user

CHARS_PER_TOKEN = (
    3.5  # English prose has about 4, code and other languages fewer: rather too many than too few
)
IMAGE_TOKENS = 1_600  # of one picture, at the size vendors scale it to
MESSAGE_TOKENS = 4  # what a vendor adds for each message

SUMMARY_MARK = "[Summary of the earlier conversation, written by "
_ASKED = """\
Below is the beginning of a conversation between a person and a model that works with tools. Write a summary from
which the model can go on: what was asked, what was decided and why, which files and facts matter, what was done,
what is open. Facts only, no praise, at most {words} words.

{transcript}"""


def latest(history: Sequence[Message], n_messages: int | None) -> tuple[Message, ...]:
    """At most the last `n_messages`, from a question on; None: all. The last turn is kept whole, however long."""
    if n_messages is None or len(history) <= n_messages:
        return tuple(history)
    if n_messages <= 0:
        return ()
    starts = _turns(history)
    fitting = [start for start in starts if len(history) - start <= n_messages]
    return _cut(history, fitting[0] if fitting else starts[-1] if starts else 0)


def within(history: Sequence[Message], max_tokens: int) -> tuple[Message, ...]:
    """As many of the last turns as fit in about `max_tokens`; () when not even the last does."""
    room, begin = max_tokens, len(history)
    for start in reversed(_turns(history)):
        room -= tokens_of(history[start:begin])
        if room < 0:
            break
        begin = start
    return _cut(history, begin)


def tokens_of(messages: Sequence[Message]) -> int:
    """An estimate, rather too high than too low."""
    return sum(MESSAGE_TOKENS + sum(_tokens(part) for part in message.parts) for message in messages)


async def summarised(
    ask: Ask, writer: Agent, history: Sequence[Message], *, over_tokens: int, keep_tokens: int
) -> tuple[Message, ...]:
    """`history` as it is while it has at most `over_tokens`; beyond, a summary by `writer` and the last turns.

    The summary says that it is one and who wrote it. Raises OrchestratorError when the writer cannot answer.
    """
    if tokens_of(history) <= over_tokens:
        return tuple(history)
    recent = within(history, keep_tokens)
    old = history[: len(history) - len(recent)]
    if not old:
        return tuple(history)
    prompt = _ASKED.format(words=max(keep_tokens // 4, 50), transcript=transcript_of(old, over_tokens))
    reply = await ask(replace(writer, role="worker", tools=()), prompt)
    return (user(f"{SUMMARY_MARK}{writer.model}; {len(old)} messages.]\n\n{reply.text}"), *recent)


def transcript_of(history: Sequence[Message], max_tokens: int) -> str:
    """The conversation as text; when it has more than about `max_tokens`, its middle is left out and said so."""
    text = "\n\n".join(filter(None, map(_written, history)))
    room = int(max_tokens * CHARS_PER_TOKEN)
    if len(text) <= room:
        return text
    half = room // 2
    return f"{text[:half]}\n\n... {len(text) - 2 * half:,} characters left out ...\n\n{text[-half:]}"


def _turns(history: Sequence[Message]) -> list[int]:
    """Where a person speaks."""
    return [place for place, message in enumerate(history) if message.role == "user"]


def _cut(history: Sequence[Message], start: int) -> tuple[Message, ...]:
    kept = tuple(history[start:])
    if len(kept) == len(history):
        return kept
    bare = (replace(m, parts=tuple(p for p in m.parts if not isinstance(p, Thinking))) for m in kept)
    return tuple(message for message in bare if message.parts)


def _tokens(part: Part) -> int:
    match part:
        case Text() | Thinking():
            return _of_text(part.text)
        case Image():
            return IMAGE_TOKENS
        case ToolCall():
            return _of_text(part.name + json.dumps(dict(part.arguments), ensure_ascii=False, default=str))
        case ToolResult():
            return sum(_tokens(inner) for inner in part.content)


def _of_text(text: str) -> int:
    """By bytes, so that scripts whose every character is a token or more are not taken for short."""
    return int(len(text.encode("utf-8", "replace")) / CHARS_PER_TOKEN) + 1


def _written(message: Message) -> str:
    lines: list[str] = []
    for part in message.parts:
        match part:
            case Text():
                lines.append(f"{message.role}: {part.text}")
            case ToolCall():
                lines.append(
                    f"call {part.name} {json.dumps(dict(part.arguments), ensure_ascii=False, default=str)}"
                )
            case ToolResult():
                lines.append(f"{'error' if part.is_error else 'result'} of {part.name}: {part.text[:2000]}")
            case _:
                pass
    return "\n".join(lines)
