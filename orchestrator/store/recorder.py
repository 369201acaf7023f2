"""What keeps a conversation: everything that happens in it, in memory and, as it happens, in the journal."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from ..events import (
    Appended,
    Emit,
    Event,
    Journaled,
    Notice,
    RunEnded,
    RunStarted,
    Streamed,
    Summarised,
    Switched,
    ToolFinished,
    ToolStarted,
    ignore,
)
from ..types import Message, Usage
from .records import Kept, is_main
from .store import Store, StoreError, Unwritable

MAX_WAITING = 20_000  # events that wait for a disk that cannot be written
PATIENCE_S = 0.25  # how long an event waits for another process; the turn waits with it
LAST_PATIENCE_S = 5.0  # the same, when the conversation closes
RETRY_S = 1.0  # between two tries within a run while nothing can be written: each holds up the turn

Write = Callable[[], None]


class Recorder:
    """An Emit that keeps a conversation: in `history`, always whole, and event by event on disk.

    A disk that cannot be written ends nothing: what happens waits in memory and is written when it can be again.
    """

    def __init__(
        self,
        store: Store | None,
        kept: Kept | None = None,
        *,
        folder: str = "",
        history: Iterable[Message] = (),
        spent: Mapping[str, Usage] | None = None,
        summary: Summarised | None = None,
        emit: Emit = ignore,
    ) -> None:
        self.store, self.kept = store, kept
        self.session = kept.id if kept else None
        self.history = list(history)
        self.spent = dict(spent or {})  # by model, workers and advisers included
        self.summary = summary  # the newest of this conversation
        self._folder, self._emit = folder, emit
        self._runs: dict[str, RunStarted] = {}
        self._waiting: deque[Write] = deque()
        self._lost = 0
        self._told = False
        self._next_try = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted | RunEnded):
            self._next_try = 0.0  # between turns there is time to try
        match event:
            case RunStarted():
                self._runs[event.run] = event
                self._begin(event)
                self._write(lambda store, session: store.start_run(session, event))
            case Streamed():
                # While writes wait, pieces are not worth their room: the whole message will come behind them.
                if event.run in self._runs and not self._waiting:
                    self._write(lambda store, session: store.draft(session, event))
            case Appended():
                if (started := self._runs.get(event.run)) is not None:
                    if started.model:  # a panel's own line is no model's
                        self.spent[started.model] = self.spent.get(started.model, Usage()) + event.usage
                    if is_main(started):
                        self.history += event.messages
                    self._write(lambda store, session: store.append(session, started, event))
            case RunEnded():
                if self._runs.pop(event.run, None) is not None:
                    self._write(lambda store, session: store.end_run(session, event))
            case Summarised():
                self.summary = event
                self._write(lambda store, session: store.note(session, event))
            case ToolStarted() | ToolFinished() | Switched() | Journaled() | Notice():
                self._write(lambda store, session: store.note(session, event))
            case _:
                pass

    def close(self) -> None:
        """Write what still waits, as far as it can be, and close the store."""
        if self.store is not None:
            if self._waiting:
                self._flush(self.store, LAST_PATIENCE_S)
            if self._waiting or self._lost:
                lost = len(self._waiting) + self._lost
                self._say(f"the last {lost:,} events of this conversation could not be kept")
            self.store.close()

    def _begin(self, event: RunStarted) -> None:
        if self.store is None or self.session is not None:
            return
        title = event.prompt.strip().split("\n")[0]
        self.session = secrets.token_hex(4)
        self._write(lambda store, session: store.begin(session, title=title, folder=self._folder))

    def _write(self, work: Callable[[Store, str], None]) -> None:
        """Do `work` now, or once what waits before it is written."""
        store, session = self.store, self.session
        if store is None or session is None:
            return
        self._waiting.append(lambda: work(store, session))
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1
        if time.monotonic() >= self._next_try:
            self._flush(store, PATIENCE_S)

    def _flush(self, store: Store, patience_s: float) -> None:
        try:
            while self._waiting:
                with store.patient(patience_s):
                    self._waiting[0]()
                self._waiting.popleft()
        except Unwritable as exc:
            self._next_try = time.monotonic() + RETRY_S
            if not self._told:
                self._told = True
                self._say(f"{exc}; what happens is held in memory until it can be written")
            return
        except StoreError as exc:
            self.store = None
            self._waiting.clear()
            self._say(f"from here on nothing of this conversation is kept: {exc}")
            return
        self._next_try = 0.0
        if self._told:
            self._told = False
            self._say("what was held back is written now", level="info")

    def _say(self, text: str, level: str = "warning") -> None:
        self._emit(Notice(text=text, level="info" if level == "info" else "warning"))


def open_conversation(
    store: Store | None,
    *,
    which: str | None = None,
    name: str | None = None,
    folder: str = "",
    emit: Emit = ignore,
) -> Recorder:
    """What keeps a conversation in `store`: a kept one, an agent's own, or a new one.

    `which`: the one to go on with, as `Store.find` takes it. `name`: of an agent that remembers by itself; its
    conversation is made when there is none. `store` None: nothing is kept. Raises StoreError.
    """
    if store is None:
        return Recorder(None)
    if name is not None:
        which = store.start(name=name, title=name, folder=folder)
    if which is None:
        return Recorder(store, folder=folder, emit=emit)
    kept = store.find(which)
    return Recorder(
        store,
        kept,
        history=store.history(kept.id),
        spent=store.usage(kept.id),
        summary=store.summary(kept.id),
        emit=emit,
    )
