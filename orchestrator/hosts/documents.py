"""The files hosts keep their servers in, edited in place: JSON with or without comments, TOML, YAML."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any, Protocol

import yaml

from .jsonc import Jsonc, Misshapen


class Document(Protocol):
    text: str

    @property
    def value(self) -> Any: ...

    def put(self, path: Sequence[str], value: Any) -> str:
        """The text with `value` at `path`. Raises ValueError where that cannot be."""
        ...

    def without(self, path: Sequence[str]) -> str: ...


def document(form: str, text: str) -> Document:
    """Raises ValueError for what is not of this form."""
    match form:
        case "json" | "jsonc":
            return Jsonc(text, strict=form == "json")
        case "toml":
            return Toml(text)
        case _:
            return Yaml(text)


class Toml:
    """By tomlkit, which keeps comments, order and style."""

    def __init__(self, text: str) -> None:
        import tomlkit

        self.text = text
        self.document = tomlkit.parse(text)

    @property
    def value(self) -> Any:
        return self.document.unwrap()

    def put(self, path: Sequence[str], value: Any) -> str:
        import tomlkit
        from tomlkit.items import InlineTable

        table: Any = self.document
        for key in path[:-1]:
            if key not in table:
                table[key] = tomlkit.table(is_super_table=True)
            table = table[key]
            if not isinstance(table, dict):
                raise Misshapen(f"wanted a table {key!r}, found something else")
        if path[-1] in table:
            del table[path[-1]]
        if isinstance(table, InlineTable):
            table[path[-1]] = _inline(value)
        else:
            table[path[-1]] = tomlkit.item({key: _inline(item) for key, item in value.items()})
        made = tomlkit.dumps(self.document)
        if not _stands(made, path, value):  # between the dotted keys of one table it would end that
            entry = tomlkit.table()
            entry.update({key: _inline(item) for key, item in value.items()})
            header = f"[{'.'.join(tomlkit.key(key).as_string() for key in path)}]"
            made = f"{self.text.rstrip()}\n\n{header}\n{entry.as_string()}"
        return self._lines(made)

    def without(self, path: Sequence[str]) -> str:
        import tomlkit

        table: Any = self.document
        for key in path[:-1]:
            table = table[key]
        del table[path[-1]]
        left = tomlkit.dumps(self.document)
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(left, self.text, strict=False))
        place = sum(1 for _ in same)
        if re.search(r"\n\r?\n\Z", left[:place]) and re.match(r"\s*\Z|\r?\n", left[place:]):
            left = left[:place].rstrip() + "\n" + left[place:]  # the empty line went with what was there
        return self._lines(left)

    def _lines(self, text: str) -> str:
        return re.sub(r"\r?\n", "\r\n", text) if "\r\n" in self.text else text


def _stands(text: str, path: Sequence[str], value: Any) -> bool:
    try:
        found: Any = tomllib.loads(text)
        for key in path:
            found = found[key]
    except (ValueError, KeyError, TypeError):
        return False
    return found == value


def _inline(value: Any) -> Any:
    """A table within the entry on one line, as people write `env`."""
    import tomlkit

    if not isinstance(value, dict):
        return value
    table = tomlkit.inline_table()
    table.update({key: _inline(item) for key, item in value.items()})
    return table


_REST_OF_LINE = re.compile(r"[ \t]*(#[^\r\n]*)?(?=[\r\n]|\Z)")


class Yaml:
    """By the places PyYAML gives of every node; what is added is written in its flow style, which JSON is."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.root: Any = yaml.compose(text, yaml.SafeLoader)
            self._value: Any = yaml.safe_load(text)
        except yaml.YAMLError as exc:
            raise ValueError(" ".join(str(exc).split())) from exc

    @property
    def value(self) -> Any:
        return {} if self._value is None else self._value

    def put(self, path: Sequence[str], value: Any) -> str:
        node, newline = self.root, "\r\n" if "\r\n" in self.text else "\n"
        if node is None:
            gap = "" if not self.text or self.text.endswith("\n") else newline
            return self.text + gap + _block(path, value, "", newline)
        flow = False
        for depth, key in enumerate(path):
            rest = path[depth:]
            if _empty(node):
                return self._filled(node, rest, value, newline, flow)
            if not isinstance(node, yaml.MappingNode):
                raise Misshapen(f"wanted a mapping with {key!r}, found something else")
            found = next((pair for pair in node.value if pair[0].value == key), None)
            if found is None:
                return self._added(node, rest, value, newline)
            node, flow = found[1], node.flow_style
        return self.text[: node.start_mark.index] + _flow(value) + self.text[_end(node) :]

    def without(self, path: Sequence[str]) -> str:
        node = self.root
        for key in path[:-1]:
            node = next(value for name, value in node.value if name.value == key)
        if len(node.value) == 1:
            return self.text[: node.start_mark.index] + "{}" + self.text[_end(node) :]
        key, value = next(pair for pair in node.value if pair[0].value == path[-1])
        start, end = key.start_mark.index, _end(value)
        if node.flow_style:
            comma = re.compile(r"\s*,\s*").match(self.text, end)
            if comma:
                return self.text[:start] + self.text[comma.end() :]
            return self.text[:start].rstrip().removesuffix(",") + self.text[end:]
        line = self.text.find("\n", end)
        return self.text[: self.text.rfind("\n", 0, start) + 1] + (self.text[line + 1 :] if line >= 0 else "")

    def _filled(self, node: Any, path: Sequence[str], value: Any, newline: str, flow: bool) -> str:
        """In place of a null, written or not."""
        head, end = self.text[: node.start_mark.index], node.end_mark.index
        if flow:
            for key in reversed(path):
                value = {key: value}
            return f"{head} {_flow(value)}{self.text[end:]}"
        column = head.rfind("\n") + 1
        indent = " " * (
            len(head) - column - len(head[column:].lstrip(" ")) + 2 if head[column:].strip() else 0
        )
        comment = _REST_OF_LINE.match(self.text, end)
        place = comment.end() if comment else end
        return (
            head.rstrip(" ")
            + self.text[end:place]
            + newline
            + _block(path, value, indent, newline).rstrip()
            + self.text[place:]
        )

    def _added(self, node: Any, path: Sequence[str], value: Any, newline: str) -> str:
        place = node.start_mark.index
        if node.flow_style:
            for key in reversed(path[1:]):
                value = {key: value}
            added = f"{_flow(path[0])}: {_flow(value)}"
            return self.text[: place + 1] + added + (", " if node.value else "") + self.text[place + 1 :]
        indent = " " * node.start_mark.column
        return self.text[:place] + _block(path, value, indent, newline).lstrip() + indent + self.text[place:]


def _block(path: Sequence[str], value: Any, indent: str, newline: str) -> str:
    lines = [f"{indent}{'  ' * at}{_key(key)}:" for at, key in enumerate(path)]
    lines[-1] += f" {_flow(value)}"
    return newline.join(lines) + newline


def _flow(value: Any) -> str:
    """As JSON, which YAML reads, but for characters it wants escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z][\w-]*", key) and yaml.safe_load(key) == key else _flow(key)


def _empty(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")


def _end(node: Any) -> int:
    """Where a node's own text ends; the marks of a block go on to the next thing."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index
