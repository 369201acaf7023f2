"""A history that goes to a model is whole: every question has an answer and every call its result, or the cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .types import Message, Thinking, ToolResult, assistant, result

STOPPED = "stopped by the person"
KILLED = "the program ended before the answer was complete"
UNDER_WAY = "another process is still at work on the answer"
MAX_CAUSE_CHARS = 300


def closing(
    messages: Sequence[Message],
    *,
    cause: str,
    said: str = "",
    thought: str = "",
    results: Mapping[str, ToolResult] | None = None,
    origin: str = "",
) -> tuple[Message, ...]:
    """What follows `messages`, the record of a run that was broken off, so that the conversation can go on.

    Calls without a result get the one in `results`, by the call's id, or `cause` as an error. One last message holds
    `thought` and `said`, what had been streamed of the answer, and tells that it was interrupted and why.
    """
    known = results or {}
    calls = messages[-1].tool_calls if messages else ()
    added: list[Message] = []
    if calls:
        answers = [known.get(call.id) or result(call, cause, is_error=True) for call in calls]
        added.append(Message(role="tool", parts=tuple(answers)))
    why = _why(cause)
    partial = said.rstrip()
    thinking = (Thinking(text=thought),) if thought.strip() else ()
    added.append(assistant(*thinking, f"{partial}\n\n{why}" if partial else why, origin=origin))
    return tuple(added)


def before_closing(text: str, cause: str) -> str:
    """What had been said of an answer that `closing` ended for this cause."""
    return text.removesuffix(_why(cause)).rstrip()


def _why(cause: str) -> str:
    return f"[interrupted: {cause[:MAX_CAUSE_CHARS]}]"
