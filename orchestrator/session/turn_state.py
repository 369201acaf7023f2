"""Where a turn is, at any moment and from any thread: a fold over its events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..events import Appended, Event, RunEnded, RunStarted, Streamed, ToolFinished, ToolStarted
from ..types import Message

Phase = Literal["idle", "perceive", "think", "act", "reflect", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnState:
    """One moment of the loop.

    `phase`: perceive, the question was sent; think, the model writes; act, tools run; reflect, it has their results;
    then done or failed; idle before the first turn. `iteration`: the model call that is made, from 1. `history`: the
    conversation before this turn; `context`: what this turn has added so far. `running`: ids and names of tools.
    """

    goal: str = ""
    phase: Phase = "idle"
    iteration: int = 0
    history: tuple[Message, ...] = ()
    context: tuple[Message, ...] = ()
    running: tuple[tuple[str, str], ...] = ()
    error: str | None = None


class TurnWatch:
    """Keeps `state` of the turns of a lead; what it asks others for is theirs and changes nothing."""

    def __init__(self) -> None:
        self.state = TurnState()
        self._run = ""

    def __call__(self, event: Event) -> None:
        now = self.state
        if isinstance(event, RunStarted):
            if event.role == "lead" and event.parent is None:
                self._run = event.run
                self.state = TurnState(goal=event.prompt, phase="perceive", iteration=1)
            return
        if getattr(event, "run", None) != self._run:
            return
        match event:
            case Streamed():
                self.state = now if now.phase == "think" else replace(now, phase="think")
            case ToolStarted(call=call):
                self.state = replace(now, phase="act", running=(*now.running, (call.id, call.name)))
            case ToolFinished(result=result):
                left = tuple(one for one in now.running if one[0] != result.call_id)
                self.state = replace(now, running=left, phase="act" if left else "reflect")
            case Appended(messages=messages):
                again = messages[-1].role == "tool" and event.cause is None
                context = (*now.context, *messages)
                self.state = replace(now, context=context, iteration=now.iteration + again)
            case RunEnded(error=error):
                self.state = replace(now, phase="failed" if error else "done", error=error, running=())
            case _:
                pass
