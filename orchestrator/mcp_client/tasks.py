"""Calls that a server answers with a task (revision 2026-07-28): followed to their end, told about, cancelled with the call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal

import anyio
from mcp import MCPError
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.client.session import ClientSession
from mcp.types import CallToolResult, ElicitRequest, ListRootsRequest, Request, RequestParams, Result
from pydantic import BaseModel, ConfigDict

from .lines import SEALED, SERVER_ERROR

IDENTIFIER = "io.modelcontextprotocol/tasks"
POLL_S = (0.1, 10.0)
"""However often a server wants to be asked."""
CANCEL_S = 2.0
_NOTHING: Callable[[str], None] = lambda doing: None

heard: ContextVar[Callable[[str], None]] = ContextVar("heard", default=_NOTHING)
"""Of the call of this task: told whenever the server says where it is."""

Answer = Callable[[Any, Any], Awaitable[BaseModel]]


class TaskHandle(Result):
    """What a call is answered with instead of its result. Everything but the id is read with care later."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = "task"
    task_id: str


class _TaskParams(RequestParams):
    task_id: str
    input_responses: dict[str, Any] | None = None


class _TaskRequest(Request[_TaskParams, str]):
    name_param = "taskId"


class _Seen(Result):
    model_config = ConfigDict(extra="allow")


class Following(ClientExtension):
    """`answers`: who answers a question put in the middle of a task, by the question's method."""

    identifier = IDENTIFIER

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = answers

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=TaskHandle, resolve=self._ended)]

    async def _ended(self, task: TaskHandle, ctx: ClaimContext) -> CallToolResult:
        """The result of the call, sealed as every other. MCPError where there is none."""
        state, answered = dict(task.model_extra or {}), set[str]()
        try:
            while True:
                status = state.get("status")
                if isinstance(doing := state.get("statusMessage"), str):
                    heard.get()(doing)
                else:
                    heard.get()(str(status))
                match status:
                    case "completed":
                        return CallToolResult(content=[], _meta={SEALED: state.get("result")})
                    case "cancelled":
                        raise MCPError(SERVER_ERROR, "the server cancelled it")
                    case "failed":
                        raise _failure(state.get("error"))
                    case "input_required":
                        await self._answer(task.task_id, state.get("inputRequests"), answered, ctx.session)
                    case _:
                        pass
                await anyio.sleep(_interval(state.get("pollIntervalMs")))
                state = await _asked(ctx.session, "tasks/get", task.task_id)
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(CANCEL_S, shield=True), suppress(MCPError):
                await _asked(ctx.session, "tasks/cancel", task.task_id)
            raise

    async def _answer(self, id: str, questions: Any, answered: set[str], session: ClientSession) -> None:
        """Put each question once; one that nobody here can answer ends the task."""
        given: dict[str, Any] = {}
        for key, question in questions.items() if isinstance(questions, Mapping) else ():
            if key in answered:
                continue
            answered.add(key)
            method = question.get("method") if isinstance(question, Mapping) else None
            answer, read = self.answers.get(str(method)), _QUESTIONS.get(str(method))
            if answer is None or read is None:
                await _asked(session, "tasks/cancel", id)
                raise MCPError(SERVER_ERROR, f"it asks for {method!r}, which nobody here can answer")
            said = await answer(None, read(question))
            given[str(key)] = said.model_dump(by_alias=True, mode="json", exclude_none=True)
        if given:
            await _asked(session, "tasks/update", id, input_responses=given)


_QUESTIONS: Mapping[str, Callable[[Any], Any]] = {
    "elicitation/create": lambda question: ElicitRequest.model_validate(question).params,
    "roots/list": lambda question: ListRootsRequest.model_validate(question).params,
}


async def _asked(session: ClientSession, method: str, id: str, **more: Any) -> dict[str, Any]:
    request = _TaskRequest(method=method, params=_TaskParams(task_id=id, **more))
    return dict((await session.send_request(request, _Seen)).model_extra or {})


def _interval(said: Any) -> float:
    least, most = POLL_S
    wanted = said / 1000 if isinstance(said, int | float) and not isinstance(said, bool) else 1.0
    return min(max(wanted, least), most)


def _failure(error: Any) -> MCPError:
    said = error.get("message") if isinstance(error, Mapping) else None
    return MCPError(SERVER_ERROR, said if isinstance(said, str) and said else "the task failed")
