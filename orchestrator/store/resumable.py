"""Patterns that were begun in a conversation and are not done: what is needed to go on with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..events import Journaled
from .store import Store, StoreError

CALL, OUTCOME, PAUSED = "call", "outcome", "paused"
"""Keys of a run's journal: how it was asked for, what came of it, what it waits for (with a number for each pause)."""


@dataclass(slots=True, kw_only=True)
class Begun:
    session: str | None  # None: it was begun elsewhere
    run: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])  # by key; the first that was kept counts
    paused: Mapping[str, str] | None = None  # question and key of the last pause

    @property
    def waits_for(self) -> str | None:
        """The question a person has to answer; None when nothing is missing but to go on."""
        pause = self.paused
        return pause["question"] if pause and pause["key"] not in self.values else None


def begun_of(journaled: Iterable[tuple[str, str, Any]], session: str | None = None) -> list[Begun]:
    """The runs of these journals, of (run, key, value) in order, that have no outcome yet; the newest first."""
    found: dict[str, Begun] = {}
    for name, key, value in journaled:
        run = found.setdefault(name, Begun(session=session, run=name))
        if key.partition("/")[0] == PAUSED:
            run.paused = value
        run.values.setdefault(key, value)
    return [run for run in reversed(found.values()) if CALL in run.values and OUTCOME not in run.values]


def begun(store: Store, session: str) -> list[Begun]:
    """The patterns of a conversation that have no outcome yet, the newest first."""
    return begun_of(((event.run, event.key, event.value) for event in store.journaled(session)), session)


def unfinished(store: Store, which: str | None = None) -> Begun:
    """The newest unfinished pattern of a conversation, or of all. Raises StoreError when there is none."""
    if which is not None:
        session = store.find(which).id
        if found := begun(store, session):
            return found[0]
        raise StoreError(f"in the conversation {session} no pattern is unfinished")
    for kept in store.sessions(200):
        if found := begun(store, kept.id):
            return found[0]
    raise StoreError("no pattern is unfinished")


def decide(store: Store, run: Begun, answer: str) -> str:
    """Keep a person's answer to what the run waits for; one that was given before stands. Raises StoreError."""
    if run.paused is None or run.session is None:
        raise StoreError(f"the run {run.run} waits for no decision")
    key = run.paused["key"]
    if key not in run.values:
        store.note(run.session, Journaled(run=run.run, key=key, value=answer))
        kept = (event for event in store.journaled(run.session) if (event.run, event.key) == (run.run, key))
        run.values[key] = next(kept).value  # another process may have been first
    return str(run.values[key])
