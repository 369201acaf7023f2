"""One delegation, waited for to its end: by the ollama server, and where that fails by the vendors of its ladder."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from time import monotonic
from typing import Any, NamedTuple

import anyio

from ..errors import OrchestratorError, RunError
from ..events import RunEnded, RunStarted, ToolFinished, ToolProgress, ToolStarted, current_run
from ..store.local_runs import used_by
from ..tools import Progress, Toolbox, no_progress
from ..types import Text, ToolCall, ToolResult, ToolSpec, Usage, result
from .ladder import NEXT, Receipt, climbed, parted, vendor_model
from .session import Session

DELEGATE = "ollama__delegate"
CANCEL_S = 5.0  # longest wait for a job that nobody wants any more


class Handed(NamedTuple):
    """What came of an order: its receipt, the same as a model reads it, and what was used as far as that was reported."""

    receipt: Receipt
    answer: ToolResult
    usage: Usage


async def hand_over(session: Session, order: Mapping[str, Any], watch: Progress = no_progress) -> Handed:
    """What came of `order`, the arguments of the server's tool delegate.

    Vendors' models may stand at the end of its ladder, or alone: they are asked where those of Ollama have failed, in
    what is left of the deadline. Raises RunError with the sentence of the last that was asked, ConfigError for an order
    that cannot be.
    """
    own, vendors = parted(session, order)
    if not vendors:
        return await _handed_over(session, order, watch)
    await _refuse_what_is_misread(session, order)
    began, deadline_s = monotonic(), order.get("deadline_s")
    receipt: Receipt | None = None
    used: list[Usage] = []
    if own is not None:
        try:
            receipt, _, usage = await _handed_over(session, own, watch)
            used.append(usage)
        except RunError as exc:  # it cannot run there: the model is not here, or its engine is down
            refused = {"model": own["model"], "outcome": "refused", "why": str(exc)}
            receipt = {"outcome": "refused", "reason": str(exc), "tried": [refused]}
    for model in vendors:
        if receipt is not None and receipt["outcome"] not in NEXT:
            break
        left_s = deadline_s and deadline_s - (monotonic() - began)
        if left_s is not None and left_s <= 0:
            break
        watch(monotonic() - began, None, f"{model} is asked")
        receipt, usage = await climbed(session, {**order, "deadline_s": left_s}, model, receipt)
        used.append(usage)
    assert receipt is not None
    text = Text(text=json.dumps(receipt, ensure_ascii=False))
    return Handed(
        receipt, ToolResult(call_id="call", name=DELEGATE, content=(text,)), reduce(add, used, Usage())
    )


async def _refuse_what_is_misread(session: Session, order: Mapping[str, Any]) -> None:
    """What a vendor's model is asked does not pass by the server, which else says what is wrong with it. A gate has more
    forms than a schema tells, and is read where it is used.
    """
    from ..mcp_client.json_schema import mismatch

    server = session.hosted["ollama"]
    await server.known.wait()
    given = {key: value for key, value in order.items() if value is not None and key != "gate"}
    for spec in server.specs:
        if spec.name == DELEGATE and (wrong := mismatch(given, spec.parameters)):
            raise RunError(f"delegate: {wrong}")


async def _handed_over(session: Session, order: Mapping[str, Any], watch: Progress) -> Handed:
    """The same by the server. Raises RunError with the server's sentence."""
    given = {key: value for key, value in order.items() if value not in (None, [], (), "")}
    answer = await called_to_its_end(session, "ollama", "delegate", given, watch)
    if answer.is_error:
        raise RunError(answer.text)
    receipt: Receipt = json.loads(answer.text)
    return Handed(receipt, answer, used_by(receipt))


async def called_to_its_end(
    session: Session, server: str, tool: str, given: Mapping[str, Any], watch: Progress
) -> ToolResult:
    """What a tool answers; of work that goes on under an id, what that comes to. Who is called off ends it."""
    waiting: dict[str, Any] | None = None
    while True:
        try:
            answer = await session.call_tool(
                server, "delegation" if waiting else tool, waiting or given, watch
            )
        except anyio.get_cancelled_exc_class():
            if waiting:  # a call itself is ended by the server
                with anyio.move_on_after(CANCEL_S, shield=True):
                    await session.call_tool(server, "delegation", {**waiting, "action": "cancel"})
            raise
        if answer.is_error or (id := _under_way(answer.text)) is None:
            return answer
        waiting = {"id": id, "action": "wait", "wait_s": 45}


def _under_way(text: str) -> str | None:
    """The id under which a delegation goes on."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    running = isinstance(found, dict) and found.get("outcome") == "running"
    return str(found["delegation"]) if running and found.get("delegation") else None


class LastRungs:
    """The ollama server as a lead sees it: the ladders of its delegations may end with models of vendors."""

    def __init__(self, server: Toolbox, session: Session) -> None:
        self._server, self._session = server, session

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        vendors = {*self._session.config.usable_providers(), *self._session.wired.names()} - {"ollama"}
        if not vendors:
            return self._server.specs
        return tuple(_with_vendors(one) if one.name == DELEGATE else one for one in self._server.specs)

    async def call(self, call: ToolCall, progress: Progress = no_progress) -> ToolResult:
        if call.name == DELEGATE and _names_vendors(self._session, call.arguments):
            try:
                answer = (await hand_over(self._session, call.arguments, progress)).answer
            except OrchestratorError as exc:
                return result(call, str(exc), is_error=True)
            return replace(answer, call_id=call.id, name=call.name)
        return await self._server.call(call, progress)


def _with_vendors(spec: ToolSpec) -> ToolSpec:
    known: Mapping[str, Any] = spec.parameters["properties"]
    told = {**known["ladder"], "description": "the last may be a vendor's model, as provider:model"}
    return replace(spec, parameters={**spec.parameters, "properties": {**known, "ladder": told}})


def _names_vendors(session: Session, order: Mapping[str, Any]) -> bool:
    ladder = order.get("ladder") or []
    return isinstance(ladder, list | tuple) and any(
        vendor_model(session, name) for name in [order.get("model"), *ladder] if isinstance(name, str)
    )


async def shown_delegation(session: Session, order: Mapping[str, Any]) -> Receipt:
    """The receipt of `order`, as of `hand_over`, told to the person as it happens, like the delegation of a lead."""
    run, started, parent = secrets.token_hex(4), monotonic(), current_run.get()
    call = ToolCall(id=run, name=DELEGATE, arguments=dict(order))
    emit, error, usage = session.emit, "cancelled", Usage()

    def watch(done: float, total: float | None, message: str) -> None:
        emit(ToolProgress(run=run, call_id=call.id, done=done, total=total, message=message))

    begun = RunStarted(
        run=run,
        parent=parent.run if parent else None,
        agent="worker",
        model=vendor_model(session, str(order["model"])) or f"ollama:{order['model']}",
        prompt=str(order["task"]),
        role="worker",
        labels=parent.labels if parent else {},
    )
    emit(begun)
    token = current_run.set(begun)
    emit(ToolStarted(run=run, call=call))
    try:
        receipt, answer, usage = await hand_over(session, order, watch)
        error = None
        told = ToolResult(call_id=call.id, name=call.name, content=answer.content)
        emit(ToolFinished(run=run, result=told, seconds=monotonic() - started))
        return receipt
    except Exception as exc:
        error = str(exc)
        raise
    finally:
        current_run.reset(token)
        emit(RunEnded(run=run, usage=usage, seconds=monotonic() - started, error=error))
