"""Tools for models that cannot call any: they write what they want to do, and read what came of it.

The form is ReAct's (Yao et al. 2022): Thought, Action, Action Input, Observation, Final Answer. Outside this
wrapper their calls are calls like any other's, so loop, record and every other model see no difference.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

from ...errors import Unsupported
from ...events import Emit, Notice, ignore
from ...types import (
    Completion,
    Delta,
    Image,
    Message,
    Part,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from .. import Provider
from . import Around
from .in_text_reading import THOUGHT, Eyes, read, stray

RULES = """\
You work with tools. You cannot call them directly: you write what you want to do, and you are told what came of it.
To use a tool write exactly these lines and then stop:
Thought: why
Action: the name of one tool
Action Input: its arguments, as one JSON object
You then read the result after "Observation:". Never write an observation yourself. Once you can answer, write:
Final Answer: the answer

The tools:
"""
MUST = "\nYour next reply must use {tool}."
NUDGE = (
    "Nothing was done: no action could be read. Write `Action:` with the name of a tool and `Action Input:` with "
    "its arguments as one JSON object, or write `Final Answer:` with the answer."
)


class InText(Around):
    """Asks as usual first; a model that turns out to have no tools is from then on asked in text."""

    def __init__(self, inner: Provider, *, emit: Emit = ignore) -> None:
        super().__init__(inner)
        self.emit = emit
        self._without: set[str] = set()  # models known to have no tools

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        if request.model not in self._without:
            try:
                async with aclosing(self.inner.stream(request)) as items:
                    async for item in items:
                        yield item
                return
            except Unsupported as exc:
                if exc.feature != "tools":
                    raise
            self._without.add(request.model)
            self.emit(
                Notice(text=f"{request.model} cannot call tools; what it wants to do is read from its text")
            )
        spoken = self._read(in_text(request), request.tools)
        async with aclosing(spoken) as items:
            async for item in items:
                yield item

    async def _read(
        self, request: Request, tools: tuple[ToolSpec, ...]
    ) -> AsyncGenerator[Delta | Completion]:
        """What it says as calls or an answer; asked once more where it only thought aloud."""
        spent = Usage()
        for last in (False, True):
            eyes, done, shown = Eyes(), None, False
            async with aclosing(self.inner.stream(request)) as items:
                async for item in items:
                    if isinstance(item, Completion):
                        done = item
                    elif item.thinking or not tools:
                        yield item
                    else:
                        for delta in eyes.see(item.text):
                            shown |= bool(delta.text.strip()) and not delta.thinking
                            yield delta
            if done is None:
                return
            for delta in eyes.see("", last=True):
                shown |= bool(delta.text.strip()) and not delta.thinking
                yield delta
            spent += done.usage
            if last or done.stop != "end" or not tools or not stray(done.message.text, tools):
                message = done.message
                if tools:
                    message = read(message, tools, stop=done.stop, given=request.messages)
                    if message.text.strip() and not shown:  # an answer that stood in an action or a thought
                        yield Delta(text=message.text)
                stop = "tool" if message.tool_calls else done.stop
                yield replace(done, message=message, usage=spent, stop=stop)
                return
            said = Message(role="user", parts=(Text(text=NUDGE),))
            request = replace(request, messages=(*request.messages, done.message, said))


def in_text(request: Request) -> Request:
    """`request` without tools: they stand in the system prompt, calls and results in the conversation."""
    messages = tuple(_as_text(message) for message in request.messages)
    if not request.tools:
        return replace(request, messages=messages)
    system = f"{request.system}\n\n{RULES}{_listed(request.tools)}".lstrip()
    if request.tool_choice:
        tool = "one of the tools" if request.tool_choice == "any" else f"the tool {request.tool_choice}"
        system += MUST.format(tool=tool)
    return replace(request, system=system, messages=messages, tools=(), tool_choice=None)


def _listed(tools: Iterable[ToolSpec]) -> str:
    return "\n".join(
        f"- {tool.name}: {tool.description.strip()}\n"
        f"  arguments: {json.dumps(dict(tool.parameters), ensure_ascii=False, default=str)}"
        for tool in tools
    )


def _as_text(message: Message) -> Message:
    role = "assistant" if message.role == "assistant" else "user"
    return replace(message, role=role, parts=tuple(_part(part) for part in message.parts))


def _part(part: Part) -> Part:
    match part:
        case Thinking() if part.seal == THOUGHT:
            return Text(text=f"Thought: {part.text}\n")
        case ToolCall():
            arguments = part.raw or json.dumps(dict(part.arguments), ensure_ascii=False, default=str)
            return Text(text=f"\nAction: {part.name}\nAction Input: {arguments}\n")
        case ToolResult():
            failed = "the tool failed: " if part.is_error else ""
            images = sum(isinstance(inner, Image) for inner in part.content)
            shown = f"\n({images} images cannot be shown here)" if images else ""
            return Text(text=f"Observation: {failed}{part.text or '(no output)'}{shown}\n")
        case _:
            return part
