"""The end of a conversation that is sent, by messages and by tokens.

Every cut falls before a question, or behind the results of a round's calls, so no tool call loses its result. Where
something was cut, the thinking of earlier answers is left out too: vendors bind it to the unedited conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..providers.estimate import count_tokens
from ..types import Message, Thinking


def trim_history(
    history: Sequence[Message], *, n_messages: int | None = None, max_tokens: int | None = None
) -> tuple[Message, ...]:
    """The end of a conversation that can be sent: at most so many messages, and about so many tokens; None: no limit.

    It begins with a question. `n_messages` keeps the last turn whole, however many messages it has; of a last turn
    that `max_tokens` cannot hold its question and the last rounds that fit are kept; () when not even those do.
    """
    kept = latest(history, n_messages)
    return kept if max_tokens is None else within(kept, max_tokens)


def latest(history: Sequence[Message], n_messages: int | None) -> tuple[Message, ...]:
    """At most the last `n_messages`, from a question on; None: all. The last turn is kept whole, however long."""
    return from_place(history, start_of_latest(history, n_messages))


def within(history: Sequence[Message], max_tokens: int) -> tuple[Message, ...]:
    """As many of the last turns as fit in about `max_tokens`, or what fits of the last; () when nothing does."""
    begin = turns_within(history, max_tokens)
    if begin < len(history) or not history:
        return from_place(history, begin)
    starts = _turns(history)
    return _shortened(history[starts[-1] :], max_tokens) if starts else ()


def turns_within(history: Sequence[Message], max_tokens: int) -> int:
    """Where the turns begin that fit; the end when none does."""
    room, begin = max_tokens, len(history)
    for start in reversed(_turns(history)):
        room -= count_tokens(history[start:begin])
        if room < 0:
            break
        begin = start
    return begin


def start_of_latest(history: Sequence[Message], n_messages: int | None) -> int:
    """Where the last `n_messages` begin, as `latest` takes them."""
    if n_messages is None or len(history) <= n_messages:
        return 0
    if n_messages <= 0:
        return len(history)
    starts = _turns(history)
    return next((s for s in starts if len(history) - s <= n_messages), starts[-1] if starts else 0)


def from_place(history: Sequence[Message], start: int) -> tuple[Message, ...]:
    """The messages from this place on, as they can be sent."""
    return tuple(history) if start == 0 else _bare(history[start:])


def _shortened(turn: Sequence[Message], max_tokens: int) -> tuple[Message, ...]:
    """The question of a turn with its last rounds, each whole, that fit; () when no round does."""
    question, *rest = _bare(turn)
    room, begin = max_tokens - count_tokens(question), len(rest)
    for place in reversed(range(len(rest))):
        room -= count_tokens(rest[place])
        if room < 0:
            break
        if rest[place].role == "assistant":  # results go with the calls before them, or not at all
            begin = place
    return (question, *rest[begin:]) if begin < len(rest) else ()


def _turns(history: Sequence[Message]) -> list[int]:
    """Where a person speaks."""
    return [place for place, message in enumerate(history) if message.role == "user"]


def _bare(messages: Sequence[Message]) -> tuple[Message, ...]:
    bare = (
        replace(message, parts=tuple(part for part in message.parts if not isinstance(part, Thinking)))
        for message in messages
    )
    return tuple(message for message in bare if message.parts)
