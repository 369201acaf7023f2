"""What a model without tools thinks, wants to do and answers, read from what it wrote, however untidily."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from ...types import Delta, Message, Part, Stop, Text, Thinking, ToolCall, ToolSpec
from ..assembler import new_call_id
from ..reader import MAX_CALLS
from ..reader import read as read_text
from ..sanitize import sane

_LABEL = re.compile(
    r"^[ \t>#*_`-]{0,20}(?P<label>thought|action[ _]?input|action|final[ _]?answer|observation)[ \t*_`]{0,20}[:：][ \t*`]*",
    re.IGNORECASE | re.MULTILINE,
)
_NO_ACTION = {"", "none", "finish", "final answer", "n/a", "no action"}
_DECIDED_CHARS = 60  # of a line: no label begins later
_BLANKS_CHARS = 1000  # of a label with what separates it from its words
MAX_ARGUMENT_CHARS = 1_000_000
THOUGHT = {"written": "thought"}
"""The seal of thinking that stood in the text: it goes back as text."""

_Label = Literal["", "thought", "action", "actioninput", "finalanswer", "observation"]


def read(
    message: Message, tools: Sequence[ToolSpec], *, stop: Stop = "end", given: Sequence[Message] = ()
) -> Message:
    """`message` with its thoughts, then its calls where it acts, else its answer.

    What it claims to have observed, and everything after, is left out: nothing had been done yet.
    """
    said = _segments(message.text)
    calls = [] if stop in ("length", "context", "refusal") else _calls(said, tools)
    thoughts = "\n".join(text for label, text in said if label == "thought" and text)
    if not calls and not thoughts and not any(label for label, _ in said):
        plain = read_text(message.text, tools, stop=stop, given=given)
        if not plain.calls and plain.text == message.text:
            return message
        others = [part for part in message.parts if not isinstance(part, Text)]
        thoughts_in_text = [Thinking(text=thought) for thought in plain.thoughts]
        said_plainly = [Text(text=plain.text)] if plain.text else []
        return replace(message, parts=(*others, *thoughts_in_text, *said_plainly, *plain.calls))
    spoken = [text for label, text in said if text and label == ""]
    answers = [] if calls else [text for label, text in said if text and label == "finalanswer"]
    if not calls and not answers and not spoken:
        spoken, thoughts = [thoughts], ""  # all it says it says as a thought
    parts: list[Part] = [part for part in message.parts if not isinstance(part, Text)]
    if thoughts:
        parts.append(Thinking(text=thoughts, seal=THOUGHT))
    if text := "\n".join([*spoken, *answers]):
        parts.append(Text(text=text))
    return replace(message, parts=(*parts, *calls))


def stray(text: str, tools: Sequence[ToolSpec]) -> bool:
    """Whether it thinks aloud, or begins to act, and neither acts nor answers: then asking again helps."""
    said = _segments(text)
    labels = {label for label, _ in said} - {""}
    return bool(labels) and "finalanswer" not in labels and not _calls(said, tools)


class Eyes:
    """The stream of one answer as a person wants to see it: thoughts as thinking, no actions, no labels."""

    def __init__(self) -> None:
        self._label: str = ""
        self._held = ""  # of a line that may yet begin with a label
        self._inside = False  # a line whose beginning was read

    def see(self, fragment: str, *, last: bool = False) -> Iterator[Delta]:
        self._held += fragment
        while self._held:
            if not self._inside and self._label != "finalanswer":
                found = _LABEL.match(self._held)
                if found and not last and found.end() == len(self._held) < _BLANKS_CHARS:
                    return  # blanks after the label may follow
                if found:
                    self._label, self._held = _kind(found), self._held[found.end() :]
                elif not last and "\n" not in self._held and len(self._held) < _DECIDED_CHARS:
                    return
            line, newline, rest = self._held.partition("\n")
            self._inside, self._held = not newline, rest
            if self._label in ("", "thought", "finalanswer"):
                yield Delta(text=line + newline, thinking=self._label == "thought")
            if self._label == "observation":
                self._held = ""


def _segments(text: str) -> list[tuple[_Label, str]]:
    """(label, what stands under it) in order, up to the first observation; an answer goes on to the end."""
    found: list[tuple[_Label, str]] = []
    label: _Label = ""
    start = 0
    for match in _LABEL.finditer(text):
        found.append((label, text[start : match.start()].strip()))
        label, start = _kind(match), match.end()
        if label in ("observation", "finalanswer"):
            break
    found.append((label, text[start:].strip()))
    return [(label, said) for label, said in found if label != "observation"]


def _kind(match: re.Match[str]) -> _Label:
    label: Any = re.sub(r"[ _]", "", match["label"].lower())
    return label


def _calls(said: Sequence[tuple[_Label, str]], tools: Sequence[ToolSpec]) -> list[ToolCall]:
    known = {tool.name.casefold(): tool for tool in tools}
    calls: list[ToolCall] = []
    for (label, block), (next_label, given) in zip(said, [*said[1:], ("", "")], strict=True):
        if label != "action" or len(calls) == MAX_CALLS:
            continue
        name, written = (block, given) if next_label == "actioninput" else _inline(block)
        name = re.sub(r"[`*\"'\[\]]", "", name.partition("\n")[0]).strip().removesuffix("()")
        tool = known.get(name.casefold())
        if name.casefold() in _NO_ACTION or (tool is None and not written):
            continue  # prose may have a line that begins with "Action:"
        arguments, raw = _arguments(written, tool)
        name = tool.name if tool else sane(name[:100])
        calls.append(ToolCall(id=new_call_id(), name=name, arguments=arguments, raw=raw))
    return calls


def _inline(block: str) -> tuple[str, str]:
    """`name {"a": 1}` and `name({"a": 1})`, as some models write it in one line."""
    match = re.match(r"([\w.:/-]+)\s{0,20}\(?\s{0,20}(\{.*\})", block, re.DOTALL)
    return (match[1], match[2]) if match else (block, "")


def _arguments(written: str, tool: ToolSpec | None) -> tuple[dict[str, Any], str | None]:
    """(arguments, None), or ({}, what was written) where that cannot be read.

    Forgiven are fences, words after the object, line ends in strings, Python's way of writing it, and a bare
    value where the tool needs but one.
    """
    text = _unfenced(written[:MAX_ARGUMENT_CHARS])
    if not text or text.casefold() in ("none", "null"):
        return {}, None
    if text.startswith("{"):
        try:
            return sane(json.JSONDecoder(strict=False).raw_decode(text)[0]), None
        except (ValueError, RecursionError):
            pass
        try:
            value = ast.literal_eval(text)
            return (sane(value), None) if isinstance(value, dict) else ({}, written)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return {}, written
    names = list((tool.parameters.get("properties") or {}) if tool else {})
    needed = list((tool.parameters.get("required") or ()) if tool else ())
    only = needed[0] if len(needed) == 1 else names[0] if len(names) == 1 else None
    return ({only: sane(text.strip("\"'"))}, None) if only else ({}, written)


def _unfenced(text: str) -> str:
    if text.startswith("```"):
        text = text.partition("\n")[2]
    return text.partition("```")[0].strip()
