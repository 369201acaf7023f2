"""Things that are said, as rows for whatever room there is: prose, code, diffs, tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.segment import Segment
from rich.style import Style

from ...sanitize import one_line
from .blocks import Block, Blocks
from .lines import Speaker
from .rows import BAR, Row, code_rows, prose_rows, text_rows, theme_of
from .tool_view import diff_rows

Entry = Callable[[int], list[Row]]
"""Something that was said, as rows for so many cells."""
INDENT = 2
TASK, STEP = 600, 160
"""Characters of a task that a model was given, and of a step of a pattern, which mostly repeats what stands above."""


class Prose:
    """A block of rendered Markdown."""

    def __init__(self, console: Console, text: str) -> None:
        self.console, self.text = console, text

    def __call__(self, room: int) -> list[Row]:
        return prose_rows(self.console, self.text, room)


class Code:
    """A block of code: written from the first column, so that it is copied as it is."""

    def __init__(self, console: Console, block: Block, theme: str) -> None:
        self.console, self.block, self.theme = console, block, theme

    def __call__(self, room: int) -> list[Row]:
        return code_rows(self.console, self.block, self.theme)


def kind_of(entry: Entry) -> str:
    """Code, a block of prose, or another line: two lines stand together, anything else apart."""
    return "code" if isinstance(entry, Code) else "block" if isinstance(entry, Prose) else "line"


class Entries:
    """Makes them for one console, in the colours of one theme."""

    def __init__(self, console: Console, theme: str) -> None:
        self.console, self.theme = console, theme_of(theme)

    def text(self, text: str, style: str = "") -> Entry:
        return lambda room: text_rows(self.console, text, room, style)

    def thought(self, text: str) -> Entry:
        return self.text(text, "dim italic")

    def diff(self, lines: Sequence[str]) -> Entry:
        return lambda room: diff_rows(self.console, lines, room)

    def block(self, block: Block) -> Entry:
        if block.language is not None:
            return Code(self.console, block, self.theme)
        return Prose(self.console, block.text)

    def answer(self, text: str) -> list[Entry]:
        blocks = Blocks()
        return [self.block(block) for block in (*blocks.feed(text), *blocks.end())]

    def task(self, delegatee: str, task: str, details: str = "", *, limit: int = TASK) -> Entry:
        def drawn(room: int) -> list[Row]:
            said = f"⇒ {one_line(delegatee, 80)}: {one_line(task, limit)}"
            head = text_rows(self.console, said, room, "bold")
            return head + (text_rows(self.console, details, room, "dim") if details else [])

        return drawn

    def style(self, name: str) -> Style:
        return self.console.get_style(name or "none")

    def name(self, speaker: Speaker) -> Row:
        return [Segment(speaker.name, self.style(speaker.style) + Style(bold=True))]

    def barred(self, found: Sequence[Row], style: str, indent: str = "") -> list[Row]:
        """Rows behind the bar of whoever says them."""
        colour = self.style(style)
        return [[Segment(f"{indent}{BAR} " if row else f"{indent}{BAR}", colour), *row] for row in found]

    def unbarred(self, found: Sequence[Row], style: str, indent: str) -> list[Row]:
        """Rows as they are; one that looks like ours gets a bar, so that no model speaks in another's name."""
        return [self.barred([row], style, indent)[0] if _looks_barred(row) else row for row in found]


def _looks_barred(row: Row) -> bool:
    return "".join(piece.text for piece in row).lstrip().startswith(BAR)
