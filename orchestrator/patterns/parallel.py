"""Many unlike prompts at once, within a limit: the urgent ones first, failures returned and not raised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic

from ..agent import Agent
from .ask import Ask, attempt, together
from .outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One prompt for one agent, among others that `parallel` runs at once.

    `name`: the step of its response, "job N" without one. `priority`: higher ones start first. `timeout_s`: seconds it may
    take; None: the agent's own.
    """

    agent: Agent
    prompt: str
    name: str = ""  # the step of its response; "job N" without one
    priority: int = 0  # higher ones start first
    timeout_s: float | None = None  # None: the agent's own


async def parallel(ask: Ask, jobs: Sequence[Job], *, max_concurrent: int = 4) -> Outcome:
    """The responses in the order of `jobs`, failures among them; how many of each, and the duration, in `details`.

    `max_concurrent`: at a time, 1 or more. A job that fails is a failure among the responses; nothing is raised for it.
    """
    started = monotonic()
    order = sorted(range(len(jobs)), key=lambda place: (-jobs[place].priority, place))
    done = await together(
        [
            partial(
                attempt,
                ask,
                replace(jobs[place].agent, role="worker"),
                jobs[place].prompt,
                step=jobs[place].name or f"job {place + 1}",
                timeout_s=jobs[place].timeout_s,
            )
            for place in order
        ],
        max_concurrent=max_concurrent,
    )
    responses = tuple(said for _, said in sorted(zip(order, done, strict=True), key=lambda pair: pair[0]))
    good = [response for response in responses if response.ok]
    seconds = monotonic() - started
    return Outcome(
        pattern="parallel",
        question="",
        text="\n\n".join(f"## {one.step}\n\n{one.text}" for one in good),
        error=None if good or not jobs else "every job failed",
        reason=f"{len(good)} of {len(jobs)} done",
        responses=responses,
        seconds=seconds,
        details={"completed": len(good), "failed": len(jobs) - len(good), "duration_s": seconds},
    )
