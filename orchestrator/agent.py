"""The agent loop: ask the model, run the tools it asks for, repeat until it answers."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import anyio

from .errors import (
    ContextTooLong,
    OrchestratorError,
    OutOfRounds,
    OutOfTime,
    ProviderError,
    ends_more,
    reason,
)
from .events import (
    Appended,
    Emit,
    Event,
    Notice,
    Role,
    RunEnded,
    RunStarted,
    Streamed,
    ToolFinished,
    ToolProgress,
    ToolStarted,
    current_run,
    guarded,
    ignore,
)
from .function_tools import Tool
from .history import STOPPED, closing
from .hooks import NO_HOOKS, Hooks
from .providers import Provider
from .reply import Reply
from .tools import NO_TOOLS, Progress, ReadOnly, Toolbox
from .types import Completion, Message, Request, Stop, ToolCall, ToolResult, Usage, assistant, result, user


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Who answers. Pure data: it opens nothing and remembers nothing."""

    name: str
    model: str  # "provider:model"
    system: str = ""  # {current_step}, {max_steps} and the keys of `variables` are filled in each round
    material: str = ""  # goes along behind `system` as it stands: whoever wrote it fills in nothing
    role: Role = "lead"
    max_rounds: int = 15  # model calls in one run
    timeout_s: float | None = 300.0  # of one run; None: no limit
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])  # further fields of each Request
    tools: tuple[Tool, ...] | None = (
        None  # servers, "module:function", functions; None: all configured, (): none
    )
    read_only: bool = False  # of its tools, those that say that they change nothing alone
    tools_answer: bool = False  # the first tools' results end the run and are its answer
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    labels: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # on what it spends, for `understudy cost`
    hooks: Hooks = NO_HOOKS


EMPTY = "Your answer was empty. Go on: call the next tool, or write the answer."

WITHHELD = "it was run; the run ended before a hook had let pass what it said"

SUM_UP = """\
You have used all the rounds you had, and no tool is left. Say in a few sentences what is done, what you found, and what
is still missing."""

_UNFINISHED: dict[Stop, str] = {
    "length": "was cut at its limit of tokens; raise max_tokens for more",
    "context": "was cut where the model's context was full; begin anew or shorten the history",
    "refusal": "was ended by the model's own safety rules",
}


async def run(
    agent: Agent,
    prompt: str | Message,
    *,
    provider: Provider,
    tools: Toolbox = NO_TOOLS,
    history: Sequence[Message] = (),
    emit: Emit = ignore,
) -> Reply:
    """Put `prompt` to the agent and loop until it answers without calling a tool.

    What happened is told as it happens, and after an error or a cancellation one more Appended closes what was
    open, so what was emitted as Appended can always be sent to a provider. Only a question that fits no model joins
    nothing.

    Raises ProviderError when the model cannot answer, OutOfRounds after `agent.max_rounds` calls and one more without
    tools that sums up, OutOfTime after `agent.timeout_s`, RunError where a hook stops it; the exception's `reply` says
    what was done until then, its text what was said last.
    """
    question = prompt if isinstance(prompt, Message) else user(prompt)
    emit = guarded(emit, "emit", _log)
    run_id, started = secrets.token_hex(4), monotonic()
    parent = current_run.get()
    begun = RunStarted(
        run=run_id,
        parent=parent.run if parent else None,
        agent=agent.name,
        model=agent.model,
        prompt=question.text,
        role=agent.role,
        question=question,
        labels={**(parent.labels if parent else {}), **agent.labels},
    )
    emit(begun)
    token = current_run.set(begun)
    record = _Record(history=tuple(history), pending=[question])
    error: str | None = "cancelled"
    cause: str | None = STOPPED if agent.role == "lead" else "stopped"
    try:
        with anyio.move_on_after(agent.timeout_s if agent.timeout_s is not None else float("inf")):
            offered = ReadOnly(tools) if agent.read_only else tools
            stop = await _rounds(agent, record, provider, offered, run_id, emit)
            if why := _unfinished(stop, record.answer):
                emit(Notice(text=f"the answer of {agent.name} {why}", level="warning"))
            error = cause = None
            return record.reply(agent.name, monotonic() - started)
        raise OutOfTime(
            f"{agent.name}: no answer within {agent.timeout_s:g} s, the reading of prompts included; "
            f"{len(record.added)} messages are kept. run_timeout_s, or --timeout of a command, allows more"
        )
    except Exception as exc:
        error = str(exc) or reason(exc)
        said = record.answer + record.said
        if not (isinstance(exc, ContextTooLong) and not record.added):
            emit(record.closed(run_id, error, agent.model))
        cause = None
        if isinstance(exc, OrchestratorError):
            exc.reply = replace(record.reply(agent.name, monotonic() - started, error=error), text=said)
        raise
    finally:
        current_run.reset(token)
        if cause is not None:
            emit(record.closed(run_id, cause, agent.model))
        emit(RunEnded(run=run_id, usage=record.spent, seconds=monotonic() - started, error=error))


@dataclass(slots=True, kw_only=True)
class _Record:
    history: tuple[Message, ...]
    pending: list[Message]  # the question, until its answer comes
    added: list[Message] = field(default_factory=list[Message])
    said: str = ""  # streamed of an answer that is not whole yet
    thought: str = ""  # the same of its thinking
    results: dict[str, ToolResult] = field(
        default_factory=dict[str, ToolResult]
    )  # of the round, as they come
    spent: Usage = field(default_factory=Usage)
    answered: int = 0  # model calls
    stop: Stop = "end"  # of the last of them
    recorded: bool = False
    simulated: bool = False
    unsaid: Completion | None = None  # paid for and not yet told: of a run that ends with it
    nudged: bool = False  # it was told once that what it wrote called nothing
    answer: str = ""  # since the last tool call; a paused answer goes on in the next round

    def append(self, run_id: str, *messages: Message, done: Completion | None = None) -> Appended:
        """These messages behind those that waited; the event that tells it."""
        whole = (*self.pending, *messages)
        self.added += whole
        self.pending, self.said, self.thought = [], "", ""
        usage = done.usage if done else Usage()
        self.spent += usage
        self.answered += done is not None
        if done is None:
            return Appended(run=run_id, messages=whole, usage=usage)
        self.stop = done.stop
        self.recorded |= done.recorded
        self.simulated |= done.simulated
        return Appended(
            run=run_id,
            messages=whole,
            usage=usage,
            recorded=done.recorded,
            simulated=done.simulated,
        )

    def reply(self, agent: str, seconds: float, *, error: str | None = None) -> Reply:
        return Reply(
            agent=agent,
            text=self.answer,
            stop=self.stop,
            messages=tuple(self.added),
            usage=self.spent,
            seconds=seconds,
            output=self.answer if error is None else None,
            iterations=self.answered,
            recorded=self.recorded,
            simulated=self.simulated,
            error=error,
        )

    def closed(self, run_id: str, cause: str, origin: str) -> Appended:
        """What closes the run that `cause` has broken off."""
        so_far = (*self.added, *self.pending)
        end = closing(
            so_far,
            cause=cause,
            said=self.said,
            thought=self.thought,
            results=self.results,
            origin=origin,
        )
        return replace(self.append(run_id, *end, done=self.unsaid), cause=cause)


async def _rounds(
    agent: Agent, record: _Record, provider: Provider, tools: Toolbox, run_id: str, emit: Emit
) -> Stop:
    for step in range(1, agent.max_rounds + 1):
        request = Request(
            model=agent.model,
            system=_system(agent, step),
            messages=(*record.history, *record.added, *record.pending),
            tools=tools.specs,
            **agent.settings,
        )
        done = await _complete(agent, provider, request, record, run_id, emit)
        emit(record.append(run_id, done.message, done=done))
        for doubt in done.doubts:
            emit(Notice(text=f"{agent.name}: {doubt}; nothing was called", level="warning"))
        if calls := done.message.tool_calls:
            results = await _call_all(agent, tools, calls, record, run_id, emit)
            emit(record.append(run_id, Message(role="tool", parts=results)))
            record.results.clear()
            record.answer = "\n".join(one.text for one in results) if agent.tools_answer else ""
        else:
            record.answer += done.message.text
            nudge = done.nudge or (EMPTY if _says_nothing(done, record, request) else "")
            if nudge and not record.nudged and step < agent.max_rounds:
                record.nudged, record.pending, record.answer = True, [user(nudge)], ""
                continue
        if agent.tools_answer or (not calls and done.stop != "pause"):
            return done.stop
    await _sum_up(agent, record, provider, run_id, emit)
    raise OutOfRounds(
        f"{agent.name}: still calling tools after {agent.max_rounds} rounds; raise max_rounds to go on"
    )


async def _sum_up(agent: Agent, record: _Record, provider: Provider, run_id: str, emit: Emit) -> None:
    """One last call without tools, so that what was found is not lost; where it fails, the run ends without it."""
    settings = {key: value for key, value in agent.settings.items() if key not in ("tool_choice", "schema")}
    messages = (*record.history, *record.added, user(SUM_UP))
    request = Request(
        model=agent.model, system=_system(agent, agent.max_rounds), messages=messages, **settings
    )
    try:
        done = await _complete(agent, provider, request, record, run_id, emit)
    except OrchestratorError as exc:
        record.said = record.thought = ""
        emit(Notice(text=f"{agent.name} could not sum up: {exc}", level="warning"))
    else:
        record.said, record.unsaid = done.message.text, done


def _says_nothing(done: Completion, record: _Record, request: Request) -> bool:
    """Whether it ended, or only thought, right after results of tools: small models do, and go on when told."""
    after_results = request.messages[-1].role == "tool"
    return after_results and done.stop == "end" and not record.answer.strip()


def _unfinished(stop: Stop, answer: str) -> str | None:
    """What is wrong with an answer; None when nothing is."""
    if not answer.strip() and stop in ("end", "length"):
        return "is empty" if stop == "end" else "is empty: all tokens went into thinking; raise max_tokens"
    return _UNFINISHED.get(stop)


def _system(agent: Agent, step: int) -> str:
    values = {"current_step": str(step), "max_steps": str(agent.max_rounds), **agent.variables}
    named = "|".join(re.escape(name) for name in values)
    text = re.sub("{(" + named + ")}", lambda found: values[found[1]], agent.system)
    return f"{text}\n\n{agent.material}".strip() if agent.material else text


def _log(event: Event) -> None:
    """Where a fault of who listens is told: they may not hear it."""
    if isinstance(event, Notice):
        logging.getLogger("orchestrator.run").warning("%s", event.text)


async def _called(tools: Toolbox, call: ToolCall, progress: Progress) -> ToolResult:
    try:
        return await tools.call(call, progress)
    except BaseException as exc:  # a fault of one tool is its result; the others and the run go on
        if ends_more(exc):
            raise
        return result(call, f"{call.name} failed: {reason(exc)}", is_error=True)


async def _complete(
    agent: Agent, provider: Provider, request: Request, record: _Record, run_id: str, emit: Emit
) -> Completion:
    request = await agent.hooks.request(request)
    done = await _streamed(provider, request, record, run_id, emit)
    try:
        return await agent.hooks.completion(request, done)
    except OrchestratorError:
        record.unsaid = replace(done, message=assistant())  # it is paid for, whoever withholds it
        raise


async def _streamed(
    provider: Provider, request: Request, record: _Record, run_id: str, emit: Emit
) -> Completion:
    try:
        async with aclosing(provider.stream(request)) as items:
            async for item in items:
                if isinstance(item, Completion):
                    return item
                if item.thinking:
                    record.thought += item.text
                else:
                    record.said += item.text
                emit(Streamed(run=run_id, text=item.text, thinking=item.thinking))
    except (OrchestratorError, BrokenPipeError):  # the latter: nobody reads the screen any more
        raise
    except BaseException as exc:
        if ends_more(exc):
            raise
        raise ProviderError(provider.name, f"failed by a fault of its own: {reason(exc)}") from exc
    raise ProviderError(provider.name, "the stream ended without a completion")


async def _call_all(
    agent: Agent, tools: Toolbox, calls: Sequence[ToolCall], record: _Record, run_id: str, emit: Emit
) -> tuple[ToolResult, ...]:
    """Run the calls side by side; results come back in the order the model asked. A hook may end all of them."""
    results: dict[int, ToolResult] = {}
    stopped: list[OrchestratorError] = []

    async def one(place: int, call: ToolCall) -> None:
        def progress(done: float, total: float | None, message: str) -> None:
            emit(ToolProgress(run=run_id, call_id=call.id, done=done, total=total, message=message))

        try:
            decided = call if call.raw is not None else await agent.hooks.call(call)
            made = replace(decided, id=call.id) if isinstance(decided, ToolCall) else call
            started = monotonic()
            emit(ToolStarted(run=run_id, call=made))
            if isinstance(decided, ToolResult):
                answer = decided
            elif call.raw is not None:
                why = f"the arguments of {call.name} were not a JSON object: {call.raw[:200]}"
                answer = result(call, why, is_error=True)
            else:
                answer = await _called(tools, made, progress)
                if agent.hooks.after_tool is not None:
                    record.results[call.id] = result(call, WITHHELD, is_error=True)
                answer = await agent.hooks.result(made, answer)
        except OrchestratorError as exc:  # of a hook: tools do not raise
            stopped.append(exc)
            group.cancel_scope.cancel()
            return
        # whatever was called in its place, the model reads the answer to the call it made
        results[place] = record.results[call.id] = replace(answer, call_id=call.id, name=call.name)
        emit(ToolFinished(run=run_id, result=results[place], seconds=monotonic() - started))

    async with anyio.create_task_group() as group:
        for place, call in enumerate(calls):
            group.start_soon(one, place, call)
    if stopped:
        raise stopped[0]
    return tuple(results[place] for place in range(len(calls)))
