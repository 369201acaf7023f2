"""Events and conversations on a screen or in a file, as named lines, Markdown or JSON. Nothing else prints."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import anyio
from pydantic import TypeAdapter
from rich.console import Console

from ..config.models import DisplaySettings
from ..events import (
    Appended,
    Event,
    Notice,
    RunEnded,
    RunStarted,
    Streamed,
    Switched,
    ToolFinished,
    ToolStarted,
    event_json,
)
from ..sanitize import one_line, shown_arguments, shown_text, visible
from ..types import Message, Provenance, Text, ToolCall, ToolResult
from .screen.lines import writable
from .screen.plain_screen import Screen
from .screen.receipt_view import answer_in, made_of, receipt_in, receipt_lines, speaker_name, usage_text
from .screen.rich_screen import RichScreen

TICK_S = 0.25
Asks = Callable[[str, Sequence[str]], Awaitable[str | None]]


class Display:
    """Call it with events (it is an Emit), or tell it what to show.

    Formats: rich (for a terminal: rendered, coloured, alive; elsewhere as plain), plain (lines that each name who
    says them), markdown, json (one object a line). Quiet draws the final answers and nothing else.
    """

    def __init__(self, console: Console | None = None, settings: DisplaySettings | None = None) -> None:
        self.settings = settings or DisplaySettings()
        self.console = console or Console(highlight=False)
        self.history: Callable[[], Sequence[Message]] = tuple
        """What a summary shows when it is given nothing."""
        self._form = _form(self.console, self.settings)
        self._gone = False  # nobody reads any more

    def __call__(self, event: Event) -> None:
        """Raises BrokenPipeError once, when the reader has left: the run then ends, without another."""
        if self._gone:
            return
        try:
            self._form.event(event)
        except BrokenPipeError:
            self._gone = True
            raise

    @property
    def screen(self) -> RichScreen | None:
        """What draws, where that is a terminal whose cursor can be moved; None elsewhere."""
        return self._form if isinstance(self._form, RichScreen) else None

    def asked(self, text: str) -> None:
        """What the person typed, where it would else be gone from the screen."""
        if isinstance(self._form, RichScreen | Screen | Markdown):
            self._form.asked(text)

    def show_output(self, title: str, text: str) -> None:
        """What was run or looked up for the person: a record as a table, a long text in part."""
        if isinstance(self._form, RichScreen):
            self._form.output_of(title, text)
        else:
            self(Notice(text=f"{title}: {text}"))

    @contextmanager
    def doing(self, what: str) -> Generator[None]:
        """While this is open, it is shown as under way, where that can be shown."""
        if (screen := self.screen) is None:
            yield
            return
        screen.live.doing = (what, screen.clock())
        try:
            yield
        finally:
            screen.live.doing = None

    @asynccontextmanager
    async def alive(self) -> AsyncGenerator[None]:
        """While this is open, what changes with time is kept up to date."""
        if (screen := self.screen) is None:
            yield
            return
        async with anyio.create_task_group() as group:
            group.start_soon(_ticking, screen)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                screen.painter.show(())

    def asking(self, approve: Asks | None) -> Asks | None:
        """`approve` that has the screen to itself while the person is asked; None stays None."""
        screen = self.screen
        if approve is None or screen is None:
            return approve

        async def ask(question: str, choices: Sequence[str]) -> str | None:
            with screen.painter.paused():
                return await approve(question, choices)

        return ask

    def show_model_switch(self, from_model: str, to_model: str, reason: str = "") -> None:
        """That another model answers from now on, unless the settings hide it."""
        if self.settings.show_model_switches:
            self._form.switch(from_model, to_model, reason)

    def show_delegation(self, delegator: str, delegatee: str, task: str) -> None:
        """That one model hands a task to another, unless the settings hide it."""
        if self.settings.show_delegations:
            self._form.delegation(delegator, delegatee, task)

    def show_consultation(self, question: str, responses: Mapping[str, str]) -> None:
        """The question, and {model: its answer}."""
        self._form.consultation(question, responses)

    def show_response(self, model: str, response: str, response_type: str = "answer") -> None:
        """One answer, under the name of its model."""
        self._form.response(model, response, response_type)

    def show_conversation_summary(self, history: Sequence[Message] | None = None) -> None:
        """Who said what, in order, with every tool call and its result in short; None: this display's own agent."""
        self._form.summary(self.history() if history is None else history)


async def _ticking(screen: RichScreen) -> None:
    while True:
        await anyio.sleep(TICK_S)
        screen.tick()


class Form(Protocol):
    """One way to show things."""

    def event(self, event: Event) -> None: ...
    def switch(self, old: str, new: str, reason: str = "") -> None: ...
    def delegation(self, delegator: str, delegatee: str, task: str) -> None: ...
    def consultation(self, question: str, responses: Mapping[str, str]) -> None: ...
    def response(self, model: str, response: str, response_type: str = "answer") -> None: ...
    def summary(self, history: Sequence[Message]) -> None: ...


def _form(console: Console, settings: DisplaySettings) -> Form:
    if settings.quiet and settings.format != "json":
        return Quiet(console)
    match settings.format:
        case "json":
            return JsonLines(console)
        case "markdown":
            return Markdown(console, settings)
        case "rich" if console.is_terminal and not console.is_dumb_terminal:
            return RichScreen(console, settings)
        case _:
            return Screen(console, settings)


class _Written:
    """Text straight to the console's file: no wrapping, no styles."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def write(self, text: str) -> None:
        self.console.file.write(writable(text, self.console.encoding) + "\n")
        self.console.file.flush()


class JsonLines(_Written):
    def event(self, event: Event) -> None:
        self.write(event_json(event))

    def switch(self, old: str, new: str, reason: str = "") -> None:
        self.event(Switched(old=old, new=new, reason=reason))

    def delegation(self, delegator: str, delegatee: str, task: str) -> None:
        self._object(kind="delegation", delegator=delegator, delegatee=delegatee, task=task)

    def consultation(self, question: str, responses: Mapping[str, str]) -> None:
        self._object(kind="consultation", question=question, responses=dict(responses))

    def response(self, model: str, response: str, response_type: str = "answer") -> None:
        self._object(kind="response", model=model, response=response, response_type=response_type)

    def summary(self, history: Sequence[Message]) -> None:
        messages = TypeAdapter(list[Message]).dump_python(list(history), mode="json", warnings="none")
        self._object(kind="conversation", messages=messages)

    def _object(self, **fields: Any) -> None:
        self.write(json.dumps(fields))


class Quiet(_Written):
    """The answers of runs nobody else asked for, without their names."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.top: set[str] = set()

    def event(self, event: Event) -> None:
        match event:
            case RunStarted(parent=None):
                self.top.add(event.run)
            case Appended(cause=None) if event.run in self.top and _is_answer(event.messages[-1]):
                self.write(visible(event.messages[-1].text))
            case RunEnded():
                self.top.discard(event.run)
            case _:
                pass

    def switch(self, old: str, new: str, reason: str = "") -> None: ...
    def delegation(self, delegator: str, delegatee: str, task: str) -> None: ...

    def consultation(self, question: str, responses: Mapping[str, str]) -> None:
        for model, response in responses.items():
            self.write(f"{one_line(model)}: {visible(response)}")

    def response(self, model: str, response: str, response_type: str = "answer") -> None:
        self.write(visible(response))

    def summary(self, history: Sequence[Message]) -> None:
        for message in history:
            if message.text:
                self.write(visible(message.text))


class Markdown(_Written):
    """Headings that name who speaks, answers as they are, tools as lists."""

    def __init__(self, console: Console, settings: DisplaySettings) -> None:
        super().__init__(console)
        self.settings = settings
        self._runs: dict[str, tuple[str, int]] = {}  # heading and depth
        self._said: dict[str, str] = {}  # streamed of the round under way
        self._made: dict[str, Provenance] = {}  # how figures came to be, where they were not measured
        self._last: str | None = None  # whose heading stands above
        self._listing = False

    def event(self, event: Event) -> None:
        match event:
            case RunStarted():
                depth = self._runs[event.parent][1] + 1 if event.parent in self._runs else 0
                heading = one_line(event.agent, 40) + (f" `{_code(event.model)}`" if event.model else "")
                self._runs[event.run] = (heading, depth)
                if event.role != "lead" and self.settings.show_delegations:
                    self.delegation("", event.model, event.prompt)
            case Streamed() if not event.thinking:
                self._said[event.run] = self._said.get(event.run, "") + event.text
            case ToolStarted():
                self._speak(event.run, self._said.pop(event.run, ""))
                self._item(event.run, _call(event.call))
            case ToolFinished():
                self._item(event.run, _result(event.result, event.seconds, self.settings.show_delegations))
            case Appended():
                text = next((m.text for m in reversed(event.messages) if m.role == "assistant"), "")
                said = self._said.pop(event.run, "")
                if event.cause is not None:
                    self._speak(event.run, said)
                elif event.messages[-1].role != "tool":
                    self._speak(event.run, text)
                if event.recorded:
                    self._made[event.run] = made_of(event)
            case RunEnded() if event.run in self._runs:
                used = usage_text(event.usage, event.seconds, made=self._made.get(event.run, "measured"))
                stopped = f"**stopped:** {one_line(event.error, 400)}" if event.error else ""
                self._speak(event.run, "\n\n".join(filter(None, [f"*{used}*", stopped])))
                del self._runs[event.run]
                self._last = None
            case Switched() if self.settings.show_model_switches:
                self.switch(event.old, event.new, event.reason)
            case Notice():
                self.write(f"> {event.level}: {one_line(event.text, 400)}\n")
            case _:
                pass

    def asked(self, text: str) -> None:
        self._last = None
        self.write(f"\n### you\n\n{visible(text)}")

    def switch(self, old: str, new: str, reason: str = "") -> None:
        why = f" ({one_line(reason)})" if reason else ""
        self.write(f"> model switched: `{_code(old)}` → `{_code(new)}`{why}\n")

    def delegation(self, delegator: str, delegatee: str, task: str) -> None:
        who = f"`{_code(delegator)}` → " if delegator else ""
        self._last = None
        self.write(f"> {who}`{_code(delegatee)}`: {one_line(task, 300)}\n")

    def consultation(self, question: str, responses: Mapping[str, str]) -> None:
        self.write(f"> {one_line(question, 300)}\n")
        for model, response in responses.items():
            self.response(model, response)

    def response(self, model: str, response: str, response_type: str = "answer") -> None:
        kind = "" if response_type == "answer" else f" ({one_line(response_type, 40)})"
        self.write(f"### `{_code(model)}`{kind}\n\n{visible(response)}\n")

    def summary(self, history: Sequence[Message]) -> None:
        for message in history:
            if message.role != "tool":
                self.write(f"### {f'`{_code(message.origin)}`' if message.origin else 'you'}\n")
            for part in message.parts:
                match part:
                    case Text():
                        self.write(visible(part.text) + "\n")
                    case ToolCall():
                        self.write(f"- {_call(part)}")
                    case ToolResult():
                        self.write(f"- {_result(part, None, self.settings.show_delegations)}")
                    case _:
                        pass
            self.write("")

    def _speak(self, run: str, text: str) -> None:
        if text.strip() and run in self._runs:
            self._head(run)
            self.write(("\n" if self._listing else "") + visible(text).rstrip("\n") + "\n")
            self._listing = False

    def _item(self, run: str, text: str) -> None:
        if run in self._runs:
            self._head(run)
            self.write(f"- {text}")
            self._listing = True

    def _head(self, run: str) -> None:
        if self._last != run:
            heading, depth = self._runs[run]
            self.write(f"\n{'#' * min(3 + depth, 6)} {heading}\n")
            self._last, self._listing = run, False


def _call(call: ToolCall) -> str:
    return f"`{_code(f'{call.name} {shown_arguments(call.arguments)}'.rstrip())}`"


def _result(result: ToolResult, seconds: float | None, delegations: bool) -> str:
    took = f" {seconds:.2f} s" if seconds is not None else ""
    name = f"`{_code(result.name)}`"
    if result.is_error:
        return f"**failed** {name}{took}: {one_line(result.text, 400)}"
    if delegations and (receipt := receipt_in(result.text)):
        lines = [f"{name}{took} {speaker_name(receipt)}", *(text for text, _ in receipt_lines(receipt))]
        return "\n  - ".join(
            [*lines, *([f"answer: {one_line(answer_in(receipt), 400)}"] if receipt.answer else [])]
        )
    return f"{name}{took}: `{_code(shown_text(result.text))}`"


def _code(text: str) -> str:
    """Inside backticks, where a backtick would end it."""
    return one_line(text, 300).replace("`", "ˋ")


def _is_answer(message: Message) -> bool:
    return message.role == "assistant" and not message.tool_calls
