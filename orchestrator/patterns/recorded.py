"""A pattern as one turn of a conversation: its question, what its members said, its result."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from time import monotonic

from ..agent import Agent
from ..errors import reason
from ..events import Appended, Emit, RunEnded, RunStarted, current_run
from ..history import STOPPED, closing
from ..reply import Reply
from ..types import Message, Usage, user
from .ask import Ask
from .outcome import OWN, Outcome, Response


async def recorded(
    pattern: str,
    question: str,
    work: Callable[[Ask], Awaitable[Outcome]],
    *,
    ask: Ask,
    emit: Emit,
    key: str | None = None,
) -> Outcome:
    """The outcome of `work`, after it was told to `emit` as a run of its own around those of its members.

    At the top it joins the conversation, so the lead that is asked next knows it; within a run it is a part of that.
    Broken off, by an error, a pause or Ctrl-C, it joins with what had been said until then. `key`: the journal that the
    outcome belongs to; the run's own where it is None.
    """
    run, began, parent = secrets.token_hex(4), monotonic(), current_run.get()
    begun = RunStarted(
        run=run,
        parent=parent.run if parent else None,
        agent=pattern,
        model="",
        prompt=question,
        labels=parent.labels if parent else {},
    )
    emit(begun)
    token = current_run.set(begun)
    said: list[Response] = []
    error: str | None = STOPPED

    async def heard(agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
        reply = await ask(agent, prompt, history=history)
        said.append(Response(agent=agent.name, model=agent.model, step="answer", text=reply.text))
        return reply

    try:
        outcome = replace(await work(heard), run=key or run)
        error = None
        emit(Appended(run=run, messages=(user(question), *outcome.messages()), usage=Usage()))
        return outcome
    except Exception as exc:
        error = str(exc) or reason(exc)
        raise
    finally:
        current_run.reset(token)
        if error is not None:
            so_far = Outcome(pattern=pattern, question=question, responses=tuple(said)).messages()[:-1]
            end = closing((user(question),), cause=error, origin=f"{OWN}:{pattern}")
            messages = (user(question), *so_far, *end)
            emit(Appended(run=run, messages=messages, usage=Usage(), cause=error))
        emit(RunEnded(run=run, usage=Usage(), seconds=monotonic() - began, error=error))
