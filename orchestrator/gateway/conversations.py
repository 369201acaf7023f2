"""Calls that come one by one, put together again as the conversations they belong to, for the journal.

A client sends its whole conversation with every call. What it and its tools said before tells which one goes on;
what the model said does not count, for clients send that back in their own form.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from time import monotonic

from ..events import Appended, Emit, Event, RunEnded, RunStarted, Streamed, current_run
from ..types import Completion, Message, Text, Usage

MAX_OPEN = 200
"""Conversations that are remembered; one that was forgotten begins anew when it goes on."""


@dataclass(slots=True, kw_only=True)
class Conversation:
    emit: Emit
    run: str | None = None  # the run that waits for the results of its calls
    begun: RunStarted | None = None
    began: float = 0.0
    spent: Usage = field(default_factory=Usage)
    mark: str = ""  # of what was said up to its last answer
    pending: tuple[Message, ...] = ()  # said to the model, and not kept yet

    def asks(self, model: str, new: Sequence[Message]) -> None:
        """The client says `new`: results of open calls, or a question."""
        if self.run is not None and new and new[0].role == "tool":
            while new and new[0].role == "tool":
                self._tell(Appended(run=self.run, messages=(new[0],), usage=Usage()))
                new = new[1:]
            self.pending = tuple(new)
            current_run.set(self.begun)
            return
        self.ends()
        self.run, self.began, self.spent = secrets.token_hex(4), monotonic(), Usage()
        self.pending = tuple(new)
        question = next((message for message in new if message.role == "user"), None)
        self.begun = RunStarted(
            run=self.run,
            parent=None,
            agent="gateway",
            model=model,
            prompt=_last_words(question) if question else "(the conversation goes on)",
            question=question,
        )
        current_run.set(self.begun)  # of this call's task: forecasts and costs belong to it
        self._tell(self.begun)

    def streams(self, text: str, *, thinking: bool) -> None:
        self._tell(Streamed(run=self.run or "", text=text, thinking=thinking))

    def answers(self, done: Completion) -> None:
        self.spent += done.usage
        messages = (*self.pending, done.message)
        self._tell(
            Appended(
                run=self.run or "",
                messages=messages,
                usage=done.usage,
                recorded=done.recorded,
                simulated=done.simulated,
            )
        )
        self.pending = ()
        if not done.message.tool_calls:
            self.ends()

    def ends(self, error: str | None = None) -> None:
        if self.run is not None:
            seconds = monotonic() - self.began
            self._tell(RunEnded(run=self.run, usage=self.spent, seconds=seconds, error=error))
            self.run, self.pending = None, ()

    def _tell(self, event: Event) -> None:
        self.emit(event)


class Conversations:
    def __init__(self, keep: Callable[[], Emit]) -> None:
        """`keep` makes what keeps one more conversation."""
        self._keep = keep
        self._known: OrderedDict[str, Conversation] = OrderedDict()

    def of(self, model: str, messages: Sequence[Message]) -> tuple[Conversation, Sequence[Message]]:
        """The conversation these messages continue, a new one if none, and those that are new in it."""
        marks = _marks(model, messages)
        for place in reversed(range(len(messages))):
            if (mark := marks[place]) and (found := self._known.get(mark)) and place < len(messages) - 1:
                new = place + 1
                while new < len(messages) and messages[new].role == "assistant":
                    new += 1
                if new < len(messages):
                    return found, messages[new:]
        return Conversation(emit=self._keep()), messages

    def remember(self, model: str, messages: Sequence[Message], conversation: Conversation) -> None:
        """So far it was answered: `messages` are what a next call of it begins with."""
        mark = next((mark for mark in reversed(_marks(model, messages)) if mark), "")
        self._known.pop(conversation.mark, None)
        conversation.mark = mark
        self._known[mark] = conversation
        while len(self._known) > MAX_OPEN:
            self._known.popitem(last=False)[1].ends()

    def close(self) -> None:
        for conversation in self._known.values():
            conversation.ends()
        self._known.clear()


def _marks(model: str, messages: Sequence[Message]) -> list[str]:
    """For each message not of the model, one mark of everything up to it; empty for the model's."""
    running, marks = hashlib.sha256(model.encode()), list[str]()
    for message in messages:
        if message.role == "assistant":
            marks.append("")
            continue
        written = json.dumps([message.role, [asdict(part) for part in message.parts]], sort_keys=True)
        running.update(written.encode("utf-8", "replace"))
        marks.append(running.hexdigest())
    return marks


def _last_words(question: Message) -> str:
    """What the person wrote; clients put reminders of their own before it."""
    texts = [part.text for part in question.parts if isinstance(part, Text) and part.text.strip()]
    return texts[-1] if texts else "(no words)"
