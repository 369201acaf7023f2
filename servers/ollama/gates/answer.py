"""From a worker's answer to a candidate: the files as they would be, or a sentence saying why there is none.

Models wrap, chat and miscount. What cannot be read in exactly one way is refused, never guessed.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from ...output import ToolError
from ...source.encoding import Text
from ...source.patch.apply import patched
from ...source.patch.unified_diff import parse
from .documents import Document
from .repair import is_whole, place_of, spliced
from .whole_file import like, plain_json, without_talk


class BadAnswer(Exception):
    """The answer holds no usable candidate. The sentence is shown to the next rung and to the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What would be accepted if its gate passes. Nothing of it has touched the disk."""

    answer: str
    data: object = None
    """The parsed answer, when a schema was asked for."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """The new text of every file that changes, by path."""


def answered(text: str, *, schema: bool) -> Candidate:
    """The candidate of a task that writes nothing."""
    text = without_thoughts(text).strip()
    if not text:
        raise BadAnswer("the answer is empty")
    if not schema:
        return Candidate(answer=text)
    return Candidate(answer=text, data=parsed_json(text))


def rewritten(text: str, path: str, before: str | None, *, schema: bool = False) -> Candidate:
    """The candidate of a task that writes one whole file; `before` is what it holds now. With `schema` it is JSON."""
    content = _whole(path, without_thoughts(text))
    if not content.strip():
        raise BadAnswer("the answer holds no content for the file")
    content = content if content.endswith("\n") else content + "\n"
    if before is not None:
        content = like(before, content)
    if path.lower().endswith(".json"):
        content = _mended_json(content)
    if content == before:
        raise BadAnswer("the answer leaves the file as it is")
    return Candidate(answer=text, data=parsed_json(content) if schema else None, files={path: content})


def edited(text: str, inputs: Mapping[str, Document], main: str | None = None) -> Candidate:
    """The candidate of a task that changes the files it was given, in whatever form the answer has.

    Exact replacements, a unified diff, whole files or whole functions in code blocks; `main` is the file meant by a
    block that names none.
    """
    text = without_thoughts(text)
    now = {path: source.text for path, source in inputs.items()}
    blocks = _blocks(text, tuple(now)) or _json_edits(text)
    own = [block for block in blocks if not _is_example(block, now)]
    if blocks and not own:
        raise BadAnswer("the answer repeats the example of our instructions for SEARCH/REPLACE blocks")
    blocks = own
    if not blocks:
        if _HUNK.search(text) and "\n--- " in f"\n{text}":
            return from_patch(text, inputs)
        return _changed(text, inputs, _from_code(text, inputs, main))
    touched: set[str] = set()
    for number, (named, old, new) in enumerate(blocks, 1):
        path = _known(named, tuple(now))
        now[path] = _replaced(now[path], old, new, f"block {number} ({path})")
        touched.add(path)
    return _changed(text, inputs, {path: now[path] for path in now if path in touched})


def from_patch(text: str, inputs: Mapping[str, Document]) -> Candidate:
    """The candidate of a task that answers with a unified diff of the files it was given."""
    text = without_thoughts(text)
    names = tuple(inputs)
    now: dict[str, str] = {}
    try:
        for one in parse(_whole("", text)):
            path = _known(one.new or one.old or "", names)
            if one.old != one.new:
                raise BadAnswer(f"the diff creates, renames or deletes {path}; a worker may only change it")
            before = Text(body=now.get(path, inputs[path].text))
            now[path] = patched(before, one.hunks, path).body
    except ToolError as exc:
        raise BadAnswer(str(exc).partition("\n")[0]) from exc
    return _changed(text, inputs, now)


def without_thoughts(text: str) -> str:
    """The answer after a thinking passage some models leave in it."""
    return _THOUGHTS.sub("", text, count=1)


def parsed_json(text: str) -> object:
    """The JSON value that is the whole answer, a code fence around it apart. Raises BadAnswer."""
    try:
        return json.loads(_mended_json(_unfenced(text) or text), parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise BadAnswer(f"the answer is not one JSON value: {exc}") from exc


def _mended_json(text: str) -> str:
    """The text, or where only that makes it JSON, the text without comments and commas that nothing follows."""
    try:
        json.loads(text)
    except ValueError:
        with suppress(ValueError, RecursionError):
            json.loads(plain := plain_json(text))
            return plain
    except RecursionError:
        pass
    return text


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _from_code(text: str, inputs: Mapping[str, Document], main: str | None) -> dict[str, str]:
    """The new texts of the files whose whole content, or whose functions, stand in code blocks."""
    known = tuple(inputs)
    found = [(path, body) for path, body in _named_code(text, known, main) if body.strip()]
    now: dict[str, str] = {}
    for path, body in found:
        before = now.get(path, inputs[path].text)
        body = like(before, body if body.endswith("\n") else body + "\n")
        if path not in now and is_whole(before, body):
            now[path] = body
        elif (part := spliced(path, before, body)) is not None:
            now[path] = part
        else:
            raise BadAnswer(
                f"the answer holds neither SEARCH/REPLACE blocks nor the whole of {path}, only a part of it"
            )
    if not now:
        raise BadAnswer("the answer holds no change: no SEARCH/REPLACE block and no code block")
    return now


def _named_code(text: str, known: Sequence[str], main: str | None) -> list[tuple[str, str]]:
    """(path, code) of every code block, in order; the whole answer where it has none."""
    default = main or (known[0] if len(known) == 1 else None)
    if "```" not in text:
        return [(default, without_talk(default, text))] if default and text.strip() else []
    if text.count("```") % 2:
        text = f"{text.rstrip()}\n```"  # it ended by itself: only the last fence is missing
    found: list[tuple[str, str]] = []
    for match in _FENCED.finditer(text):
        above = text[: match.start()].rstrip().rpartition("\n")[2]
        path = next((name for name in known if name in above), None) or default
        if path is not None and not _FOREIGN.match(match[0]):
            found.append((path, match[2]))
    return found


def _changed(text: str, inputs: Mapping[str, Document], now: Mapping[str, str]) -> Candidate:
    files = {path: new for path, new in now.items() if new.rstrip("\n") != inputs[path].text.rstrip("\n")}
    if not files:
        raise BadAnswer("the answer changes nothing")
    return Candidate(answer=text, files=files)


def _whole(path: str, text: str) -> str:
    """The content meant by an answer: the one fenced block in it, or all of it when it has none.

    Prose may hold code blocks of its own, so there only a fence around everything counts.
    """
    stripped = without_talk(path, text)
    if (inner := _unfenced(stripped)) is not None:
        return inner
    if path.lower().endswith(_MARKUP) or "```" not in stripped:
        return stripped
    found = [match for match in _FENCED.finditer(stripped) if not _FOREIGN.match(match[0])]
    if len(found) == 1 and stripped.count("```") in (2, 4):
        return str(found[0][2])
    raise BadAnswer(f"the answer holds {stripped.count('```')} code fences; one block was wanted")


def _unfenced(text: str) -> str | None:
    """What stands inside a fence that holds the whole text; None when it is not so."""
    stripped = text.strip()
    match = _AROUND.fullmatch(stripped)
    if match is None:
        return None
    inner = match["inner"]
    closing = re.compile(rf"^{match['fence']}`*\s*$", re.MULTILINE)
    return None if closing.search(inner) else inner


def _blocks(text: str, known: Sequence[str]) -> list[tuple[str, list[str], list[str]]]:
    """(path, old lines, new lines) of every SEARCH/REPLACE block; no new line at all deletes."""
    found: list[tuple[str, list[str], list[str]]] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        if not _SEARCH.fullmatch(lines[at].rstrip()):
            at += 1
            continue
        middle = _next(lines, at + 1, _MIDDLE)
        end = _next(lines, middle + 1, _REPLACE) if middle is not None else None
        if middle is None or end is None:
            raise BadAnswer(
                f"SEARCH block {len(found) + 1} has no {'=======' if middle is None else 'REPLACE'} line"
            )
        named = _path_before(lines, at, known, found[-1][0] if found else None)
        found.append((named, lines[at + 1 : middle], lines[middle + 1 : end]))
        at = end + 1
    return found


def _next(lines: Sequence[str], start: int, pattern: re.Pattern[str]) -> int | None:
    for at in range(start, len(lines)):
        line = lines[at].rstrip()
        if pattern.fullmatch(line):
            return at
        if _SEARCH.fullmatch(line):
            return None
    return None


def _path_before(lines: Sequence[str], at: int, known: Sequence[str], last: str | None) -> str:
    for line in reversed(lines[max(at - 3, 0) : at]):
        name = line.strip().strip("`*#: ")
        if name and not line.strip().startswith("```") and not _REPLACE.fullmatch(line.rstrip()):
            return name
    if last is not None:
        return last
    if len(known) == 1:
        return known[0]
    raise BadAnswer(f"a SEARCH block does not say which file it is for; there are {', '.join(known)}")


def _json_edits(text: str) -> list[tuple[str, list[str], list[str]]]:
    try:
        value = parsed_json(text)
    except BadAnswer:
        return []
    edits: object = cast("dict[str, object]", value).get("edits") if isinstance(value, dict) else value
    if not isinstance(edits, list):
        return []
    found: list[tuple[str, list[str], list[str]]] = []
    for edit in cast("list[object]", edits):
        fields = cast("dict[str, object]", edit) if isinstance(edit, dict) else {}
        path, old, new = fields.get("path"), fields.get("old"), fields.get("new")
        if not (isinstance(path, str) and isinstance(old, str) and isinstance(new, str)):
            raise BadAnswer("an edit needs path, old and new, all of them texts")
        found.append(
            (path, old.removesuffix("\n").split("\n"), new.removesuffix("\n").split("\n") if new else [])
        )
    return found


def _is_example(block: tuple[str, list[str], list[str]], now: Mapping[str, str]) -> bool:
    """Whether a block is the one that the worker was shown, and stands in none of its files."""
    _, old, new = block
    shown = [line.strip() for line in old] == [EXAMPLE[0]] and [line.strip() for line in new] == [EXAMPLE[1]]
    return shown and not any(EXAMPLE[0] in text for text in now.values())


def _known(named: str, known: Sequence[str]) -> str:
    """The input a worker means. It may change only what it was given."""
    clean = re.sub(r"^(?:\./|[ab]/(?=.))|#L[\dL-]+$", "", named.strip()) if named not in known else named
    if clean in known:
        return clean
    raise BadAnswer(f"{named[:120]!r} is not one of the files given: {', '.join(known)}")


def _replaced(text: str, wanted: Sequence[str], new: Sequence[str], where: str) -> str:
    """`text` with the one place where these lines stand replaced."""
    lines = text.split("\n")
    if not "".join(wanted).strip():
        if text.strip():
            raise BadAnswer(f"{where}: the SEARCH part is empty")
        return "\n".join([*new, ""])
    if (found := place_of(lines, wanted, new)) is not None:
        start, end, put = found
        return "\n".join([*lines[:start], *put, *lines[end:]])
    size = len(wanted)
    places = [at for at in range(len(lines) - size + 1) if lines[at : at + size] == list(wanted)]
    if places:
        raise BadAnswer(f"{where}: the SEARCH lines occur {len(places)} times; they must occur once")
    near = difflib.get_close_matches(wanted[0], lines, 1, 0.6)
    hint = f"; nearest to its first line is {near[0].strip()[:120]!r}" if near else ""
    raise BadAnswer(f"{where}: the SEARCH lines do not occur in the file exactly{hint}")


_THOUGHTS = re.compile(r"\A\s*<think>[\s\S]*?</think>\s*")
_MARKUP = (".md", ".markdown", ".mdx", ".rst")
_AROUND = re.compile(r"(?P<fence>`{3,})[^\n`]*\n(?P<inner>[\s\S]*?\n?)(?P=fence)`*")
_FENCED = re.compile(r"^(`{3,})[^\n`]*\n([\s\S]*?)^\1`*\s*$", re.MULTILINE)
_HUNK = re.compile(r"^@@ .*@@|^@@\s*$", re.MULTILINE)
_FOREIGN = re.compile(r"`{3,}\s*(bash|sh|shell|console|text|output)\b", re.IGNORECASE)
"""A block that shows how to run something."""
EXAMPLE = ("return a - b", "return a + b")
"""The lines that a worker is shown as an example of a block."""
_SEARCH = re.compile(r"<{5,9} ?SEARCH")
_MIDDLE = re.compile(r"={5,9}")
_REPLACE = re.compile(r">{5,9} ?REPLACE")
