"""What a model without tools thinks, wants to do and answers, read from what it wrote, however untidily."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from ...types import Delta, Message, Part, Stop, Text, Thinking, ToolCall, ToolSpec
from .. import quotations as quoted
from ..assembler import new_call_id
from ..call_arguments import fitted, object_in
from ..call_names import meant
from ..reader import MAX_CALLS
from ..reader import read as read_text
from ..sanitize import sane

_LABEL = re.compile(
    r"^[ \t>#*_`-]{0,20}(?P<label>thought|action[ _]?input|action|final[ _]?answer|observation)[ \t*_`]{0,20}[:：][ \t*]*(?:`(?!`)[ \t*]*)?",
    re.IGNORECASE | re.MULTILINE,
)
_FENCED_VALUE = re.compile(
    rf"((?:{_LABEL.pattern})\s{{0,20}})(```.*?```)", re.IGNORECASE | re.MULTILINE | re.DOTALL
)
"""A fence around the value of a label, which quotes nothing."""
_NO_ACTION = {"", "none", "n/a", "no action"}
_FINISH = {
    "finish",
    "final answer",
    "final_answer",
    "finalanswer",
    "answer",
    "done",
    "respond",
    "submit",
    "return",
}
"""Actions that are the answer, where no tool has the name."""
_ANSWER_KEYS = ("answer", "final_answer", "response", "output", "result", "text", "content", "message")
_QUOTED_CHARS = 24  # of an action with its input: shorter ones stand in any text by chance
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
    said = _segments(message.text, given)
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
    if not calls and not answers and stop not in ("length", "context", "refusal"):
        answers = _finished(said, tools)
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
    answered = "finalanswer" in labels or bool(_finished(said, tools))
    return bool(labels) and not answered and not _calls(said, tools)


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


def _segments(text: str, given: Sequence[Message] = ()) -> list[tuple[_Label, str]]:
    """(label, what stands under it) in order, up to the first observation; an answer goes on to the end."""
    found: list[tuple[_Label, str]] = []
    label: _Label = ""
    start = 0
    for match in _said_labels(text, given):
        found.append((label, text[start : match.start()].strip()))
        label, start = _kind(match), match.end()
        if label in ("observation", "finalanswer"):
            break
    found.append((label, text[start:].strip()))
    return [(label, said) for label, said in found if label != "observation"]


def _said_labels(text: str, given: Sequence[Message]) -> list[re.Match[str]]:
    """The labels that are the model's own: none within a fence or a quotation beside others, none of what it was given."""
    labels = list(_LABEL.finditer(text))
    lines = _FENCED_VALUE.sub(lambda found: found[1] + " " * len(found[3]), text)
    quotations = [*quoted.fences(lines), *quoted.block_quotes(text)]
    labels = _outside(labels, quotations) or labels  # a model may put all it writes into one fence
    heard = quoted.heard(given) if labels and given else ""
    if not heard:
        return labels
    kept: list[re.Match[str]] = []
    ends = [label.start() for label in labels[1:]] + [len(text)]
    repeated = False
    for place, label in enumerate(labels):
        kind = _kind(label)
        if kind == "action":
            goes_on = place + 1 < len(labels) and _kind(labels[place + 1]) == "actioninput"
            written = quoted.squeezed(text[label.start("label") : ends[place + goes_on]]).strip("`*")
            repeated = len(written) >= _QUOTED_CHARS and written in heard
        if not (repeated and kind in ("action", "actioninput")):
            kept.append(label)
    return kept


def _outside(labels: Sequence[re.Match[str]], spans: Sequence[tuple[int, int]]) -> list[re.Match[str]]:
    rest, end = sorted(spans, reverse=True), 0
    kept: list[re.Match[str]] = []
    for label in labels:
        while rest and rest[-1][0] <= label.start():
            end = max(end, rest.pop()[1])
        if label.start() >= end:
            kept.append(label)
    return kept


def _kind(match: re.Match[str]) -> _Label:
    label: Any = re.sub(r"[ _]", "", match["label"].lower())
    return label


def _calls(said: Sequence[tuple[_Label, str]], tools: Sequence[ToolSpec]) -> list[ToolCall]:
    known = {tool.name: tool for tool in tools}
    names = {name: name for name in known}
    calls: list[ToolCall] = []
    for name, written in _actions(said):
        tool = known.get(meant(name, names) or "")
        if tool is None and (name.casefold() in _NO_ACTION | _FINISH or not written):
            continue  # prose may have a line that begins with "Action:"
        if len(calls) == MAX_CALLS:
            break
        arguments, raw = _arguments(written, tool)
        name = tool.name if tool else sane(name[:100])
        calls.append(ToolCall(id=new_call_id(), name=name, arguments=arguments, raw=raw))
    return calls


def _finished(said: Sequence[tuple[_Label, str]], tools: Sequence[ToolSpec]) -> list[str]:
    """The answer of an action that is one: `finish` with {"answer": ...}, or with words."""
    names = {tool.name: tool.name for tool in tools}
    for name, written in _actions(said):
        inside = re.fullmatch(r"(finish|answer|final[ _]?answer)\s*[\[(](.*)[\])]", name, re.IGNORECASE)
        if inside:  # Finish[the answer], as in the paper
            name, written = inside[1], written or inside[2]
        if name.casefold() not in _FINISH or meant(name, names):
            continue
        text = _unfenced(written)
        held = object_in(text, whole=False) if text.startswith("{") else None
        found: Any = text if held is None else next((held[key] for key in _ANSWER_KEYS if key in held), held)
        if found is held and held is not None and len(held) == 1:
            (found,) = held.values()
        answer = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)
        if (answer := sane(answer.strip())) and answer not in ("{}", "null"):
            return [answer]
    return []


def _actions(said: Sequence[tuple[_Label, str]]) -> Iterator[tuple[str, str]]:
    """(name, what stands as its input) of each action."""
    for (label, block), (next_label, given) in zip(said, [*said[1:], ("", "")], strict=True):
        if label == "action":
            name, written = (block, given) if next_label == "actioninput" else _inline(block)
            first = next((line for line in name.splitlines() if line.strip(" \t`")), "")
            bare = first.strip().strip("`*\"' \t").removesuffix("()").strip("`*\"' \t")
            yield bare.removeprefix("[").removesuffix("]") if bare.startswith("[") else bare, written


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
    if text.startswith(("{", '"{')):
        found = object_in(text, whole=False)
        return (
            ({}, written) if found is None else (sane(fitted(found, tool.parameters if tool else {})), None)
        )
    names = list((tool.parameters.get("properties") or {}) if tool else {})
    needed = list((tool.parameters.get("required") or ()) if tool else ())
    only = needed[0] if len(needed) == 1 else names[0] if len(names) == 1 else None
    if not only:
        return {}, written
    return sane(fitted({only: text.strip("\"'")}, tool.parameters if tool else {})), None


def _unfenced(text: str) -> str:
    if text.startswith("```"):
        text = text.partition("\n")[2]
    return text.partition("```")[0].strip()
