"""A kept conversation as the events it consisted of, so that any display can show it once more."""

from __future__ import annotations

from collections.abc import Iterator

from ..events import Appended, Event, RunEnded, RunStarted, Streamed
from ..history import before_closing
from ..types import Message, Text, Thinking, Usage
from .store import Store


def replay(store: Store, session: str) -> Iterator[Event]:
    """What happened, in order; each answer is streamed again just before it is whole.

    A run that nobody ended is told as far as it came. Raises StoreError.
    """
    spent: dict[str, Usage] = {}
    for event in store.events(session):
        if isinstance(event, Appended):
            spent[event.run] = spent.get(event.run, Usage()) + event.usage
            yield from _streamed(event)
        yield event
    for run in store.unended(session):
        closing = Appended(run=run.run, messages=run.closing, usage=Usage(), cause=run.cause)
        yield from _streamed(closing)
        yield closing
        usage = spent.get(run.run, Usage())
        yield RunEnded(run=run.run, usage=usage, seconds=run.seconds, error=run.cause)


def inherited(store: Store, session: str) -> list[Message]:
    """What a conversation began with that happened in another one: it was forked there."""
    here = {event.run for event in store.events(session) if isinstance(event, RunStarted)}
    return [entry.message for entry in store.entries(session) if entry.main and entry.run not in here]


def _streamed(event: Appended) -> Iterator[Streamed]:
    for message in event.messages:
        for part in message.parts if message.role == "assistant" else ():
            if isinstance(part, Text | Thinking):
                thinking = isinstance(part, Thinking)
                cut = event.cause is not None and not thinking
                text = before_closing(part.text, event.cause or "") if cut else part.text
                if text:
                    yield Streamed(run=event.run, text=text, thinking=thinking)
