"""One begins, another goes on, the work is reviewed, and the first one ends it."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic

from ..agent import Agent
from ..types import assistant, user
from .ask import Ask, attempt, reader
from .outcome import Outcome


async def handoff(
    ask: Ask, first: Agent, second: Agent, task: str, *, reviewer: Agent | None = None
) -> Outcome:
    """A, B, review, A. What A said goes to B as a history any model can read; `reviewer` is A where none is given.

    Where B or the review fails the first one ends the work with what there is, and a warning says so; where A's
    beginning fails there is nothing to hand over.
    """
    started = monotonic()
    begun = await attempt(ask, replace(first, role="author"), task, step="begin")
    if not begun.ok:
        error = f"{first.model} failed at the beginning: {begun.error}"
        return Outcome(pattern="handoff", question=task, responses=(begun,), error=error)
    past = (user(task), assistant(begun.text, origin=begun.model))
    go_on = "Go on with this work where it stands and bring it to its end."
    work = await attempt(ask, replace(second, role="worker"), go_on, step="go on", history=past)
    so_far = work.text if work.ok else begun.text
    check = (
        f"Review this work for the task, and say what must change.\n\nTask: {task}\n\n----\n{so_far}\n----"
    )
    review = await attempt(ask, reader(reviewer or first, "critic"), check, step="review")
    said = review.text if review.ok else "(there is no review)"
    end = f"{task}\n\nThe work so far:\n----\n{so_far}\n----\nA review says:\n----\n{said}\n----\nWrite the final result."
    final = await attempt(ask, replace(first, role="author"), end, step="end")
    failed = [one for one in (work, review) if not one.ok]
    return Outcome(
        pattern="handoff",
        question=task,
        text=final.text,
        error=None if final.ok else f"{first.model} failed at the end: {final.error}; what was done is kept",
        reason=f"begun by {first.model}, continued by {second.model}, reviewed by {(reviewer or first).model}",
        responses=(begun, work, review, final),
        seconds=monotonic() - started,
        warnings=tuple(f"step {one.step!r} failed: {one.error}" for one in failed),
    )
