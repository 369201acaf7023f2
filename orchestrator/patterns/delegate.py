"""One task to one worker."""

from __future__ import annotations

from dataclasses import replace

from ..agent import Agent
from ..reply import Reply
from .ask import Ask


async def delegate(ask: Ask, worker: Agent, task: str, *, context: str = "") -> Reply:
    """One worker does one task, seeing only `task` and `context`. Raises as `ask`: OrchestratorError where there is no answer."""
    return await ask(replace(worker, role="worker"), f"{context}\n\n{task}" if context else task)
