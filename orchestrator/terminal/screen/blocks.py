"""Markdown as it streams in, cut into blocks: each is given as soon as it is whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

CODE_LINES = 20
"""A longer code block is given in pieces of this many lines, so that it appears while it is written."""
_FENCE = re.compile(r"( *)(`{3,}|~{3,})([^`]*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Prose (a paragraph, a list, a table, a heading) or code, without its fences."""

    text: str
    language: str | None = None  # None: prose; "" is code that does not say
    begins: bool = True  # False: a later piece of the code block before it


@dataclass(slots=True)
class Blocks:
    """Feed it fragments; it returns blocks that can no longer change."""

    _line: str = ""  # the line that has not ended
    _lines: list[str] = field(default_factory=list[str])  # of the block under way
    _fence: tuple[str, str, str] | None = None  # indentation, mark and language of the code block under way
    _begun: bool = False  # a piece of the code block under way was given

    def feed(self, text: str) -> list[Block]:
        *whole, self._line = (self._line + text).split("\n")
        return [block for line in whole for block in self._take(line)]

    def end(self) -> list[Block]:
        """What is left, when nothing more comes."""
        line, self._line = self._line, ""
        given = self._take(line) if line else []
        given += self._given()
        self._fence = None
        return given

    @property
    def open(self) -> Block | None:
        """The block under way, as far as it has come."""
        lines = [*self._lines, self._line] if self._line else self._lines
        if self._fence is not None:
            return Block(text="\n".join(lines), language=self._fence[2], begins=not self._begun)
        return Block(text="\n".join(lines)) if lines else None

    def _take(self, line: str) -> list[Block]:
        line = line.removesuffix("\r")
        fence = _FENCE.match(line)
        if self._fence is None:
            if fence:
                given = self._given()
                self._fence, self._begun = (fence[1], fence[2], fence[3].strip()), False
                return given
            if not line.strip():
                return self._given()
            self._lines.append(line)
            return []
        indent, mark, _ = self._fence
        if fence and fence[2].startswith(mark) and not fence[3].strip():
            given = self._given()
            self._fence = None
            return given
        self._lines.append(_without(line, indent))
        return self._given() if len(self._lines) >= CODE_LINES else []

    def _given(self) -> list[Block]:
        lines, self._lines = self._lines, []
        if self._fence is None:
            return [Block(text="\n".join(lines))] if lines else []
        if not lines:
            return []
        begins, self._begun = not self._begun, True
        return [Block(text="\n".join(lines), language=self._fence[2], begins=begins)]


def _without(line: str, indent: str) -> str:
    """A line of code without the indentation of its fence: in a list it is not part of the code."""
    return line[min(len(indent), len(line) - len(line.lstrip(" "))) :]
