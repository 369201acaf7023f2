"""Patterns as tools of a model: our own lead's, and, through `understudy serve`, of any MCP host."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import anyio
from anyio.abc import TaskGroup
from pydantic import Field

from ..config.patterns import BY_USE, settings_of
from ..errors import OrchestratorError, Paused
from ..function_tools import FunctionTool
from ..patterns import Outcome
from .panels import run_pattern
from .session import Session

WAIT_S = 45.0  # hosts give up on a call after about a minute
MAX_JOBS = 200  # that are remembered

Models = Annotated[list[str] | None, Field(description="provider:model each; left out: the configured panel")]


def _default(use: str, setting: str) -> Any:
    return BY_USE[use].model_fields[setting].default


@dataclass(slots=True, kw_only=True)
class _Job:
    id: str
    pattern: str
    done: anyio.Event = field(default_factory=anyio.Event)
    outcome: Outcome | None = None
    error: str = ""


class PatternTools:
    """The patterns of a session as functions. With a task group, what takes longer than `wait_s` goes on as a job."""

    def __init__(
        self, session: Callable[[], Session], group: Callable[[], TaskGroup | None], *, wait_s: float = WAIT_S
    ) -> None:
        self._session, self._group, self._wait_s = session, group, wait_s
        self._jobs: dict[str, _Job] = {}

    @property
    def tools(self) -> list[FunctionTool[..., Any]]:
        reading: list[Any] = [self.consult, self.vote, self.debate, self.outcome]
        acting: list[Any] = [self.ask, self.refine, self.route, self.plan]
        return [FunctionTool(one, read_only=one in reading or None) for one in (*acting, *reading)]

    async def ask(self, model: str, prompt: str) -> str:
        """Ask one model. It sees the prompt alone and has no tools."""
        return await self._run({"use": "ask", "model": model}, prompt)

    async def consult(self, question: str, models: Models = None, judge: str | None = None) -> str:
        """Ask several models the same at once; with a judge, get one answer that cites them."""
        return await self._run({"use": "consult", "models": models, "judge": judge}, question)

    async def vote(
        self,
        question: str,
        models: Models = None,
        choices: list[str] | None = None,
        samples: int = _default("vote", "samples"),
        judge: str | None = None,
        embed: str | None = None,
    ) -> str:
        """Let models vote; for questions with one short answer. A judge, or an embedding model, says which ballots mean the same."""
        values = {"use": "vote", "models": models, "choices": choices, "samples": samples}
        values |= {"judge": judge, "embed": embed}
        return await self._run(values, question)

    async def refine(
        self,
        task: str,
        author: str | None = None,
        critic: str | None = None,
        iterations: int = _default("refine", "iterations"),
    ) -> str:
        """One model writes, another reviews until it approves. Returns the text."""
        values = {"use": "refine", "author": author, "critic": critic, "iterations": iterations}
        return await self._run(values, task)

    async def debate(
        self,
        question: str,
        models: Models = None,
        rounds: int = _default("debate", "rounds"),
        judge: str | None = None,
        embed: str | None = None,
    ) -> str:
        """Models answer blind, then argue until they agree; the minority is reported. Dear: several calls each."""
        return await self._run(
            {"use": "debate", "models": models, "rounds": rounds, "judge": judge, "embed": embed}, question
        )

    async def route(self, task: str, specialists: dict[str, str], router: str | None = None) -> str:
        """Give a task to whom it suits best. specialists: {what it is good at: provider:model}."""
        named = {f"s{n}": {"model": m, "description": d} for n, (d, m) in enumerate(specialists.items(), 1)}
        return await self._run({"use": "route", "specialists": named, "router": router}, task)

    async def plan(self, goal: str, specialists: dict[str, str], manager: str | None = None) -> str:
        """A manager plans tasks with dependencies, specialists do them, the manager sums up. specialists: {role: provider:model}."""
        return await self._run({"use": "plan", "specialists": specialists, "manager": manager}, goal)

    async def outcome(self, job: str, whole: bool = False) -> str:
        """Wait for a pattern that goes on as a job, or read its outcome again; whole: with every answer uncut."""
        found = self._jobs.get(job)
        if found is None:
            raise OrchestratorError(f"no job {job!r}; there are {', '.join(self._jobs) or 'none'}")
        return await self._waited(found, chars=1_000_000 if whole else None)

    async def _run(self, values: dict[str, Any], question: str) -> str:
        settings = settings_of({key: value for key, value in values.items() if value is not None})
        job = _Job(id=secrets.token_hex(3), pattern=settings.use)
        self._jobs[job.id] = job
        while len(self._jobs) > MAX_JOBS:
            del self._jobs[next(iter(self._jobs))]

        async def work() -> None:
            try:
                job.outcome = await run_pattern(self._session(), settings, question)
            except Paused as exc:
                job.error = f"{exc}; a person decides with: understudy patterns approve"
            except OrchestratorError as exc:
                job.error = str(exc)
            finally:
                job.done.set()

        group = self._group()
        if group is None:
            await work()
        else:
            group.start_soon(work)
        return await self._waited(job)

    async def _waited(self, job: _Job, *, chars: int | None = None) -> str:
        with anyio.move_on_after(self._wait_s):
            await job.done.wait()
        if not job.done.is_set():
            return f"the {job.pattern} still runs as job {job.id}: call outcome with it"
        if job.outcome is None:
            raise OrchestratorError(job.error or "it was stopped")
        short = job.outcome.short() if chars is None else job.outcome.short(chars)
        return f"{short}\n[job {job.id}]"
