"""How much of a conversation goes along with a question: what the person set, what the model holds, a summary of the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from ..agent import Agent
from ..errors import ContextTooLong, OrchestratorError
from ..events import Emit, Notice, Summarised, ignore
from ..patterns import Ask
from ..providers.estimate import count_tokens
from ..reply import Reply
from ..store.codec import message_json
from ..types import Message
from .history_window import from_place, start_of_latest, turns_within, within
from .session import Session
from .summary import summary_of

SUMMARY_SHARE = 4  # a summary may take a quarter of the window
LEAST_SUMMARY_TOKENS = 50  # less says too little
SMALL_TOKENS = 1_000  # a conversation every model holds: nobody is asked how much its model does


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What of a conversation a request carries. None: no limit."""

    n_messages: int | None = None
    max_tokens: int | None = None  # by `count_tokens`, without the question and the system prompt
    writer: Agent | None = None  # summarises what does not fit; None: it is left out without


class Asks(Protocol):
    """`Ask` that also takes a question with pictures."""

    async def __call__(
        self, agent: Agent, prompt: str | Message, *, history: Sequence[Message] = ()
    ) -> Reply: ...


Room = Callable[[Agent, str | Message], Awaitable[int | None]]
"""How many tokens of earlier messages the agent's model holds beside everything else; None where nobody knows."""


class Memory:
    """Asks with as much of a conversation as its window and the model allow. One for one conversation."""

    def __init__(
        self,
        window: Window,
        emit: Emit = ignore,
        *,
        room: Room | None = None,
        summary: Summarised | None = None,
    ) -> None:
        """`summary`: the newest that was told of this conversation; it is used as long as it fits its beginning."""
        self.window, self.emit, self.room = window, emit, room
        self._summary = summary
        self._proven = False  # the summary is of this conversation's beginning
        self._told: str | None = None  # the model whose window was the last to be told too small

    async def ask(self, ask: Asks, agent: Agent, prompt: str | Message, history: Sequence[Message]) -> Reply:
        """As `ask`. What does not fit the model is asked again with half the history, until it fits.

        Raises OrchestratorError; ContextTooLong when the question alone is too long, or came up in mid-run.
        """
        sent = await self._recalled(ask, agent, prompt, tuple(history))
        while True:
            before = len(history)
            try:
                return await ask(agent, prompt, history=sent)
            except ContextTooLong:
                if (
                    not sent or len(history) != before
                ):  # rounds were kept meanwhile: asking again would repeat them
                    raise
            sent = within(sent, count_tokens(sent) // 2)
            self._tell(agent, len(sent), len(history))

    async def _recalled(
        self, ask: Ask, agent: Agent, prompt: str | Message, history: tuple[Message, ...]
    ) -> tuple[Message, ...]:
        known, begin = self._known(history)
        begin += start_of_latest(history[begin:], self.window.n_messages)
        tokens = count_tokens((*known, *history[begin:]))
        room = await self.room(agent, prompt) if self.room is not None and tokens > SMALL_TOKENS else None
        limit = min((most for most in (self.window.max_tokens, room) if most is not None), default=tokens)
        if tokens <= limit:
            return (*known, *from_place(history, begin))
        if (summed := await self._summed_up(ask, known, history, begin, limit)) is not None:
            return summed
        sent = within(history[begin:], limit)
        if limit == room and self._told != agent.model:
            self._told = agent.model
            self._tell(agent, len(sent), len(history))
        return sent

    def _known(self, history: tuple[Message, ...]) -> tuple[tuple[Message, ...], int]:
        """The summary, where it is one of this conversation's beginning, and how many messages it stands for."""
        summary = self._summary
        if summary is not None and len(history) < summary.stands_for:
            summary = self._summary = None
        if summary is None:
            return (), 0
        if not self._proven and _digest(history[: summary.stands_for]) != summary.digest:
            self._summary = None
            return (), 0
        self._proven = True
        return (summary.message,), summary.stands_for

    async def _summed_up(
        self, ask: Ask, known: tuple[Message, ...], history: tuple[Message, ...], begin: int, limit: int
    ) -> tuple[Message, ...] | None:
        """The conversation with a new summary in place of its beginning; None where nobody writes one."""
        share = limit // SUMMARY_SHARE
        if self.window.writer is None or share < LEAST_SUMMARY_TOKENS:
            return None
        start = begin + turns_within(history[begin:], limit - share)
        try:
            message = await summary_of(
                ask, self.window.writer, (*known, *history[begin:start]), stands_for=start, max_tokens=share
            )
        except OrchestratorError as exc:
            said = f"no summary could be written, older messages are left out: {exc}"
            self.emit(Notice(text=said, level="warning"))
            return None
        self._summary = Summarised(message=message, stands_for=start, digest=_digest(history[:start]))
        self._proven = True
        self.emit(self._summary)
        self.emit(
            Notice(text=f"the first {start} messages go along as a summary by {self.window.writer.model}")
        )
        return (message, *from_place(history, start))

    def _tell(self, agent: Agent, sent: int, of: int) -> None:
        along = f"{sent} of {of} earlier messages go along" if sent else "nothing earlier goes along"
        text = f"the conversation does not fit {agent.model}; {along}"
        self.emit(Notice(text=text, level="warning"))


def window_of(session: Session, n_messages: int | None = None) -> Window:
    """The window the session's configuration asks for. Raises ConfigError when its summary_model means nothing."""
    config = session.config
    model = config.summary_model or config.fast_model
    writer = session.agent(model, name="summary") if model else None
    return Window(n_messages=n_messages, max_tokens=config.history_tokens, writer=writer)


def _digest(messages: Sequence[Message]) -> str:
    summed = sha256()
    for message in messages:
        summed.update(message_json(message).encode() + b"\n")
    return summed.hexdigest()
