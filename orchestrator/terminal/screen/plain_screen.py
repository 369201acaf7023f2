"""The event stream as named, coloured lines. Knows events and a console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console

from ...config.models import DisplaySettings
from ...events import (
    Appended,
    Called,
    Event,
    Foreseen,
    Journaled,
    Notice,
    RunEnded,
    RunStarted,
    Streamed,
    Summarised,
    Switched,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from ...sanitize import clipped, one_line, shown_arguments, shown_text
from ...types import Message, Provenance, Text, Thinking, ToolCall, ToolResult
from .lines import Lines, Speaker
from .receipt_view import (
    MAX_ANSWER_LINES,
    answer_in,
    diff_lines,
    made_of,
    receipt_in,
    receipt_lines,
    speaker_name,
    usage_text,
)
from .runs import unheard
from .speakers import Speakers

if TYPE_CHECKING:
    from servers.ollama.ledger.receipt import Receipt

YOU = Speaker(name="you", style="bold")
US = Speaker(name="understudy", style="dim")


@dataclass(slots=True, kw_only=True)
class _Run:
    speaker: Speaker
    parent: str | None
    model: str
    said: str = ""  # what was streamed of the round under way
    waiting: str = ""  # streamed, not yet a whole line, while another run has the screen
    waiting_style: str = ""
    made: Provenance = "measured"  # its figures
    heard: str = ""  # the last answer of a run that worked for it
    calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])


class Screen:
    """Draws events as lines; the text of the one run that is speaking appears as it comes."""

    def __init__(self, console: Console, settings: DisplaySettings) -> None:
        self.settings = settings
        self.lines = Lines(console, styled=settings.format == "rich")
        self._runs: dict[str, _Run] = {}
        self._speakers = Speakers(coloured=settings.color_code_models)

    def event(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._started(event)
            case Notice():
                style = {"info": "dim", "warning": "yellow", "error": "red"}[event.level]
                self.lines.line(US, clipped(event.text), style)
            case Switched():
                if self.settings.show_model_switches:
                    self.switch(event.old, event.new, event.reason)
            case Called() | Foreseen() | Journaled() | Summarised():
                pass  # the run's own end tells what it took, and a file does not wait
            case _ if (run := self._runs.get(event.run)) is not None:
                self._of(run, event)
            case _:
                pass  # a run that began before this screen was there

    def asked(self, text: str) -> None:
        self.lines.line(YOU, text)

    def switch(self, old: str, new: str, reason: str = "") -> None:
        why = f" ({one_line(reason)})" if reason else ""
        self.lines.line(US, f"model switched: {one_line(old, 80)} → {one_line(new, 80)}{why}", "bold")

    def delegation(self, delegator: str, delegatee: str, task: str, *, by: Speaker | None = None) -> None:
        speaker = by or self._speakers.of(delegator)
        self.lines.line(speaker, f"⇒ {one_line(delegatee, 80)}: {one_line(task, 300)}", "bold")

    def consultation(self, question: str, responses: Mapping[str, str]) -> None:
        self.lines.line(YOU, f"⇒ {len(responses)} models: {one_line(question, 300)}", "bold")
        for model, response in responses.items():
            self.response(model, response)

    def response(self, model: str, response: str, response_type: str = "answer") -> None:
        kind = "" if response_type == "answer" else f" ({one_line(response_type, 40)})"
        self.lines.line(self._speakers.of(f"{one_line(model, 80)}{kind}", model), response)

    def summary(self, history: Sequence[Message]) -> None:
        for message in history:
            self._message(message)
        models = {m.origin for m in history if m.origin and not m.origin.startswith(f"{US.name}:")}
        calls = sum(len(message.tool_calls) for message in history)
        self.lines.line(
            US,
            f"{counted(len(history), 'message')}, {counted(len(models), 'model')}, {counted(calls, 'tool call')}",
            "dim",
        )

    def _started(self, event: RunStarted) -> None:
        parent = self._runs.get(event.parent or "")
        depth = parent.speaker.depth + 1 if parent else 0
        name = f"{one_line(event.agent, 40)} {one_line(event.model, 80)}".strip()
        speaker = self._speakers.of(name, event.model, depth)
        if event.role != "lead" and self.settings.show_delegations:
            by = parent.speaker if parent else YOU
            self.delegation("", f"{event.role} {event.model}", event.prompt, by=by)
        self._runs[event.run] = _Run(speaker=speaker, parent=event.parent, model=event.model)

    def _of(
        self, run: _Run, event: Streamed | ToolStarted | ToolProgress | ToolFinished | Appended | RunEnded
    ) -> None:
        match event:
            case Streamed():
                self._streamed(event.run, run, event)
            case ToolStarted():
                self._settle(run)
                run.calls[event.call.id] = event.call
                self._call(run.speaker, event.call)
            case ToolProgress():
                total = f" of {event.total:g}" if event.total is not None else ""
                message = one_line(event.message) or f"{event.done:g}{total}"
                name = run.calls[event.call_id].name if event.call_id in run.calls else "tool"
                self.lines.status(run.speaker, f"… {one_line(name, 60)}: {message}")
            case ToolFinished():
                self._result(run.speaker, event.result, event.seconds)
            case Appended():
                self._appended(run, event)
            case RunEnded():
                self._settle(run)
                self._runs.pop(event.run, None)
                self.lines.clear()
                used = usage_text(event.usage, event.seconds, made=run.made)
                self.lines.line(run.speaker, f"· {used}", "dim")
                if event.error:
                    self.lines.line(run.speaker, f"✗ stopped: {one_line(event.error, 400)}", "red")

    def _streamed(self, run_id: str, run: _Run, event: Streamed) -> None:
        if not event.thinking:
            run.said += event.text
        style, speaker = ("dim italic", _thinking(run.speaker)) if event.thinking else ("", run.speaker)
        if self._alone(run_id, run):
            if run.waiting:
                self.lines.write(
                    _thinking(run.speaker) if run.waiting_style else run.speaker,
                    run.waiting,
                    run.waiting_style,
                )
                run.waiting = ""
            self.lines.write(speaker, event.text, style)
            return
        if run.waiting_style != style:
            self._settle(run)
            run.waiting_style = style
        whole, newline, run.waiting = (run.waiting + event.text).rpartition("\n")
        if newline:
            self.lines.line(speaker, whole, style)

    def _alone(self, run_id: str, run: _Run) -> bool:
        """Whether no run but this one and those it works for is under way."""
        above = {run_id}
        while run.parent in self._runs and run.parent not in above:
            above.add(run.parent)
            run = self._runs[run.parent]
        return self._runs.keys() == above

    def _settle(self, run: _Run) -> None:
        """Write what waits for the end of its line."""
        if run.waiting:
            speaker = _thinking(run.speaker) if run.waiting_style else run.speaker
            self.lines.line(speaker, run.waiting, run.waiting_style)
            run.waiting = ""
        elif self.lines.open is not None and self.lines.open[0] in (run.speaker, _thinking(run.speaker)):
            self.lines.end()

    def _appended(self, run: _Run, event: Appended) -> None:
        self._settle(run)
        run.made = made_of(event) if event.recorded else run.made
        said = (message.text for message in reversed(event.messages) if message.role == "assistant")
        text = next(said, "")  # a panel tells its members' answers again, which stand here already
        if (parent := self._runs.get(run.parent or "")) is not None and event.cause is None:
            parent.heard = text
        text = unheard(text, run.heard)
        if event.cause is not None:  # the end of the run says why; what was said stands on the screen
            run.said = ""
            return
        if text.strip() and text.strip() != run.said.strip():
            if run.said:  # a retry began anew, or a fallback answered
                self.lines.line(run.speaker, "(what stands is:)", "dim")
            self.lines.line(run.speaker, text)
        run.said = ""

    def _call(self, speaker: Speaker, call: ToolCall) -> None:
        if call.name.endswith("delegate") and self.settings.show_delegations and "task" in call.arguments:
            model = str(call.arguments.get("model", "auto"))
            rest = {k: v for k, v in call.arguments.items() if k not in ("task", "model")}
            details = f" [{shown_arguments(rest)}]" if rest else ""
            self.delegation(
                "", f"worker {model}", f"{one_line(str(call.arguments['task']), 200)}{details}", by=speaker
            )
        else:
            self.lines.line(
                speaker, f"→ {one_line(call.name, 64)} {shown_arguments(call.arguments)}".rstrip()
            )

    def _result(self, speaker: Speaker, result: ToolResult, seconds: float | None = None) -> None:
        self.lines.clear()
        took = f" {seconds:.2f} s" if seconds is not None else ""
        name = one_line(result.name, 64)
        if result.is_error:
            self.lines.line(speaker, f"✗ {name}{took}: {one_line(result.text, 400)}", "red")
        elif (receipt := receipt_in(result.text)) and self.settings.show_delegations:
            self._receipt(speaker, receipt)
        else:
            images = sum(not isinstance(part, Text) for part in result.content)
            more = f", {counted(images, 'image')}" if images else ""
            self.lines.line(speaker, f"← {name}{took}: {shown_text(result.text)}{more}", "dim")

    def _receipt(self, speaker: Speaker, receipt: Receipt) -> None:
        worker = self._speakers.of(speaker_name(receipt), receipt.model or "", speaker.depth + 1)
        if answer := answer_in(receipt):
            said = answer.rstrip("\n").split("\n")
            self.lines.line(worker, "\n".join(said[:MAX_ANSWER_LINES]))
            if len(said) > MAX_ANSWER_LINES:
                self.lines.line(worker, f"... {len(said) - MAX_ANSWER_LINES:,} more lines", "dim")
        for text, style in (*diff_lines(receipt), *receipt_lines(receipt)):
            self.lines.line(worker, text, style)

    def _message(self, message: Message) -> None:
        speaker = YOU if message.role == "user" else self._speakers.of(message.origin or "model")
        for part in message.parts:
            match part:
                case Text():
                    self.lines.line(speaker, part.text)
                case Thinking():
                    if part.text:
                        self.lines.line(_thinking(speaker), part.text, "dim italic")
                case ToolCall():
                    self._call(speaker, part)
                case ToolResult():
                    self._result(Speaker(name="tool", style="dim"), part)
                case _:
                    self.lines.line(speaker, f"[image, {part.mime}]", "dim")


def _thinking(speaker: Speaker) -> Speaker:
    return Speaker(name=f"{speaker.name} (thinking)", style=speaker.style, depth=speaker.depth)


def counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
