"""What is said, as rows of styled text: rendered Markdown, code, diffs, tables. Controls are shown, never obeyed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from ...sanitize import visible
from .blocks import Block

if TYPE_CHECKING:
    from rich.markdown import Markdown

Row = list[Segment]
BAR = "▌"
MIN_ROOM = 16
"""Cells for what is said, however deep it stands."""
_STYLES = {
    "markdown.code": "bold",  # no backgrounds: they are wrong on a light screen or on a dark one
    "markdown.h1": "bold underline",
    "markdown.h2": "bold",
    "markdown.h3": "bold",
    "markdown.h4": "italic",
    "markdown.h7": "dim",
    "markdown.block_quote": "italic",
    "markdown.item.bullet": "bold",
    "markdown.item.number": "bold",
    "markdown.hr": "dim",
    "markdown.link": "underline",
    "markdown.link_url": "underline",
    "markdown.table.border": "dim",
    "markdown.table.header": "bold",
}
_READABLE = {
    "ansi_light": {
        "cyan": "color(30)",
        "magenta": "color(127)",
        "green": "color(28)",
        "yellow": "color(94)",
        "red": "color(160)",
        "bright_red": "color(88)",
        "bright_cyan": "color(24)",
        "bright_magenta": "color(90)",
    },
    "ansi_dark": {"blue": "bright_blue", "red": "bright_red", "bright_red": "color(208)"},
}
"""What the colours' names mean where many terminals' own are too bright or too dark."""


def text_rows(console: Console, text: str, room: int, style: str = "") -> list[Row]:
    """Plain text, wrapped."""
    return rows(console, Text(visible(text).expandtabs(4), style=style), room)


def prose_rows(console: Console, text: str, room: int) -> list[Row]:
    """Markdown without its marks."""
    return rows(console, _markdown(visible(text)), room)


def code_rows(console: Console, block: Block, theme: str) -> list[Row]:
    """One row for each line of code, unwrapped: what is copied is what was written."""
    from rich.syntax import Syntax

    code = visible(block.text)
    colours = "xcode" if theme == "ansi_light" else theme  # yellow cannot be read on white
    syntax = Syntax("", block.language.split()[0] if block.language else "text", theme=colours)
    shown = syntax.highlight(code)
    shown.rstrip()
    found: list[Row] = []
    for line in shown.split("\n", allow_blank=True):
        found.append([_plain(one) for one in line.render(console) if one.text])
    return found[: code.count("\n") + 1]


def rows(console: Console, renderable: RenderableType, room: int) -> list[Row]:
    """Any renderable, without the blanks at the ends of its rows and the empty rows around it."""
    options = console.options.update(width=max(room, MIN_ROOM))
    found = [_trimmed(row) for row in console.render_lines(renderable, options, pad=False)]
    while found and not found[0]:
        found.pop(0)
    while found and not found[-1]:
        found.pop()
    return found


def cut(row: Sequence[Segment], room: int) -> Row:
    """The row in at most `room` cells."""
    return _trimmed(Segment.adjust_line_length(list(row), room, pad=False))


def beside(columns: Sequence[Sequence[Row]], width: int, gap: int = 2) -> list[Row]:
    """Rows of several columns side by side, each `width` cells wide."""
    height = max(map(len, columns), default=0)
    space = Segment(" " * gap)
    found: list[Row] = []
    for at in range(height):
        row: Row = []
        for column in columns:
            cells = list(column[at]) if at < len(column) else []
            row += [*Segment.adjust_line_length(cells, width), space]
        found.append(_trimmed(row))
    return found


def theme_of(setting: str) -> str:
    """The colours of code: for the background that is set, or that the terminal tells; dark where nobody does."""
    if setting == "auto":
        background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
        setting = "light" if background in ("7", "15") else "dark"
    return f"ansi_{setting}"


def themed(console: Console, setting: str) -> Console:
    """`console` with our styles for Markdown, and colours that can be read on the background of that setting."""
    from rich.theme import Theme

    console.push_theme(Theme({**_STYLES, **_READABLE[theme_of(setting)]}))
    return console


def _markdown(text: str) -> Markdown:
    return _class()(text, hyperlinks=False)


@cache
def _class() -> Any:
    """Imported with the first answer: the parser of Markdown is not there to list commands."""
    from rich.markdown import Heading, Markdown

    class LeftHeading(Heading):
        LEVEL_ALIGN: ClassVar = dict.fromkeys(Heading.LEVEL_ALIGN, "left")

    def parsed(self: Any, markup: str, **more: Any) -> None:
        Markdown.__init__(self, markup, **more)
        for token in self.parsed:  # models mean their line breaks
            for child in token.children or ():
                child.type = "hardbreak" if child.type == "softbreak" else child.type

    Ours = type(
        "Ours",
        (Markdown,),
        {"__init__": parsed, "elements": {**Markdown.elements, "heading_open": LeftHeading}},
    )
    return Ours


def _plain(segment: Segment) -> Segment:
    """Without what a reference such as &#8238; may have brought in, and without a background."""
    style = segment.style
    if style is not None and style.bgcolor is not None:
        style = Style.chain(style, Style(bgcolor="default"))
    return Segment(visible(segment.text.replace("\n", "")), style)


def _trimmed(row: Iterable[Segment]) -> Row:
    kept = [_plain(segment) for segment in row if not segment.control]
    while kept and not kept[-1].text.strip(" "):
        kept.pop()
    if kept:
        kept[-1] = Segment(kept[-1].text.rstrip(" "), kept[-1].style)
    return kept
