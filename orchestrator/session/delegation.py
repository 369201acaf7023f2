"""One delegation, waited for to its end: by the ollama server, and where that fails by the vendors of its ladder."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from time import monotonic
from typing import Any

from ..errors import RunError
from ..events import RunEnded, RunStarted, ToolFinished, ToolProgress, ToolStarted
from ..tools import Progress, no_progress
from ..types import Text, ToolCall, ToolResult, Usage
from .ladder import NEXT, climbed, parted, vendor_model
from .session import Session


async def hand_over(
    session: Session, order: Mapping[str, Any], watch: Progress = no_progress
) -> tuple[dict[str, Any], ToolResult]:
    """The receipt of `order`, the arguments of the server's tool delegate, as a record and as a model reads it.

    Vendors' models may stand at the end of its ladder, or alone: they are asked where those of Ollama have failed, in
    what is left of the deadline. Raises RunError with the sentence of the last that was asked.
    """
    own, vendors = parted(session, order)
    if not vendors:
        return await _handed_over(session, order, watch)
    began, deadline_s = monotonic(), order.get("deadline_s")
    receipt: dict[str, Any] | None = None
    if own is not None:
        try:
            receipt, _ = await _handed_over(session, own, watch)
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
        receipt = await climbed(session, {**order, "deadline_s": left_s}, model, receipt)
    assert receipt is not None
    text = Text(text=json.dumps(receipt, ensure_ascii=False))
    return receipt, ToolResult(call_id="call", name="ollama__delegate", content=(text,))


async def _handed_over(
    session: Session, order: Mapping[str, Any], watch: Progress
) -> tuple[dict[str, Any], ToolResult]:
    """The same by the server. Raises RunError with the server's sentence."""
    tool = "delegate"
    given = {key: value for key, value in order.items() if value not in (None, [], (), "")}
    while True:
        answer = await session.call_tool("ollama", tool, given, watch)
        if answer.is_error:
            raise RunError(answer.text)
        receipt: dict[str, Any] = json.loads(answer.text)
        if receipt["outcome"] != "running":
            return receipt, answer
        tool, given = "delegation", {"id": receipt["delegation"], "action": "wait", "wait_s": 45}


async def shown_delegation(session: Session, order: Mapping[str, Any]) -> dict[str, Any]:
    """As `hand_over`, told to the person as it happens, like the delegation of a lead."""
    run, started = secrets.token_hex(4), monotonic()
    call = ToolCall(id=run, name="ollama__delegate", arguments=dict(order))
    emit, error = session.emit, "cancelled"

    def watch(done: float, total: float | None, message: str) -> None:
        emit(ToolProgress(run=run, call_id=call.id, done=done, total=total, message=message))

    emit(
        RunStarted(
            run=run,
            parent=None,
            agent="worker",
            model=vendor_model(session, str(order["model"])) or f"ollama:{order['model']}",
            prompt=str(order["task"]),
            role="worker",
        )
    )
    emit(ToolStarted(run=run, call=call))
    try:
        receipt, answer = await hand_over(session, order, watch)
        error = None
        told = ToolResult(call_id=call.id, name=call.name, content=answer.content)
        emit(ToolFinished(run=run, result=told, seconds=monotonic() - started))
        return receipt
    except Exception as exc:
        error = str(exc)
        raise
    finally:
        emit(RunEnded(run=run, usage=Usage(), seconds=monotonic() - started, error=error))
