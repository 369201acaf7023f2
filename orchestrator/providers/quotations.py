"""What of an answer is thought or quoted, and not said: thoughts, code, quotations, and what was read before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..types import Message, Text, ToolResult

Span = tuple[int, int]

_THOUGHT = re.compile(
    r"<(?P<tag>think|thinking|thought|thoughts|reasoning|reflection|seed:think|analysis|scratchpad)>.*?(?:</(?P=tag)>|\Z)"
    r"|\[THINK\].*?(?:\[/THINK\]|\Z)"
    r"|◁think▷.*?(?:◁/think▷|\Z)"
    r"|<\|START_THINKING\|>.*?(?:<\|END_THINKING\|>|\Z)"
    r"|<\|channel\|>\s*analysis\s*<\|message\|>.*?(?:<\|end\|>|(?=<\|start\|>|<\|channel\|>)|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_CLOSED_ALONE = re.compile(r"\A.*?(?:</think(?:ing)?>|\[/THINK\]|◁/think▷)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(
    r"^[ \t>*-]{0,12}(?P<mark>`{3,}|~{3,})[^\n]*\n.*?(?:^[ \t>]{0,12}(?P=mark)[`~]*[ \t]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
_INLINE = re.compile(r"(?<!`)(?P<ticks>`{1,2})(?!`)[^\n]+?(?<!`)(?P=ticks)(?!`)")
_BLOCK = re.compile(r"^[ \t]{0,3}>.*$", re.MULTILINE)
_INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:(?: {4}|\t)[^\n]*(?:\n|\Z))+")
_TABLE = re.compile(r"^[ \t]{0,12}\|(?![^|\n]*\|>).*\|[ \t]*$", re.MULTILINE)
_TAGGED = tuple(
    (f"<{tag}>", f"</{tag}>")
    for tag in ("pre", "code", "blockquote", "q", "quote", "document", "example", "file", "source")
)
_PAIRS = (("“", "”"), ("„", "“"), ("«", "»"), ("<!--", "-->"), *_TAGGED, ('"""', '"""'))


def thoughts(text: str) -> list[Span]:
    """Where it thinks. A closing mark alone ends thoughts that began before the answer did."""
    found = [match.span() for match in _THOUGHT.finditer(text)]
    opened = found[0][0] if found else len(text)
    if (alone := _CLOSED_ALONE.match(text)) and alone.end() <= opened:
        found.insert(0, alone.span())
    return found


def fences(text: str) -> list[Span]:
    return [match.span() for match in _FENCE.finditer(text)]


def block_quotes(text: str) -> list[Span]:
    return [match.span() for match in _BLOCK.finditer(text)]


def quotations(text: str) -> list[Span]:
    """Where it quotes without a fence: inline code, block quotes, indented code, quotation marks."""
    spans = [match.span() for kind in (_INLINE, _BLOCK, _INDENTED, _TABLE) for match in kind.finditer(text)]
    return [*spans, *(span for opening, closing in _PAIRS for span in _between(text, opening, closing))]


def _between(text: str, opening: str, closing: str) -> Iterator[Span]:
    """By searching forward once: an expression would look for the end anew from each beginning without one."""
    start = text.find(opening)
    while start >= 0 and (end := text.find(closing, start + len(opening))) >= 0:
        yield start, end + len(closing)
        start = text.find(opening, end + len(closing))


def without(text: str, spans: Iterable[Span]) -> str:
    """`text` with these places blank, so that every other place stays where it was."""
    out = list(text)
    for start, end in spans:
        out[start:end] = [c if c == "\n" else "\0" for c in text[start:end]]
    return "".join(out)


def heard(messages: Iterable[Message]) -> str:
    """What the model was given to read, without blanks: what stands in it may come back as a quotation."""
    pieces = [
        inner.text
        for message in messages
        if message.role != "assistant"
        for part in message.parts
        for inner in (part.content if isinstance(part, ToolResult) else (part,))
        if isinstance(inner, Text)
    ]
    return squeezed("\n".join(pieces))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)
