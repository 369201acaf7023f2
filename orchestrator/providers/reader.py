"""The one reader of what models say: which of it is thought, which is said, which is a call, and what only looks like one.

A call is made only where it is certain that the model meant it. In text that was thought, quoted or cut off, and in any
text of a model that makes its calls by the vendor's own way, nothing is a call.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ..types import Completion, Message, Part, Request, Stop, Text, Thinking, ToolCall, ToolSpec
from . import quotations as quoted
from .call_arguments import fitted, object_in, value_in
from .call_marks import LEFTOVERS, LINE_AND_OBJECT, LOOKS_MARKED, Written, calls_in, marked, pythonic, values
from .call_names import meant
from .portable_history import wire_name
from .sanitize import sane

MAX_CALLS = 32
MAX_LEAD_CHARS = 300  # said before a fence that holds a call: more is an explanation
MAX_JSON_LINES = 8  # that are tried as the beginning of the rest
_PRINTED = "printed_"  # begins the ids of calls that were read from text
_CUT: tuple[Stop, ...] = ("length", "context", "refusal")
_OPENING, _CLOSING = tuple("\"'„‚“‘«»(["), tuple("\"'“”‘’»«)]")
_QUOTED_CHARS = 12  # of a call: shorter ones stand in any text by chance

_JSON_LINE = re.compile(r"\n[ \t]*(?=[{\[])")
_EXAMPLE = re.compile(
    r"\b(?:for (?:example|instance)|e\.g\.|an? (?:example|format|template)|would|could|looks? like|like this|in th(?:is|e) (?:form|format)"
    r"|says|holds|contains)\b[^\n]{0,80}\Z",
    re.IGNORECASE,
)
"""The last words before a call that is only shown."""

NUDGE = (
    "Nothing was called: {why}. If you meant to call a tool, make the call itself now, whole and without a fence; "
    "otherwise answer."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a text says. `doubts`: sentences about what looked like a call and is none."""

    text: str
    thoughts: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    doubts: tuple[str, ...] = ()
    meant: bool = False
    """A doubt is about something the model may have meant to call: telling it helps."""


def understood(request: Request, done: Completion, *, native: bool) -> Completion:
    """`done`, read with care. `native`: this model is known to make its calls by the vendor's way.

    A model that has done so in this conversation is known too.
    """
    message = done.message
    if message.tool_calls:
        if done.stop in _CUT:
            return _without_calls(done)
        calls = tuple(_repaired(part, request.tools) for part in message.parts)
        return done if calls == message.parts else replace(done, message=replace(message, parts=calls))
    made_before = any(
        not call.id.startswith(_PRINTED)
        for earlier in request.messages
        if earlier.origin == message.origin
        for call in earlier.tool_calls
    )
    said = read(
        message.text,
        request.tools,
        stop=done.stop,
        native=native or made_before,
        given=request.messages,
        thinks=not native,
    )
    if said.text != message.text or said.calls:
        message = replace(message, parts=tuple(_parts(message, said)))
    stop: Stop = "tool" if said.calls and done.stop == "end" else done.stop
    nudge = NUDGE.format(why=said.doubts[0]) if said.doubts and said.meant else ""
    return replace(done, message=message, stop=stop, doubts=said.doubts, nudge=nudge)


def read(
    text: str,
    tools: Sequence[ToolSpec],
    *,
    stop: Stop = "end",
    native: bool = False,
    given: Iterable[Message] = (),
    thinks: bool = True,
) -> Said:
    """What `text` says, to a model that was offered `tools`.

    `given`: the conversation so far; a call that stands in what the model was given is a quotation. `thinks`: marks of
    thoughts in the text are meant as such.
    """
    fences = quoted.fences(text)
    thought = [span for span in quoted.thoughts(text) if not _within(span[0], fences)] if thinks else []
    words = quoted.without(text, thought)
    thoughts = tuple(t for t in (_bare_thought(text[start:end]) for start, end in thought) if t)
    plain = words.replace("\0", "").strip() if thought else text
    if not tools:
        return Said(text=plain, thoughts=thoughts)
    names = {wire_name(tool.name): tool.name for tool in tools}
    found, rest, example = _found(words, fences, names)
    if not found:
        looks = LOOKS_MARKED.search(quoted.without(words, [*fences, *quoted.quotations(words)]))
        doubts = ("the answer holds marks of a call that cannot be read as one",) if looks else ()
        return Said(text=plain, thoughts=thoughts, doubts=doubts, meant=bool(looks) and stop == "end")
    shown = ", ".join(dict.fromkeys(meant(name, names) or name[:60] for name, _ in found[:3]))
    if stop in _CUT:
        return Said(text=plain, thoughts=thoughts, doubts=(f"a call of {shown} was cut off",), meant=True)
    if native:
        why = f"the answer shows a call of {shown} as text"
        return Said(text=plain, thoughts=thoughts, doubts=(why,), meant=not _is_quoted(found, words, given))
    if _is_quoted(found, words, given):
        why = f"a call of {shown} is quoted from what was read"
        return Said(text=plain, thoughts=thoughts, doubts=(why,))
    if example:
        why = f"a call of {shown} is shown as an example"
        return Said(text=plain, thoughts=thoughts, doubts=(why,), meant=True)
    calls = [_call(name, arguments, names, tools) for name, arguments in found]
    known = tuple(call for call in calls if call is not None)[:MAX_CALLS]
    if len(known) < len(calls):
        strange = next(name for (name, _), call in zip(found, calls, strict=True) if call is None)
        why = f"there is no tool {strange[:60]!r}, or its arguments cannot be read"
        return Said(text=plain, thoughts=thoughts, doubts=(why,), meant=True)
    return Said(text=rest, thoughts=thoughts, calls=known)


def _found(
    words: str, fences: Sequence[quoted.Span], names: Mapping[str, str]
) -> tuple[list[Written], str, bool]:
    """(the calls written in `words`, what else is said, whether that calls them an example); quotations hold none."""
    body = words.replace("\0", "").strip()
    if whole := _whole(LEFTOVERS.sub("", body).strip(), names):
        return whole, "", False
    quotations = [*fences, *quoted.quotations(words)]
    calls: list[Written] = []
    taken: list[quoted.Span] = []
    for match, written in marked(words):
        if not _within(match.start(), quotations) and not _in_marks(words, *match.span()):
            calls += written
            taken.append(match.span())
    if calls:
        return calls, LEFTOVERS.sub("", quoted.without(words, taken).replace("\0", "")).strip(), False
    if len(fences) == 1 and not words[fences[0][1] :].strip("\0 \t\n"):
        start, end = fences[0]
        lead = words[:start].replace("\0", "").strip()
        inner = words[start:end].partition("\n")[2].rstrip().rstrip("`~").strip()
        if len(lead) <= MAX_LEAD_CHARS:
            in_fence = _whole(inner, names) or [call for _, some in marked(inner) for call in some]
            if in_fence and all(meant(name, names) for name, _ in in_fence):
                return in_fence, lead, _EXAMPLE.search(lead) is not None
    for begun in islice(_JSON_LINE.finditer(words, 0, MAX_LEAD_CHARS), MAX_JSON_LINES):
        if not _within(begun.end() - 1, quotations):
            lead, rest = (
                part.replace("\0", "").strip() for part in (words[: begun.end()], words[begun.end() :])
            )
            if after := _whole(rest, names):
                return after, lead, _EXAMPLE.search(lead) is not None
    return [], "", False


def _in_marks(words: str, start: int, end: int) -> bool:
    """Whether quotation marks stand right around a place, or it stands in the middle of a sentence."""
    before, after = words[:start].rpartition("\n")[2], words[end:].partition("\n")[0]
    if before[-1:] in _OPENING and after[:1] in _CLOSING:
        return True
    return bool(re.search(r"\w\W*\Z", before)) and re.match(r"[ ,;]+\w", after) is not None


def _whole(body: str, names: Mapping[str, str]) -> list[Written]:
    """The calls that a text consists of: JSON, or Python."""
    if body[:1] in ("{", "["):
        calls = [call for piece in values(body) for call in calls_in(value_in(piece)) or [("", None)]]
        if calls and all(meant(name, names) for name, _ in calls):
            return calls
    if (line := LINE_AND_OBJECT.fullmatch(body)) and meant(line[1], names) and object_in(line[2]):
        return [(line[1], line[2])]
    if (
        body.endswith((")", "]"))
        and (calls := pythonic(body))
        and all(meant(name, names) for name, _ in calls)
    ):
        return calls
    return []


def _call(
    name: str, arguments: object, names: Mapping[str, str], tools: Sequence[ToolSpec]
) -> ToolCall | None:
    tool, given = meant(name, names), object_in(arguments)
    if tool is None or given is None:
        return None
    spec = next(one for one in tools if one.name == tool)
    id = f"{_PRINTED}{secrets.token_hex(8)}"
    return ToolCall(id=id, name=tool, arguments=sane(fitted(given, spec.parameters)))


def _repaired(part: Part, tools: Sequence[ToolSpec]) -> Part:
    """A call by the vendor's way whose name is decorated, or whose arguments are JSON by the meaning alone."""
    if not isinstance(part, ToolCall):
        return part
    names = {wire_name(tool.name): tool.name for tool in tools}
    name = part.name if part.name in names.values() else meant(part.name, names) or part.name
    given = part.arguments if part.raw is None else object_in(part.raw)
    if given is None:
        return replace(part, name=name)
    spec = next((tool for tool in tools if tool.name == name), None)
    arguments = sane(fitted(given, spec.parameters) if spec else dict(given))
    if (name, arguments, None) == (part.name, part.arguments, part.raw):
        return part
    return replace(part, name=name, arguments=arguments, raw=None)


def _without_calls(done: Completion) -> Completion:
    """An answer that was cut off among its calls: none of them is certain to be whole."""
    shown = ", ".join(dict.fromkeys(call.name for call in done.message.tool_calls))
    why = f"a call of {shown} was cut off"
    parts = tuple(part for part in done.message.parts if not isinstance(part, ToolCall))
    message = replace(done.message, parts=parts)
    return replace(done, message=message, doubts=(why,), nudge=NUDGE.format(why=why))


def _is_quoted(found: Sequence[Written], words: str, given: Iterable[Message]) -> bool:
    """Whether a call's arguments stand, word for word, in what the model was given to read."""
    heard = quoted.heard(given)
    if not heard:
        return False
    said = quoted.squeezed(words.replace("\0", ""))
    return any(
        len(piece) >= _QUOTED_CHARS and piece in heard and piece in said
        for piece in (_squeezed_object(said, name) for name, _ in found)
    )


def _squeezed_object(said: str, name: str) -> str:
    """From the name of the call to the end of its arguments, without blanks."""
    start = said.find(quoted.squeezed(name))
    if start < 0:
        return ""
    end = max(said.find(mark, start) for mark in ("}", ")", "</"))
    return said[start:] if end < 0 else said[start : end + 1]


def _parts(message: Message, said: Said) -> Iterable[Part]:
    texts = [part for part in message.parts if isinstance(part, Text)]
    yield from (part for part in message.parts if not isinstance(part, Text))
    yield from (Thinking(text=thought) for thought in said.thoughts)
    if said.text:
        yield Text(text=said.text, seal=texts[0].seal if len(texts) == 1 else None)
    yield from said.calls


def _bare_thought(text: str) -> str:
    for mark in ("<|message|>", ">", "]", "▷"):
        head, found, rest = text.partition(mark)
        if found and len(head) < 40 and head.lstrip().startswith(("<", "[", "◁")):
            text = rest
            break
    for mark in ("</", "[/", "◁/", "<|END", "<|end"):
        head, found, tail = text.rpartition(mark)
        if found and len(tail) < 30:
            text = head
            break
    return text.strip()


def _within(place: int, spans: Iterable[quoted.Span]) -> bool:
    return any(start <= place < end for start, end in spans)
