"""The event stream on a terminal: who speaks named once, answers as rendered Markdown, and one row that is alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from rich.console import Console
from rich.segment import Segment
from rich.style import Style

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
    Switched,
    ToolFinished,
    ToolProgress,
    ToolStarted,
)
from ...sanitize import clipped, one_line, shown_arguments
from ...types import Message, Text, Thinking, ToolCall, ToolResult
from .activity import Activity, Working
from .blocks import Block, Blocks
from .lines import Speaker
from .painter import Painter
from .plain_screen import PALETTE, counted
from .receipt_view import (
    MAX_ANSWER_LINES,
    Receipt,
    answer_in,
    diff_text,
    receipt_in,
    receipt_lines,
    speaker_name,
    usage_text,
)
from .rows import BAR, MIN_ROOM, Row, beside, code_rows, prose_rows, text_rows, theme_of, themed
from .tool_view import DIFF_LINES, Shown, body_rows, diff_rows, shown

Entry = Callable[[int], list[Row]]
"""Something that was said, as rows for so many cells."""
COLUMN = 38
"""Cells a column needs: with fewer, answers of a panel stand one under another."""
TAIL = 10
"""Rows of an answer under way."""
INDENT = 2
MAX_OUTPUTS = 200
PROMPT = "you │ "
CONTINUED = "    │ "


@dataclass(slots=True, kw_only=True)
class _Run:
    id: str
    speaker: Speaker
    parent: str | None
    model: str
    activity: Activity
    blocks: Blocks = field(default_factory=Blocks)
    thoughts: str = ""
    said: str = ""  # streamed of the round under way
    thought_s: float | None = None  # when thinking began
    held: list[Entry] = field(default_factory=list[Entry])  # said while another run has the screen
    shown: bool = False  # something of it stands on the screen
    recorded: bool = False
    code: bool = False  # it wrote code, which is copied: never in a column
    ended: bool = False
    calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Something that was shown in part."""

    title: str
    text: str
    diff: bool = False


class RichScreen:
    """Draws events on a terminal that can move its cursor."""

    def __init__(
        self, console: Console, settings: DisplaySettings, clock: Callable[[], float] = monotonic
    ) -> None:
        self.console, self.settings, self.clock = themed(console), settings, clock
        self.painter = Painter(console)
        self.outputs: list[Output] = []
        self.thoughts = settings.show_thoughts
        self.queued: Sequence[str] = ()  # what the person typed ahead
        self._theme = theme_of(settings.theme)
        self._runs: dict[str, _Run] = {}  # under way, or ended and not yet shown whole; oldest first
        self._styles: dict[str, str] = {}
        self._last: tuple[str, ...] = ()  # whose name stands above
        self._under: str | None = None  # what the last row is: code, a block of prose, another line

    def event(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._started(event)
            case Notice():
                self._notice(event)
            case Switched():
                if self.settings.show_model_switches:
                    self.switch(event.old, event.new, event.reason)
            case Called() | Journaled():
                pass  # the run's own end tells what it took
            case _ if (run := self._runs.get(event.run)) is not None and not run.ended:
                self._of(run, event)
            case _:
                pass  # a run that began before this screen was there
        self.tick()

    def tick(self) -> None:
        """Draw the changing part as it is now."""
        self.painter.show(self._below())

    def asked(self, text: str) -> None:
        """What the person says, above its answer."""
        self._last, self._under = ("you",), None
        style = self._style("bold")
        said = [
            row
            for line in text.split("\n")
            for row in text_rows(self.console, line, self.console.width - len(CONTINUED)) or [[]]
        ]
        heads = [PROMPT, *[CONTINUED] * (len(said) - 1)]
        self._rows([[], *[[Segment(head, style), *row] for head, row in zip(heads, said, strict=True)]])

    def switch(self, old: str, new: str, reason: str = "") -> None:
        why = f" ({one_line(reason, 300)})" if reason else ""
        self._ours(f"model switched: {one_line(old, 80)} → {one_line(new, 80)}{why}", "bold")

    def delegation(self, delegator: str, delegatee: str, task: str) -> None:
        self._said_by(self._speaker(delegator), [self._task(delegatee, task)])

    def consultation(self, question: str, responses: Mapping[str, str]) -> None:
        self._ours(f"{len(responses)} models: {one_line(question, 300)}", "bold")
        for model, response in responses.items():
            self.response(model, response)

    def response(self, model: str, response: str, response_type: str = "answer") -> None:
        kind = "" if response_type == "answer" else f" ({one_line(response_type, 40)})"
        self._said_by(self._speaker(f"{one_line(model, 80)}{kind}", model), self._answer(response))

    def summary(self, history: Sequence[Message]) -> None:
        calls: dict[str, ToolCall] = {}
        for message in history:
            speaker = (
                Speaker(name="you", style="bold")
                if message.role == "user"
                else self._speaker(message.origin or "model")
            )
            entries: list[Entry] = []
            for part in message.parts:
                match part:
                    case Text():
                        entries += self._answer(part.text)
                    case Thinking():
                        entries += [self._thought(part.text)] if part.text and self.thoughts else []
                    case ToolCall():
                        calls[part.id] = part
                    case ToolResult():
                        entries += self._result(calls.get(part.call_id), part, None)
                    case _:
                        entries.append(self._text(f"[image, {part.mime}]", "dim"))
            if entries and message.role == "tool":
                self._entries(self._last, None, entries)
            elif entries:
                self._said_by(speaker, entries)
        models = {m.origin for m in history if m.origin and not m.origin.startswith("understudy:")}
        self._ours(
            f"{counted(len(history), 'message')}, {counted(len(models), 'model')}, {counted(len(calls), 'tool call')}",
            "dim",
        )

    def expand(self, number: int | None = None) -> Output | None:
        """Show the whole of an output that was cut, the last where no number is given; None where there is none."""
        found = self.output(number)
        if found is not None:
            body = self._diff(found.text.split("\n")) if found.diff else self._text(found.text)
            self._entries((), None, [self._text(found.title, "bold"), body])
        return found

    def output(self, number: int | None = None) -> Output | None:
        place = len(self.outputs) - 1 if number is None else number - 1
        return self.outputs[place] if 0 <= place < len(self.outputs) else None

    def _started(self, event: RunStarted) -> None:
        parent = self._runs.get(event.parent or "")
        depth = parent.speaker.depth + 1 if parent else 0
        name = f"{one_line(event.agent, 40)} {one_line(event.model, 80)}".strip()
        run = _Run(
            id=event.run,
            speaker=self._speaker(name, event.model, depth),
            parent=parent.id if parent else None,
            model=event.model,
            activity=Activity(since=self.clock()),
        )
        if event.role != "lead" and self.settings.show_delegations:
            task = self._task(f"{event.role} {event.model}", event.prompt)
            if parent:
                self._put(parent, task)
            else:
                self._entries((), None, [task])
        self._runs[event.run] = run

    def _of(
        self,
        run: _Run,
        event: Streamed | Foreseen | ToolStarted | ToolProgress | ToolFinished | Appended | RunEnded,
    ) -> None:
        now = self.clock()
        match event:
            case Streamed():
                run.activity.piece(event.text, thinking=event.thinking, now=now)
                if event.thinking:
                    run.thought_s = now if run.thought_s is None else run.thought_s
                    run.thoughts += event.text
                else:
                    self._thought_out(run)
                    run.said += event.text
                    for block in run.blocks.feed(event.text):
                        self._put(run, self._block(run, block))
            case Foreseen():
                run.activity.foreseen = event
            case ToolStarted():
                self._settle(run)
                run.calls[event.call.id] = event.call
                run.activity.tools[event.call.id] = Working(call=event.call, since=now)
                if self._is_delegation(event.call):
                    model = str(event.call.arguments.get("model", "auto"))
                    self._put(run, self._task(f"worker {model}", **_order(event.call)))
            case ToolProgress():
                if (working := run.activity.tools.get(event.call_id)) is not None:
                    total = f" of {event.total:g}" if event.total is not None else ""
                    working.message = one_line(event.message) or f"{event.done:g}{total}"
            case ToolFinished():
                run.activity.tools.pop(event.result.call_id, None)
                call = run.calls.pop(event.result.call_id, None)
                for entry in self._result(call, event.result, event.seconds):
                    self._put(run, entry)
            case Appended():
                self._appended(run, event)
                run.activity.wait(now)
                run.activity.idle = event.messages[-1].role == "assistant"
            case RunEnded():
                self._ended(run, event)

    def _appended(self, run: _Run, event: Appended) -> None:
        self._settle(run)
        run.recorded = run.recorded or event.recorded
        said = (message.text for message in reversed(event.messages) if message.role == "assistant")
        text = next(said, "")  # a panel tells its members' answers again, which stand here already
        if event.cause is None and text.strip() and text.strip() != run.said.strip():
            if run.said:  # a retry began anew, or a fallback answered
                self._put(run, self._text("(what stands is:)", "dim"))
            for entry in self._answer(text):
                self._put(run, entry)
            run.code = run.code or "```" in text
        run.said = ""

    def _ended(self, run: _Run, event: RunEnded) -> None:
        self._settle(run)
        for call in run.calls.values():
            self._put(run, self._text(f"✗ {_called(call)}: stopped", "red"))
        if event.error:
            self._put(run, self._text(f"✗ stopped: {one_line(event.error, 400)}", "red"))
        used = usage_text(event.usage, event.seconds, recorded=run.recorded)
        self._put(run, self._text(f"· {used}", "dim"))
        run.ended = True
        self._advance()

    def _settle(self, run: _Run) -> None:
        """What was streamed will not go on: it stands as it is."""
        self._thought_out(run)
        for block in run.blocks.end():
            self._put(run, self._block(run, block))

    def _thought_out(self, run: _Run) -> None:
        thoughts, run.thoughts = run.thoughts.strip(), ""
        if not thoughts:
            return
        took = self.clock() - (run.thought_s or self.clock())
        run.thought_s = None
        if self.thoughts:
            self._put(run, self._thought(thoughts))
        else:
            words = f"{len(thoughts.split()):,} words"
            more = self._keep(f"thoughts of {run.speaker.name}", thoughts)
            self._put(run, self._text(f"· thought for {took:.0f} s, {words}; {more}", "dim italic"))

    def _put(self, run: _Run, entry: Entry) -> None:
        run.held.append(entry)
        self._advance()

    def _advance(self) -> None:
        """Write what may be written: of one run after another, of a panel side by side where that fits."""
        while self._runs:
            run = self._front()
            panel = self._panel(run)
            if panel and not any(one.shown for one in panel):
                for one in self._above(run)[:-1]:
                    self._flush(one)
                if not all(one.ended for one in panel):
                    return
                self._columns(panel)
                for one in panel:
                    del self._runs[one.id]
                continue
            for one in self._above(run):
                self._flush(one)
            if not run.ended:
                return
            del self._runs[run.id]

    def _front(self) -> _Run:
        """The oldest run nobody waits for: it, or the oldest it works with."""
        run = next(iter(self._runs.values()))
        while child := next((one for one in self._runs.values() if one.parent == run.id), None):
            run = child
        return run

    def _above(self, run: _Run) -> list[_Run]:
        found = [run]
        while (parent := self._runs.get(found[0].parent or "")) is not None:
            found.insert(0, parent)
        return found

    def _flush(self, run: _Run) -> None:
        if run.held:
            held, run.held = run.held, []
            run.shown = True
            self._entries((run.id,), run.speaker, held)

    def _panel(self, run: _Run) -> list[_Run]:
        """The runs beside this one that fit beside it on the screen; () when they do not."""
        beside_it = [one for one in self._runs.values() if one.parent == run.parent]
        return beside_it if len(beside_it) > 1 and self._column(len(beside_it)) >= COLUMN else []

    def _column(self, count: int) -> int:
        return (self.console.width - 2 * count) // count - INDENT

    def _columns(self, panel: Sequence[_Run]) -> None:
        """The answers of a panel that has ended: side by side, or one after another where one wrote code."""
        if any(one.code for one in panel):
            for one in panel:
                self._flush(one)
            return
        width = self._column(len(panel))
        columns = [
            _barred(
                [self._name(one.speaker), *(row for entry in one.held for row in entry(width))],
                one.speaker.style,
                self.console,
            )
            for one in panel
        ]
        self._rows(beside(columns, width + INDENT))
        self._last, self._under = (), None

    def _entries(self, who: tuple[str, ...], speaker: Speaker | None, entries: Sequence[Entry]) -> None:
        depth = speaker.depth if speaker else 0
        indent, style = " " * (INDENT * depth), speaker.style if speaker else "dim"
        room = max(self.console.width - len(indent) - INDENT, MIN_ROOM)
        written: list[Row] = []
        if speaker is not None and who != self._last:
            written += [
                *([[]] if self._last or not self.painter.below else []),
                *_barred([self._name(speaker)], style, self.console, indent),
            ]
            self._under = None
        for entry in entries:
            kind = "code" if isinstance(entry, _Code) else "block" if isinstance(entry, _Prose) else "line"
            continued = isinstance(entry, _Code) and not entry.block.begins
            if self._under and not continued and (kind != "line" or self._under != "line"):
                written += _barred([[]], style, self.console, indent)
            if isinstance(entry, _Code):
                if entry.block.begins and entry.block.language:
                    label = [Segment(one_line(entry.block.language, 40), self._style("dim"))]
                    written += _barred([label], style, self.console, indent)
                written += _unbarred(entry(room), style, self.console, indent)
            else:
                written += _barred(entry(room), style, self.console, indent)
            self._under = kind
        self._last = who
        self._rows(written)

    def _rows(self, written: Sequence[Row]) -> None:
        self.painter.write(written)

    def _said_by(self, speaker: Speaker, entries: Sequence[Entry]) -> None:
        self._last = ()
        self._entries((speaker.name,), speaker, entries)

    def _ours(self, text: str, style: str) -> None:
        self._entries((), None, [self._text(text, style)])

    def _notice(self, event: Notice) -> None:
        style = {"info": "dim", "warning": "yellow", "error": "red"}[event.level]
        mark = {"info": "", "warning": "! ", "error": "✗ "}[event.level]
        self._ours(f"{mark}{clipped(event.text)}", style)

    def _text(self, text: str, style: str = "") -> Entry:
        return lambda room: text_rows(self.console, text, room, style)

    def _diff(self, lines: Sequence[str]) -> Entry:
        return lambda room: diff_rows(self.console, lines, room)

    def _thought(self, text: str) -> Entry:
        return self._text(text, "dim italic")

    def _block(self, run: _Run, block: Block) -> Entry:
        run.code = run.code or block.language is not None
        return self._entry_of(block)

    def _entry_of(self, block: Block) -> Entry:
        if block.language is not None:
            return _Code(self.console, block, self._theme)
        return _Prose(self.console, block.text)

    def _answer(self, text: str) -> list[Entry]:
        blocks = Blocks()
        return [self._entry_of(block) for block in (*blocks.feed(text), *blocks.end())]

    def _task(self, delegatee: str, task: str, details: str = "") -> Entry:
        def drawn(room: int) -> list[Row]:
            head = text_rows(
                self.console, f"⇒ {one_line(delegatee, 80)}: {one_line(task, 600)}", room, "bold"
            )
            return head + (text_rows(self.console, details, room, "dim") if details else [])

        return drawn

    def _is_delegation(self, call: ToolCall) -> bool:
        return call.name.endswith("delegate") and self.settings.show_delegations and "task" in call.arguments

    def _result(
        self,
        call: ToolCall | None,
        result: ToolResult,
        seconds: float | None,
    ) -> list[Entry]:
        if not result.is_error and self.settings.show_delegations and (receipt := receipt_in(result.text)):
            return self._receipt(receipt)
        one = shown(result.text, images=sum(not isinstance(part, Text) for part in result.content))
        took = f" {seconds:.2f} s" if seconds is not None else ""
        called = _called(call) if call else one_line(result.name, 64)
        mark, style = ("✗", "red") if result.is_error else ("→", "")
        return [
            self._text(f"{mark} {called}{took}", style),
            self._body(one, "red" if result.is_error else "dim"),
            *self._more(called, one),
        ]

    def _body(self, one: Shown, style: str) -> Entry:
        def drawn(room: int) -> list[Row]:
            inner = max(room - INDENT, MIN_ROOM)
            head = text_rows(self.console, one_line(one.head, 600), inner, style) if one.head else []
            return _indented([*head, *body_rows(self.console, one, inner)])

        return drawn

    def output_of(self, title: str, text: str) -> None:
        """Something looked up for the person, in part where it is long."""
        one = shown(text)
        self._entries((), None, [self._text(title), self._body(one, "dim"), *self._more(title, one)])

    def _more(self, title: str, one: Shown) -> list[Entry]:
        if not one.hidden and one.record is None:
            return []
        more = self._keep(title, one.whole, diff=one.diff)
        if not one.hidden:
            return []
        return [self._text(f"  ... {one.hidden:,} more lines; {more}", "dim")]

    def _keep(self, title: str, text: str, *, diff: bool = False) -> str:
        """Remember it whole; returns what shows it."""
        if len(self.outputs) < MAX_OUTPUTS:
            self.outputs.append(Output(title=title, text=text, diff=diff))
        return f"/expand {len(self.outputs)} shows all"

    def _receipt(self, receipt: Receipt) -> list[Entry]:
        worker = self._speaker(speaker_name(receipt), receipt.model or "")
        answer, diff = answer_in(receipt).rstrip("\n"), diff_text(receipt)
        inner: list[Entry] = []
        if answer:
            lines = answer.split("\n")
            inner += self._answer("\n".join(lines[:MAX_ANSWER_LINES]))
            if (cut := len(lines) - MAX_ANSWER_LINES) > 0:
                more = self._keep(f"answer of {worker.name}", answer)
                inner.append(self._text(f"... {cut:,} more lines; {more}", "dim"))
        if diff:
            lines = diff.split("\n")
            inner.append(self._diff(lines[:DIFF_LINES]))
            if (cut := len(lines) - DIFF_LINES) > 0:
                more = self._keep(f"diff of {worker.name}", diff, diff=True)
                inner.append(self._text(f"... {cut:,} more lines; {more}", "dim"))
        inner += [self._text(text, style) for text, style in receipt_lines(receipt)]

        def drawn(room: int) -> list[Row]:
            width = max(room - INDENT, MIN_ROOM)
            said = [self._name(worker), *(row for entry in inner for row in entry(width))]
            return _barred(said, worker.style, self.console, "")

        return [drawn]

    def _below(self) -> list[Row]:
        active = [run for run in self._runs.values() if not run.ended]
        if not active and not self.queued:
            return []
        found: list[Row] = []
        if active:
            front = self._front()
            panel = self._panel(front)
            if panel and not any(one.shown for one in panel):
                found += self._columns_under_way(panel)
            elif not front.ended:
                found += self._under_way(front, self.console.width - 2 - INDENT * front.speaker.depth)
            working = {run.parent for run in active}
            for run in active:
                if (run.id not in working or run.activity.tools) and (
                    told := run.activity.told(self.clock())
                ):
                    found.append(self._alive(run, told, named=len(active) > 1 or not run.shown))
        for line in self.queued:
            found.append([Segment(f"queued: {one_line(line, self.console.width - 10)}", self._style("dim"))])
        return found

    def _alive(self, run: _Run, told: str, *, named: bool) -> Row:
        name = f"{run.speaker.name} · " if named else ""
        indent = " " * (INDENT * run.speaker.depth)
        return [
            Segment(f"{indent}… {name}", self._style(run.speaker.style)),
            Segment(told, self._style("dim")),
        ]

    def _under_way(self, run: _Run, room: int) -> list[Row]:
        """The block that is being written, its last rows."""
        if run.thoughts and self.thoughts:
            body = text_rows(self.console, run.thoughts[-room * TAIL :], room, "dim italic")
        elif (block := run.blocks.open) is None:
            return []
        elif block.language is None:
            body = prose_rows(self.console, block.text[-room * TAIL * 2 :], room)
        else:
            body = code_rows(self.console, block, self._theme)
        return _barred(body[-TAIL:], run.speaker.style, self.console, " " * (INDENT * run.speaker.depth))

    def _columns_under_way(self, panel: Sequence[_Run]) -> list[Row]:
        width = self._column(len(panel))
        columns: list[list[Row]] = []
        for run in panel:
            said = [row for entry in run.held for row in entry(width)]
            said += [row[INDENT - 1 :] for row in self._under_way(run, width)]
            named = [self._name(run.speaker), *said[-TAIL:]]
            columns.append(_barred(named, run.speaker.style, self.console))
        return beside(columns, width + INDENT)

    def _speaker(self, name: str, model: str = "", depth: int = 0) -> Speaker:
        """Every model keeps the colour it got when it first spoke."""
        key = model or name
        if key not in self._styles:
            self._styles[key] = PALETTE[len(self._styles) % len(PALETTE)]
        style = self._styles[key] if self.settings.color_code_models else ""
        return Speaker(name=name, style=style, depth=depth)

    def _name(self, speaker: Speaker) -> Row:
        return [Segment(speaker.name, self._style(speaker.style) + Style(bold=True))]

    def _style(self, name: str) -> Style:
        return self.console.get_style(name or "none")


class _Prose:
    """A block of rendered Markdown."""

    def __init__(self, console: Console, text: str) -> None:
        self.console, self.text = console, text

    def __call__(self, room: int) -> list[Row]:
        return prose_rows(self.console, self.text, room)


class _Code:
    """A block of code: written from the first column, so that it is copied as it is."""

    def __init__(self, console: Console, block: Block, theme: str) -> None:
        self.console, self.block, self.theme = console, block, theme

    def __call__(self, room: int) -> list[Row]:
        return code_rows(self.console, self.block, self.theme)


def _barred(found: Sequence[Row], style: str, console: Console, indent: str = "") -> list[Row]:
    colour = console.get_style(style or "none")
    return [[Segment(f"{indent}{BAR} " if row else f"{indent}{BAR}", colour), *row] for row in found]


def _unbarred(found: Sequence[Row], style: str, console: Console, indent: str) -> list[Row]:
    """Rows as they are; one that looks like ours gets a bar, so that no model speaks in another's name."""
    return [
        row
        if not "".join(piece.text for piece in row).lstrip().startswith(BAR)
        else _barred([row], style, console, indent)[0]
        for row in found
    ]


def _indented(found: Sequence[Row]) -> list[Row]:
    return [[Segment(" " * INDENT), *row] for row in found]


def _called(call: ToolCall) -> str:
    return f"{one_line(call.name, 64)} {shown_arguments(call.arguments)}".rstrip()


def _order(call: ToolCall) -> dict[str, str]:
    rest = {name: value for name, value in call.arguments.items() if name not in ("task", "model")}
    return {"task": str(call.arguments["task"]), "details": shown_arguments(rest, 300)}
