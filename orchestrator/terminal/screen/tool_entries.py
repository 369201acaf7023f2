"""What tools and workers came to: in short on the screen, whole for the person who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment

from ...sanitize import one_line, shown_arguments
from ...types import Text, ToolCall, ToolResult
from .entries import INDENT, Entries, Entry
from .outputs import Outputs
from .receipt_view import (
    MAX_ANSWER_LINES,
    answer_in,
    diff_text,
    receipt_in,
    receipt_lines,
    speaker_name,
)
from .rows import MIN_ROOM, Row, text_rows
from .speakers import Speakers
from .tool_view import DIFF_LINES, Shown, body_rows, shown

if TYPE_CHECKING:
    from servers.ollama.ledger.receipt import Receipt


class ToolEntries:
    def __init__(self, entries: Entries, speakers: Speakers, *, delegations: bool) -> None:
        self.entries, self.speakers, self.delegations = entries, speakers, delegations
        self.outputs = Outputs()

    def is_delegation(self, call: ToolCall) -> bool:
        return call.name.endswith("delegate") and self.delegations and "task" in call.arguments

    def order(self, call: ToolCall) -> Entry:
        """The task of a call that hands one over."""
        rest = {name: value for name, value in call.arguments.items() if name not in ("task", "model")}
        worker = f"worker {call.arguments.get('model', 'auto')}"
        return self.entries.task(worker, str(call.arguments["task"]), shown_arguments(rest, 300))

    def result(self, call: ToolCall | None, result: ToolResult, seconds: float | None) -> list[Entry]:
        if not result.is_error and self.delegations and (receipt := receipt_in(result.text)):
            return [self._receipt(receipt)]
        one = shown(result.text, images=sum(not isinstance(part, Text) for part in result.content))
        took = f" {seconds:.2f} s" if seconds is not None else ""
        named = called(call, shown_below=one.diff) if call else one_line(result.name, 64)
        mark, style = ("✗", "red") if result.is_error else ("→", "")
        return [
            self.entries.text(f"{mark} {named}{took}", style),
            self._body(one, "red" if result.is_error else "dim"),
            *self._more(named, one),
        ]

    def output(self, title: str, text: str) -> list[Entry]:
        """Something looked up for the person, in part where it is long."""
        one = shown(text)
        return [self.entries.text(title), self._body(one, "dim"), *self._more(title, one)]

    def _body(self, one: Shown, style: str) -> Entry:
        console = self.entries.console

        def drawn(room: int) -> list[Row]:
            inner = max(room - INDENT, MIN_ROOM)
            head = text_rows(console, one_line(one.head, 600), inner, style) if one.head else []
            return [[Segment(" " * INDENT), *row] for row in (*head, *body_rows(console, one, inner))]

        return drawn

    def _more(self, title: str, one: Shown) -> list[Entry]:
        if not one.hidden and one.record is None:
            return []
        more = self.outputs.keep(title, one.whole, diff=one.diff)
        if not one.hidden:
            return []
        return [self.entries.text(f"  ... {one.hidden:,} more lines{more}", "dim")]

    def _receipt(self, receipt: Receipt) -> Entry:
        worker = self.speakers.of(speaker_name(receipt), receipt.model or "")
        answer, diff = answer_in(receipt).rstrip("\n"), diff_text(receipt)
        inner: list[Entry] = []
        if answer:
            lines = answer.split("\n")
            inner += self.entries.answer("\n".join(lines[:MAX_ANSWER_LINES]))
            if (cut := len(lines) - MAX_ANSWER_LINES) > 0:
                more = self.outputs.keep(f"answer of {worker.name}", answer)
                inner.append(self.entries.text(f"... {cut:,} more lines{more}", "dim"))
        if diff:
            lines = diff.split("\n")
            inner.append(self.entries.diff(lines[:DIFF_LINES]))
            if (cut := len(lines) - DIFF_LINES) > 0:
                more = self.outputs.keep(f"diff of {worker.name}", diff, diff=True)
                inner.append(self.entries.text(f"... {cut:,} more lines{more}", "dim"))
        inner += [self.entries.text(text, style) for text, style in receipt_lines(receipt)]

        def drawn(room: int) -> list[Row]:
            width = max(room - INDENT, MIN_ROOM)
            said = [self.entries.name(worker), *(row for entry in inner for row in entry(width))]
            return self.entries.barred(said, worker.style)

        return drawn


def called(call: ToolCall, *, shown_below: bool = False) -> str:
    """A call in short; `shown_below`: a diff of what it changed follows, so that its text need not stand here."""
    told = call.arguments
    if shown_below:
        told = {name: value for name, value in told.items() if isinstance(value, str) and "\n" not in value}
    return f"{one_line(call.name, 64)} {shown_arguments(told)}".rstrip()
