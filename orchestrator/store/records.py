"""What the store tells: conversations, messages, matches, runs nobody ended."""

from __future__ import annotations

from dataclasses import dataclass

from ..events import RunStarted
from ..types import Message, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One conversation in the store."""

    id: str
    name: str | None  # the agent that remembers by itself; None for a conversation of its own
    created_at: float  # seconds since 1970
    updated_at: float
    title: str
    folder: str
    parent: str | None  # the session it was forked from
    model: str  # that answered last; empty when nothing was answered
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message as it was kept."""

    at: float
    run: str
    main: bool  # part of the conversation; False: a worker's or an adviser's
    agent: str
    model: str
    message: Message
    usage: Usage | None  # of the round, on its last message
    recorded: bool
    round: int | None  # its number in the journal; None: nobody said it, it closes a run that was never ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    session: str
    title: str
    at: float
    role: str
    model: str
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unended:
    """A run nobody ended."""

    run: str
    cause: str
    closing: tuple[Message, ...]  # what makes its record whole
    seconds: float  # from its beginning to the last that is known of it


def is_main(started: RunStarted) -> bool:
    """Whether a run is part of the conversation, and not a worker's or an adviser's."""
    return started.parent is None and started.role == "lead"
