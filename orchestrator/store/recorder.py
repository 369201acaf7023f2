"""What keeps a conversation: everything that happens in it, in memory and, as it happens, in the journal."""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack

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
from .database import process
from .local_runs import LocalRuns
from .records import Kept, is_main
from .store import Deleted, Store, StoreError, Unwritable
from .under_way import hold

MAX_WAITING = 20_000  # events that wait for a disk that cannot be written
PATIENCE_S = 0.25  # how long an event waits for another process; the turn waits with it
LAST_PATIENCE_S = 5.0  # the same, when the conversation closes
RETRY_S = 1.0  # between two tries within a run while nothing can be written: each holds up the turn

Write = Callable[[Store, str], None]
"""Something to write to a store, for the conversation of this id."""


class Recorder:
    """An Emit that keeps a conversation: in `history`, always whole, and event by event on disk.

    A disk that cannot be written ends nothing: what happens waits in memory and is written when it can be again.
    """

    def __init__(
        self,
        store: Store | None,
        kept: Kept | None = None,
        *,
        name: str | None = None,
        folder: str = "",
        runs: Iterable[str] = (),
        history: Iterable[Message] = (),
        spent: Mapping[str, Usage] | None = None,
        local: LocalRuns | None = None,
        summary: Summarised | None = None,
        emit: Emit = ignore,
    ) -> None:
        """`name`: of the agent whose conversation this will be. `runs`: those of the conversation whose messages `history` holds."""
        self.store, self.kept = store, kept
        self.session = kept.id if kept else None
        self.history = list(history)
        self.spent = dict(spent or {})  # by model, workers and advisers included
        self.summary = summary  # the newest of this conversation
        self._local = local or LocalRuns()  # those that `spent` holds
        self._name, self._folder, self._emit = name, folder, emit
        self._runs: dict[str, RunStarted] = {}
        self._known = set(runs)  # runs of this conversation that `history` holds, or will
        self._held: dict[str, ExitStack] = {}  # runs that other processes can see are under way
        self._waiting: deque[Write] = deque()
        self._lost = 0
        self._deleted = False  # in the middle of this turn; the next begins another conversation
        self._told = False
        self._next_try = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted | RunEnded):
            self._next_try = 0.0  # between turns there is time to try
        match event:
            case RunStarted():
                self._runs[event.run] = event
                self._begin(event)
                self._hold(event)
                self._write(lambda store, session: store.start_run(session, event))
            case Streamed():
                # While writes wait, pieces are not worth their room: the whole message will come behind them.
                if event.run in self._runs and not self._waiting:
                    self._write(lambda store, session: store.draft(session, event))
            case Appended():
                if (started := self._runs.get(event.run)) is not None:
                    if started.model:  # a panel's own line is no model's
                        self._spend([(started.model, event.usage)])
                    if is_main(started):
                        self.history += event.messages
                    self._write(lambda store, session: store.append(session, started, event))
            case RunEnded():
                if self._runs.pop(event.run, None) is not None:
                    self._write(lambda store, session: store.end_run(session, event))
                    self._write(lambda store, session: self._let_go(event.run))
            case Summarised():
                self.summary = event
                self._write(lambda store, session: store.note(session, event))
            case ToolFinished():
                self._spend(self._local.of(event))
                self._write(lambda store, session: store.note(session, event))
            case ToolStarted() | Switched() | Journaled() | Notice():
                self._write(lambda store, session: store.note(session, event))
            case _:
                pass

    def up_to_date(self) -> list[Message]:
        """`history`, with what other processes have added to this conversation meanwhile.

        A turn that one of them is in the middle of is told, and joins once it is whole.
        """
        store = self.store
        if store is None:
            return self.history
        try:
            if self.session is None and self._name is not None:
                self.session = store.named(self._name)  # begun elsewhere meanwhile
            if (session := self.session) is None:
                return self.history
            working = store.under_way(session)
            if others := {pid for run, pid in working.items() if run not in self._held}:
                own = str(os.getpid())
                who = " and ".join(process(pid) if pid != own else "this process" for pid in sorted(others))
                self._say(
                    f"{who} is in the middle of another turn of this conversation; both are kept, one after the"
                    " other, and what is said there goes along once it is whole"
                )
            fresh = store.runs(session) - self._known - working.keys()
            if fresh:
                more = [e.message for e in store.entries(session) if e.main and e.run in fresh]
                self._known |= fresh
                self.history += more
                self._local = LocalRuns()
                self.spent = store.usage(session, self._local)
                self._say(f"{len(more)} messages were added to this conversation elsewhere", level="info")
        except Unwritable as exc:
            self._say(f"what others may have added to this conversation cannot be read now: {exc}")
        except StoreError:
            pass  # the next event says so
        return self.history

    def _spend(self, used: Iterable[tuple[str, Usage]]) -> None:
        for model, usage in used:
            self.spent[model] = self.spent.get(model, Usage()) + usage

    def close(self) -> None:
        """As `finish`, and close the store."""
        self.finish()
        if self.store is not None:
            self.store.close()

    def finish(self) -> None:
        """Write what still waits, as far as it can be; what cannot be is told, and lost."""
        if self.store is not None:
            if self._waiting:
                self._flush(self.store, LAST_PATIENCE_S)
            if self._waiting or self._lost:
                lost = len(self._waiting) + self._lost
                self._say(f"the last {lost:,} events of this conversation could not be kept")
                self._waiting.clear()
        self._let_all_go()

    def _begin(self, event: RunStarted) -> None:
        if self.store is None or self.session is not None or (self._deleted and event.parent is not None):
            return
        self._deleted = False
        title = self._name or event.prompt.strip().split("\n")[0]
        self.session = secrets.token_hex(4)

        def begin(store: Store, session: str) -> None:
            # of an agent's name another process may have begun one
            self.session = store.start(session, title=title, folder=self._folder, name=self._name)

        self._write(begin)

    def _hold(self, event: RunStarted) -> None:
        """Let other processes see that this run goes on, and was not killed."""
        if is_main(event):
            self._known.add(event.run)
        if self.store is not None and self.session is not None:
            self._held[event.run] = held = ExitStack()
            held.enter_context(hold(self.store.path, event.run))

    def _let_go(self, run: str) -> None:
        if (held := self._held.pop(run, None)) is not None:
            held.close()

    def _let_all_go(self) -> None:
        for run in list(self._held):
            self._let_go(run)

    def _write(self, work: Write) -> None:
        """Do `work` now, or once what waits before it is written."""
        store = self.store
        if store is None or self.session is None:
            return
        self._waiting.append(work)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._lost += 1
        if time.monotonic() >= self._next_try:
            self._flush(store, PATIENCE_S)

    def _flush(self, store: Store, patience_s: float) -> None:
        try:
            while self._waiting:
                with store.patient(patience_s):
                    self._waiting[0](store, str(self.session))
                self._waiting.popleft()
        except Unwritable as exc:
            self._next_try = time.monotonic() + RETRY_S
            if not self._told:
                self._told = True
                self._say(f"{exc}; what happens is held in memory until it can be written")
            return
        except Deleted as exc:
            self.session, self._deleted = None, True
            self._waiting.clear()
            self._let_all_go()
            self._say(f"{exc}; this turn is not kept, and the next begins another conversation")
            return
        except StoreError as exc:
            self.store = None
            self._waiting.clear()
            self._let_all_go()
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
    conversation begins with its first turn when there is none. `store` None: nothing is kept. Raises StoreError.
    """
    if store is None:
        return Recorder(None)
    if name is not None:
        which = store.named(name)
    if which is None:
        return Recorder(store, name=name, folder=folder, emit=emit)
    kept = store.find(which)
    working = store.under_way(kept.id)
    said = [entry for entry in store.entries(kept.id) if entry.main and entry.run not in working]
    local = LocalRuns()
    return Recorder(
        store,
        kept,
        name=kept.name,
        folder=folder or kept.folder,
        runs=(entry.run for entry in said),
        history=(entry.message for entry in said),
        spent=store.usage(kept.id, local),
        local=local,
        summary=store.summary(kept.id),
        emit=emit,
    )
