"""JSON with comments and trailing commas, edited in place: everything that is not changed stays as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_GAP = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|-?\d[\d.eE+-]*|true|false|null')
MAX_DEPTH = 200


class Misshapen(ValueError):
    """Something else stands where entries should go."""


@dataclass(slots=True)
class Node:
    """A value and where it stands."""

    value: Any
    start: int
    end: int = 0
    members: dict[str, tuple[int, Node]] = field(default_factory=dict[str, Any])
    """Of an object: where each key begins, and its value."""


class Jsonc:
    def __init__(self, text: str, *, strict: bool = False) -> None:
        """Raises ValueError. `strict`: for readers that take no comments and no trailing commas."""
        self.text = text
        if strict and text.strip():
            json.loads(text)
        self.root = _Reader(text).whole()

    @property
    def value(self) -> Any:
        return self.root.value

    def put(self, path: Sequence[str], value: Any) -> str:
        """The text with `value` at `path`. Raises ValueError where something else than an object is in the way."""
        node = self.root
        for depth, key in enumerate(path):
            if node.value is None:  # as good as an empty object
                for outer in reversed(path[depth:]):
                    value = {outer: value}
                break
            if not isinstance(node.value, dict):
                raise Misshapen(f"wanted an object with {key!r}, found something else")
            if key not in node.members:
                for outer in reversed(path[depth + 1 :]):
                    value = {outer: value}
                return self._added(node, key, value)
            node = node.members[key][1]
        indent = self._indent_at(self._line_start(node.start))
        return self.text[: node.start] + self._written(value, indent) + self.text[node.end :]

    def without(self, path: Sequence[str]) -> str:
        """The text without what is at `path`."""
        node = self.root
        for key in path[:-1]:
            node = node.members[key][1]
        return _closed_up(self._cut_out(node, path[-1]), path[:-1])

    def _cut_out(self, node: Node, key: str) -> str:
        start, member = node.members[key]
        end = self._gap_end(member.end)
        text = self.text
        if text[end] == ",":
            end += 1
        else:
            end = member.end
            before = self._before(start, node)
            if text[before - 1] == ",":  # the last one takes the comma before it along
                return self._cut(start, end, text[: before - 1] + text[before:start])
        return self._cut(start, end, text[:start])

    def _cut(self, start: int, end: int, head: str) -> str:
        """Without the rest of a line of which nothing is left."""
        rest = re.match(r"[ \t]*\r?\n", self.text[end:])
        if rest and not self.text[self._line_start(start) : start].strip():
            head, end = head[: len(head) - (start - self._line_start(start))], end + rest.end()
        return head + self.text[end:]

    def _added(self, node: Node, key: str, value: Any) -> str:
        text, newline = self.text, self._newline()
        if node.start == node.end:
            return text + self._written({key: value}, "") + newline
        outer = self._indent_at(self._line_start(node.start))
        if node.members:
            first, last = next(iter(node.members.values()))[0], max(n.end for _, n in node.members.values())
            own_line = not text[self._line_start(first) : first].strip()
            inner = self._indent_at(self._line_start(first)) if own_line else outer + self._unit()
            after = self._gap_end(last)
            comma = "" if text[after] == "," else ","
            trailing = "" if comma else ","
            place = self._before(node.end - 1, node)
        else:
            inner, last, comma, trailing = outer + self._unit(), node.start + 1, "", ""
            place = self._before(node.end - 1, node)
        added = (
            f"{newline}{inner}{json.dumps(key, ensure_ascii=False)}: {self._written(value, inner)}{trailing}"
        )
        tail = text[place:]
        if not re.match(r"\s*\n", tail):
            tail = newline + outer + tail.lstrip()
        return text[:last] + comma + text[last:place] + added + tail

    def _before(self, place: int, node: Node) -> int:
        """The end of the last thing before `place`, comments included."""
        found = place
        while found > node.start + 1 and self.text[found - 1] in " \t\r\n":
            found -= 1
        return found

    def _gap_end(self, place: int) -> int:
        match = _GAP.match(self.text, place)
        return match.end() if match else place

    def _line_start(self, place: int) -> int:
        return self.text.rfind("\n", 0, place) + 1

    def _indent_at(self, line: int) -> str:
        match = re.compile(r"[ \t]*").match(self.text, line)
        return match[0] if match else ""

    def _unit(self) -> str:
        found = re.search(r"\n([ \t]+)\S", self.text)
        return "\t" if found and found[1][0] == "\t" else found[1] if found else "  "

    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _written(self, value: Any, indent: str) -> str:
        lines = json.dumps(value, indent=self._unit(), ensure_ascii=False).split("\n")
        return (self._newline() + indent).join(lines)


def _closed_up(text: str, path: Sequence[str]) -> str:
    """An object on one line, and one with nothing in it, ends where it did before anything was put in."""
    node = _Reader(text).whole()
    for key in path:
        node = node.members[key][1]
    last = max((member.end for _, member in node.members.values()), default=node.start + 1)
    if text[last : node.end - 1].strip() or "\n" in text[node.start : last]:
        return text
    return text[:last] + text[node.end - 1 :]


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0

    def whole(self) -> Node:
        self._gap()
        if self.place == len(self.text):  # nothing, or nothing but comments
            return Node({}, self.place, self.place)
        node = self._value(0)
        self._gap()
        if self.place < len(self.text):
            raise self._wrong("the end")
        return node

    def _value(self, depth: int) -> Node:
        self._gap()
        if depth > MAX_DEPTH:
            raise self._wrong("less nesting")
        node = Node(None, self.place)
        match self._here():
            case "{":
                node.value = {}
                self._items("}", depth, node)
            case "[":
                node.value = []
                self._items("]", depth, node)
            case _:
                node.value = self._token()
        node.end = self.place
        return node

    def _items(self, end: str, depth: int, node: Node) -> None:
        self.place += 1
        while True:
            self._gap()
            if self._here() == end:
                self.place += 1
                return
            start = self.place
            if end == "}":
                key = self._token()
                self._gap()
                if not isinstance(key, str) or self._here() != ":":
                    raise self._wrong("a key and a colon")
                self.place += 1
                item = self._value(depth + 1)
                node.value[key], node.members[key] = item.value, (start, item)
            else:
                node.value.append(self._value(depth + 1).value)
            self._gap()
            if self._here() == ",":
                self.place += 1
            elif self._here() != end:
                raise self._wrong(f"a comma or {end}")

    def _token(self) -> Any:
        match = _TOKEN.match(self.text, self.place)
        if match is None:
            raise self._wrong("a value")
        self.place = match.end()
        return json.loads(match[0], strict=False)

    def _gap(self) -> None:
        match = _GAP.match(self.text, self.place)
        self.place = match.end() if match else self.place

    def _here(self) -> str:
        return self.text[self.place : self.place + 1]

    def _wrong(self, wanted: str) -> ValueError:
        line = self.text.count("\n", 0, self.place) + 1
        return ValueError(f"line {line}: wanted {wanted}, found {self._here() or 'the end'!r}")
