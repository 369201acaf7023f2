"""The event stream on a terminal: who speaks named once, answers as rendered Markdown, and one row that is alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic

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
from ...sanitize import clipped, one_line
from ...types import Message, Text, Thinking, ToolCall, ToolResult
from .activity import Activity, Working
from .blocks import Block
from .entries import STEP, TASK, Entries, Entry
from .live_part import LivePart
from .outputs import Output
from .page import Page
from .painter import Painter
from .plain_screen import counted
from .receipt_view import made_of, usage_text
from .rows import themed
from .runs import Run, Runs, unheard
from .speakers import Speakers
from .tool_entries import ToolEntries, called


class RichScreen:
    """Draws events on a terminal that can move its cursor."""

    def __init__(
        self, console: Console, settings: DisplaySettings, clock: Callable[[], float] = monotonic
    ) -> None:
        self.settings, self.clock = settings, clock
        self.painter = Painter(themed(console, settings.theme))
        self.speakers = Speakers(coloured=settings.color_code_models)
        self.entries = Entries(console, settings.theme)
        self.page = Page(self.entries, self.painter)
        self.tools = ToolEntries(self.entries, self.speakers, delegations=settings.show_delegations)
        self.runs = Runs()
        self.live = LivePart(self.entries, self.runs, clock)
        self.thoughts = settings.show_thoughts
        self.queued: Sequence[str] = ()  # what the person typed ahead
        self.asking = False  # everything waits for the person

    @property
    def thoughts(self) -> bool:
        return self.live.thoughts

    @thoughts.setter
    def thoughts(self, shown: bool) -> None:
        self.live.thoughts = shown

    @property
    def outputs(self) -> Sequence[Output]:
        return self.tools.outputs

    def event(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.live.doing = None
                self._started(event)
            case Notice():
                style = {"info": "dim", "warning": "yellow", "error": "red"}[event.level]
                mark = {"info": "", "warning": "! ", "error": "✗ "}[event.level]
                self.page.ours(f"{mark}{clipped(event.text)}", style)
            case Switched():
                if self.settings.show_model_switches:
                    self.switch(event.old, event.new, event.reason)
            case Called() | Journaled() | Summarised():
                pass  # the run's own end tells what it took
            case _ if (run := self.runs.get(event.run)) is not None and not run.ended:
                self._of(run, event)
            case _:
                pass  # a run that began before this screen was there
        self.tick()

    def tick(self) -> None:
        """Draw the changing part as it is now."""
        self.painter.show(() if self.asking else self.live.rows(self.queued))

    def asked(self, text: str) -> None:
        self.page.asked(text)

    def switch(self, old: str, new: str, reason: str = "") -> None:
        why = f" ({one_line(reason, 300)})" if reason else ""
        self.page.ours(f"model switched: {one_line(old, 80)} → {one_line(new, 80)}{why}", "bold")

    def delegation(self, delegator: str, delegatee: str, task: str) -> None:
        self.page.said_by(self.speakers.of(delegator), [self.entries.task(delegatee, task)])

    def consultation(self, question: str, responses: Mapping[str, str]) -> None:
        self.page.ours(f"{len(responses)} models: {one_line(question, 300)}", "bold")
        for model, response in responses.items():
            self.response(model, response)

    def response(self, model: str, response: str, response_type: str = "answer") -> None:
        kind = "" if response_type == "answer" else f" ({one_line(response_type, 40)})"
        speaker = self.speakers.of(f"{one_line(model, 80)}{kind}", model)
        self.page.said_by(speaker, self.entries.answer(response))

    def summary(self, history: Sequence[Message]) -> None:
        calls: dict[str, ToolCall] = {}
        for message in history:
            entries = self._parts(message, calls)
            if entries and message.role == "tool":
                self.page.write(self.page.last, None, entries)
            elif message.role == "user" and entries:
                self.page.asked(_asked(message))
            elif entries:
                self.page.said_by(self.speakers.of(message.origin or "model"), entries)
        models = {m.origin for m in history if m.origin and not m.origin.startswith("understudy:")}
        of = counted(len(history), "message"), counted(len(models), "model"), counted(len(calls), "tool call")
        self.page.ours(", ".join(of), "dim")

    def output_of(self, title: str, text: str) -> None:
        """Something looked up for the person, in part where it is long."""
        self.page.write((), None, self.tools.output(title, text))

    def output(self, number: int | None = None) -> Output | None:
        """One that was cut, the last where no number is given; None where there is none."""
        return self.tools.outputs.find(number)

    def expand(self, number: int | None = None) -> Output | None:
        """Show it whole; None where there is none."""
        found = self.output(number)
        if found is not None:
            body = self.entries.diff(found.text.split("\n")) if found.diff else self.entries.text(found.text)
            self.page.write((), None, [self.entries.text(found.title, "bold"), body])
        return found

    def _parts(self, message: Message, calls: dict[str, ToolCall]) -> list[Entry]:
        """What a message of a history shows; calls wait in `calls` for their results."""
        found: list[Entry] = []
        for part in message.parts:
            match part:
                case Text():
                    found += self.entries.answer(part.text)
                case Thinking():
                    found += [self.entries.thought(part.text)] if part.text and self.thoughts else []
                case ToolCall():
                    calls[part.id] = part
                case ToolResult():
                    found += self.tools.result(calls.get(part.call_id), part, None)
                case _:
                    found.append(self.entries.text(f"[image, {part.mime}]", "dim"))
        return found

    def _started(self, event: RunStarted) -> None:
        parent = self.runs.get(event.parent or "")
        depth = parent.speaker.depth + 1 if parent else 0
        name = f"{one_line(event.agent, 40)} {one_line(event.model, 80)}".strip()
        run = Run(
            id=event.run,
            speaker=self.speakers.of(name, event.model, depth),
            model=event.model,
            parent=parent.id if parent else None,
            activity=Activity(since=self.clock()),
        )
        if event.role != "lead" and self.settings.show_delegations:
            limit = TASK if parent is None or parent.model else STEP
            prompt = "the same" if parent and parent.asked == event.prompt else event.prompt
            task = self.entries.task(f"{event.role} {event.model}", prompt, limit=limit)
            if parent:
                parent.asked = event.prompt
                self._put(parent, task)
            else:
                self.page.write((), None, [task])
        self.runs[event.run] = run

    def _of(
        self,
        run: Run,
        event: Streamed | Foreseen | ToolStarted | ToolProgress | ToolFinished | Appended | RunEnded,
    ) -> None:
        now = self.clock()
        match event:
            case Streamed():
                self._streamed(run, event, now)
            case Foreseen():
                run.activity.foreseen = event
            case ToolStarted():
                self._settle(run)
                run.calls[event.call.id] = event.call
                delegation = self.tools.is_delegation(event.call)
                run.activity.tools[event.call.id] = Working(call=event.call, since=now, delegation=delegation)
                if delegation:
                    self._put(run, self.tools.order(event.call))
            case ToolProgress():
                if (working := run.activity.tools.get(event.call_id)) is not None:
                    total = f" of {event.total:g}" if event.total is not None else ""
                    working.message = one_line(event.message) or f"{event.done:g}{total}"
            case ToolFinished():
                run.activity.tools.pop(event.result.call_id, None)
                call = run.calls.pop(event.result.call_id, None)
                for entry in self.tools.result(call, event.result, event.seconds):
                    self._put(run, entry)
            case Appended():
                self._appended(run, event)
                run.activity.wait(now)
                run.activity.idle = event.messages[-1].role == "assistant"
            case RunEnded():
                self._ended(run, event)

    def _streamed(self, run: Run, event: Streamed, now: float) -> None:
        run.activity.piece(event.text, thinking=event.thinking, now=now)
        if event.thinking:
            run.thought_s = now if run.thought_s is None else run.thought_s
            run.thoughts += event.text
            return
        self._thought_out(run)
        run.said += event.text
        for block in run.blocks.feed(event.text):
            self._put_block(run, block)

    def _appended(self, run: Run, event: Appended) -> None:
        self._settle(run)
        run.made = made_of(event) if event.recorded else run.made
        said = (message.text for message in reversed(event.messages) if message.role == "assistant")
        text = next(said, "")  # a panel tells its members' answers again, which stand here already
        if (parent := self.runs.get(run.parent or "")) is not None and event.cause is None:
            parent.heard = text
        text = unheard(text, run.heard)
        if event.cause is None and text.strip() and text.strip() != run.said.strip():
            if run.said:  # a retry began anew, or a fallback answered
                self._put(run, self.entries.text("(what stands is:)", "dim"))
            for entry in self.entries.answer(text):
                self._put(run, entry)
            run.code = run.code or "```" in text
        run.said = ""

    def _ended(self, run: Run, event: RunEnded) -> None:
        self._settle(run)
        for call in run.calls.values():
            self._put(run, self.entries.text(f"✗ {called(call)}: stopped", "red"))
        if event.error:
            self._put(run, self.entries.text(f"✗ stopped: {one_line(event.error, 400)}", "red"))
        used = usage_text(event.usage, event.seconds, made=run.made)
        self._put(run, self.entries.text(f"· {used}", "dim"))
        run.ended = True
        self._advance()

    def _settle(self, run: Run) -> None:
        """What was streamed will not go on: it stands as it is."""
        self._thought_out(run)
        for block in run.blocks.end():
            self._put_block(run, block)

    def _thought_out(self, run: Run) -> None:
        thoughts, run.thoughts = run.thoughts.strip(), ""
        if not thoughts:
            return
        took = self.clock() - (run.thought_s or self.clock())
        run.thought_s = None
        if self.thoughts:
            self._put(run, self.entries.thought(thoughts))
        else:
            words = f"{len(thoughts.split()):,} words"
            more = self.tools.outputs.keep(f"thoughts of {run.speaker.name}", thoughts)
            self._put(run, self.entries.text(f"· thought for {took:.0f} s, {words}{more}", "dim italic"))

    def _put_block(self, run: Run, block: Block) -> None:
        run.code = run.code or block.language is not None
        self._put(run, self.entries.block(block))

    def _put(self, run: Run, entry: Entry) -> None:
        run.held.append(entry)
        self._advance()

    def _advance(self) -> None:
        """Write what may be written: of one run after another, of a panel side by side where that fits."""
        while self.runs:
            run = self.runs.front()
            panel = self.live.panel(run)
            if panel and not any(one.shown for one in panel):
                for one in self.runs.above(run)[:-1]:
                    self._flush(one)
                if not all(one.ended for one in panel):
                    return
                self._panel(panel)
                for one in panel:
                    del self.runs[one.id]
                continue
            for one in self.runs.above(run):
                self._flush(one)
            if not run.ended:
                return
            del self.runs[run.id]

    def _flush(self, run: Run) -> None:
        if run.held:
            held, run.held = run.held, []
            run.shown = True
            self.page.write((run.id,), run.speaker, held)

    def _panel(self, panel: Sequence[Run]) -> None:
        """The answers of a panel that has ended: side by side, or one after another where one wrote code."""
        if not any(one.code for one in panel):
            self.page.columns(self.live.columns(panel, tail=False))
            return
        for one in panel:
            self._flush(one)


def _asked(message: Message) -> str:
    """What a person said, as they typed it."""
    return "\n".join(part.text if isinstance(part, Text) else f"[{part.kind}]" for part in message.parts)
