"""Commands and test runs as MCP tasks: where each stands, what it came to, its end on request."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import anyio
from mcp.types import CallToolResult, TextContent

from ..protocol.server import reply
from ..protocol.tasks import Standing, failed
from .jobs.job_report import told
from .jobs.jobs import Job, total_bytes
from .jobs.shell import Shell
from .quality.run_tests import TestRuns

BACKGROUND = "background processes ended with the command; run what should go on as a command of its own"


@dataclass(slots=True, kw_only=True)
class LongWork:
    """The jobs of a shell; `tests` holds which of them are runs of tests."""

    shell: Shell
    tests: dict[str, TestRuns] = field(default_factory=dict[str, TestRuns])

    async def standing(self, id: str) -> Standing:
        job = self.shell.jobs.find(id)
        jobs, took = self._with(job), time.monotonic() - job.started
        began = job.began
        if not all(one.poll() for one in jobs):
            said = f"running for {took:.0f} s, {total_bytes(job):,} bytes of output"
            return Standing(began=began, doing=said)
        if (runs := self.tests.get(id)) is not None:
            return Standing(began=began, result=reply(await anyio.to_thread.run_sync(runs.report)))
        if job.failure:
            return Standing(began=began, result=failed(job.failure))
        if job.ended and job.ended["ended"] == "killed":
            return Standing(began=began, cancelled=True)
        text, job.read_bytes = told(job)
        return Standing(began=began, result=CallToolResult(content=[TextContent(type="text", text=text)]))

    async def cancel(self, id: str) -> None:
        for job in self._with(self.shell.jobs.find(id)):
            job.send({"kill": 1.0})

    def _with(self, job: Job) -> list[Job]:
        """All jobs of the same run of tests."""
        runs = self.tests.get(job.id)
        return runs.jobs if runs else [job]
