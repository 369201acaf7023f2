"""How the calls of the ollama server wait for long work: for its end, or until it goes on under its id."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult

from ..output import ToolError
from ..protocol.tasks import Standing, failed, patience
from .delegate.job_store import KeptJob
from .delegate.jobs import Job, Progress
from .delegate.map_order import MapOrder
from .delegate.request import Order
from .ledger.receipt import Delegations, Mapped, Receipt, Seen
from .reply import reply
from .service import Service

MAX_WAIT_S, WAIT_S = 50.0, 45.0
"""Hosts give up on a call after 60 s: the longest wait, and the usual one."""


@dataclass(frozen=True, slots=True)
class LongWork:
    """The delegations of one service, as calls of tools and as tasks."""

    service: Service

    async def delegate(self, order: Order, wait_s: float, ctx: Context[Any, Any]) -> CallToolResult:
        """Run an order; its receipt, or its id when it takes longer than `wait_s`."""
        return await self.work(
            "delegate",
            order.task,
            lambda progress: self.service.delegator.delegate(order, progress),
            wait_s,
            ctx,
        )

    async def map(self, asked: MapOrder, wait_s: float, ctx: Context[Any, Any]) -> CallToolResult:
        """Run a map; as `delegate`."""
        return await self.work(
            "map", asked.order.task, lambda progress: self.service.mapper.map(asked, progress), wait_s, ctx
        )

    async def work(
        self,
        kind: str,
        what: str,
        work: Callable[[Progress], Awaitable[Receipt]],
        wait_s: float,
        ctx: Context[Any, Any],
    ) -> CallToolResult:
        job = await self.service.jobs.start(what, work, kind)
        try:
            return await self._waited(job, wait_s, ctx)
        except anyio.get_cancelled_exc_class():
            await self.service.jobs.cancel(job)  # the caller does not want it any more
            raise

    async def look_after(
        self, id: str | None, action: str, wait_s: float, ctx: Context[Any, Any]
    ) -> CallToolResult:
        """The delegation tool."""
        if id is None:
            if action != "status":
                raise ToolError(f"action {action!r} needs an id; without one, delegation lists what there is")
            others = [_seen_on_disk(job) for job in await self.service.jobs.others()]
            return reply(Delegations(delegations=[*others, *(_seen(job) for job in self.service.jobs.all())]))
        job = await self.service.jobs.get(id)
        if isinstance(job, KeptJob):
            return await self._kept(job, action, wait_s, ctx)
        if action == "cancel":
            await self.service.jobs.cancel(job)
            return self._ended(job)
        if action == "wait":
            return await self._waited(job, wait_s, ctx)
        if action == "result":
            if job.state == "running":
                raise ToolError(f'delegation {id} is not done: {job.progress}; action="wait" waits for it')
            return self._ended(job)
        return await self._status(job)

    async def _status(self, job: Job[Receipt] | KeptJob) -> CallToolResult:
        """Where it is; once it has ended, with what it came to."""
        seen = _seen(job) if isinstance(job, Job) else _seen_on_disk(job)
        if job.state != "running":
            try:
                ended = self._ended(job) if isinstance(job, Job) else await self._result_on_disk(job)
                seen.receipt = ended.structured_content
            except ToolError as exc:
                seen.reason = str(exc)
        return reply(seen)

    async def standing(self, id: str) -> Standing:
        """A delegation as a task."""
        job = await self.service.jobs.get(id)
        if isinstance(job, KeptJob):
            state, began, doing, left = job.state, job.began, job.doing, None
        else:
            state, began = job.state, job.began
            doing, left = str(job.progress), None if job.progress.steps else job.progress.remaining_s
        if state in ("running", "cancelled"):
            return Standing(began=began, doing=doing, remaining_s=left, cancelled=state == "cancelled")
        try:
            done = self._ended(job) if isinstance(job, Job) else await self._result_on_disk(job)
        except ToolError as exc:
            done = failed(str(exc))
        return Standing(began=began, result=done)

    async def cancel(self, id: str) -> None:
        """Nothing happens to one of another server: that answers for it."""
        job = await self.service.jobs.get(id)
        if isinstance(job, Job):
            await self.service.jobs.cancel(job)

    async def _waited(self, job: Job[Receipt], wait_s: float, ctx: Context[Any, Any]) -> CallToolResult:
        async def tell(progress: Progress) -> None:
            """In seconds, which always grow, as the protocol wants; tokens begin anew with each run."""
            left = None if progress.steps else progress.remaining_s
            await ctx.report_progress(job.took_s, left and job.took_s + left, str(progress))

        wait = patience(_within(wait_s), WAIT_S)
        if await job.ended(wait.seconds, tell):
            return self._ended(job)
        wait.leaves(job.id)
        reason = (
            f'{job.progress}; delegation(id="{job.id}", action="wait") goes on waiting{_too_long(wait_s)}'
        )
        return reply(Receipt(outcome="running", delegation=job.id, model=job.progress.model, reason=reason))

    async def _kept(self, job: KeptJob, action: str, wait_s: float, ctx: Context[Any, Any]) -> CallToolResult:
        """As `look_after`, for a delegation of another server, which may have been killed."""
        if action == "wait":
            wait = patience(_within(wait_s), WAIT_S)
            with anyio.move_on_after(wait.seconds):
                while job.state == "running":
                    await ctx.report_progress(time.time() - job.began, None, job.doing)
                    await anyio.sleep(0.5)
                    found = await self.service.jobs.get(job.id)
                    job = found if isinstance(found, KeptJob) else job
            if job.state == "running":
                wait.leaves(job.id)
        if action == "status":
            return await self._status(job)
        if job.state == "running":
            if action != "wait":
                raise ToolError(
                    f"another server is at work on delegation {job.id}: {job.doing}; it answers there"
                )
            again = f'delegation(id="{job.id}", action="wait") goes on waiting{_too_long(wait_s)}'
            reason = f"{job.doing}, in another server; {again}"
            return reply(Receipt(outcome="running", delegation=job.id, reason=reason))
        return await self._result_on_disk(job)

    async def _result_on_disk(self, job: KeptJob) -> CallToolResult:
        if job.state == "failed":
            raise ToolError(job.result or "it failed")
        if job.result is not None:
            receipt = (Mapped if job.kind == "map" else Receipt).model_validate_json(job.result)
            return self._said(receipt, job.id)
        return reply(await anyio.to_thread.run_sync(self._cut_off, job))

    def _cut_off(self, job: KeptJob) -> Receipt:
        """The receipt of a delegation that did not come to its end; the undo store knows whether it had written."""
        why = "it was cancelled" if job.state == "cancelled" else f"its server ended while it was {job.doing}"
        receipt = Receipt(
            outcome="cancelled" if job.state == "cancelled" else "interrupted", delegation=job.id
        )
        made = self.service.delegator.workspace.store.named(f" {job.id}")
        if made is not None:
            paths = ", ".join(step.path for step in made.steps)
            receipt.op = made.id
            receipt.reason = f"{why}, after its gate had passed: {paths} is written, and undo takes it back"
            return receipt
        again = "the same call again " + (
            "goes on where it stopped" if job.kind == "map" else "does it from the beginning"
        )
        receipt.reason = f"{why}; nothing was written; {again}"
        return receipt

    def _said(self, receipt: Receipt, id: str) -> CallToolResult:
        receipt = receipt.model_copy(update={"delegation": id})
        return reply(receipt, error=receipt.reason if receipt.outcome == "refused" else None)

    def _ended(self, job: Job[Receipt]) -> CallToolResult:
        """What an ended job came to. ToolError when it could not work at all."""
        if job.failure is not None:
            raise ToolError(job.failure)
        if job.result is None:
            reason = "it was cancelled; nothing was written"
            return reply(Receipt(outcome="cancelled", delegation=job.id, reason=reason))
        return self._said(job.result, job.id)


def _within(wait_s: float) -> float:
    """How long a call waits; what is not a number counts as 0."""
    return min(wait_s, MAX_WAIT_S) if wait_s > 0 else 0.0


def _too_long(wait_s: float) -> str:
    """What a caller is told that wanted to wait longer than it may."""
    limit = f"; wait_s is at most {MAX_WAIT_S:.0f}, as hosts give up on a call after 60 s"
    return limit if wait_s > MAX_WAIT_S else ""


def _seen_on_disk(job: KeptJob) -> Seen:
    return Seen(
        delegation=job.id,
        state=job.state,
        task=" ".join(job.what.split())[:80],
        took_s=(job.ended or time.time()) - job.began if job.state != "interrupted" else None,
        doing=job.doing if job.state == "running" else None,
    )


def _seen(job: Job[Receipt]) -> Seen:
    running, progress = job.state == "running", job.progress
    return Seen(
        delegation=job.id,
        state=job.state,
        task=" ".join(job.what.split())[:80],
        took_s=job.took_s,
        doing=str(progress) if running else None,
        tokens=progress.tokens if running else None,
        tokens_per_s=progress.tokens_per_s if running else None,
        remaining_s=progress.remaining_s if running and not progress.steps else None,
    )
