"""One delegation through the ollama server, waited for to its end."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from time import monotonic
from typing import Any

from ..errors import RunError
from ..events import RunEnded, RunStarted, ToolFinished, ToolProgress, ToolStarted
from ..tools import Progress, no_progress
from ..types import ToolCall, ToolResult, Usage
from .session import Session


async def hand_over(
    session: Session, order: Mapping[str, Any], watch: Progress = no_progress
) -> tuple[dict[str, Any], ToolResult]:
    """The receipt of `order`, the arguments of the server's tool delegate, as a record and as the server wrote it.

    Raises RunError with the server's sentence.
    """
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
            model=f"ollama:{order['model']}",
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
