"""The shape of source files: symbols with their lines, by tree-sitter; headings of Markdown."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..grammars import SUFFIXES, parsed, suffix_of
from ..outcome import MAX_RESULT_BYTES, ToolError, fenced, masked, one_line, visible
from ..places import allowed, secret
from ..text import decode
from ..workspace import Workspace, read_all
from .rows import fitting

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_PARSED_BYTES = 4 << 20
MAX_FILES = 500  # of a folder
MAX_SIGNATURE = 120
MAX_LEVEL = 20  # of indentation shown
_FRAME_BYTES = 500
MAX_NAMED = 12  # symbols named on a folder's line for one file

_DEFINES = frozenset(
    [
        "class_definition",
        "function_definition",
        "class_declaration",
        "abstract_class_declaration",
        "function_declaration",
        "generator_function_declaration",
        "method_definition",
        "interface_declaration",
        "type_alias_declaration",
        "enum_declaration",
        "internal_module",
        "function_item",
        "struct_item",
        "enum_item",
        "union_item",
        "trait_item",
        "impl_item",
        "mod_item",
        "macro_definition",
        "type_item",
        "function_signature_item",
        "method_declaration",
        "type_spec",
        "record_declaration",
        "constructor_declaration",
        "annotation_type_declaration",
        "struct_specifier",
        "class_specifier",
        "enum_specifier",
        "union_specifier",
        "namespace_definition",
        "class",
        "module",
        "method",
        "singleton_method",
    ]
)
_ONLY_WITH_BODY = frozenset(
    ["struct_specifier", "class_specifier", "enum_specifier", "union_specifier", "class", "module"]
)
_VALUES = frozenset(["arrow_function", "function_expression", "function", "generator_function"])
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    first: int
    last: int
    level: int
    signature: str
    name: str


def outline(workspace: Workspace, path: str, max_bytes: int = MAX_RESULT_BYTES) -> str:
    """Symbols of a file with their lines; for a folder one line per file."""
    fd, root, real = workspace.open_real(path)
    try:
        shown = workspace.display(root, real)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            return _folder(workspace, shown, path, max_bytes)
        symbols = symbols_of(shown, read_all(fd, shown, MAX_PARSED_BYTES))
    finally:
        os.close(fd)
    if symbols is None:
        raise ToolError(f"no outline for {shown}; known are {', '.join(sorted({*SUFFIXES, 'md'}))}")
    rows = (f"{one.first}-{one.last}\t{'  ' * min(one.level, MAX_LEVEL)}{one.signature}" for one in symbols)
    return _said(f"{one_line(shown)} · {len(symbols)} symbols", rows, len(symbols), shown, max_bytes)


def symbols_of(path: str, data: bytes) -> list[Symbol] | None:
    """None for a language no grammar here knows, or a file that is no text."""
    text = decode(data)
    if text is None:
        return None
    if path.casefold().endswith((".md", ".markdown")):
        return list(_headings(text.body))
    source = text.body.encode("utf-8", "surrogatepass")
    tree = parsed(path, source)
    return None if tree is None else list(_symbols(tree.root_node, source))


def _folder(workspace: Workspace, shown: str, path: str, max_bytes: int) -> str:
    from ..walking import walk

    fd, root, start = workspace.open_real(path)
    os.close(fd)
    rows: list[str] = []
    files = 0
    for entry in walk(root.fd, start, into_hidden=False):
        if (
            entry.is_folder
            or entry.is_link
            or entry.ignored
            or suffix_of(entry.name) not in {*SUFFIXES, "md"}
        ):
            continue
        if secret(entry.path) and not allowed(entry.path, workspace.allow):
            continue
        files += 1
        if files > MAX_FILES:
            break
        named = _named_in(workspace, os.path.join(root.path, entry.path))
        if named:
            inside = entry.path[len(start) + 1 :] if start else entry.path
            rows.append(f"{one_line(inside)}: {named}")
    cut = f" · stopped after {MAX_FILES} files; outline a folder within" if files > MAX_FILES else ""
    head = f"{one_line(shown)} · {min(files, MAX_FILES)} source files{cut}"
    return _said(head, rows, len(rows), shown, max_bytes)


def _said(head: str, rows: Iterable[str], total: int, shown: str, max_bytes: int) -> str:
    kept = fitting(rows, max_bytes - _FRAME_BYTES)
    if not kept:
        return head
    left = f"\nleft out: {total - len(kept):,} more" if len(kept) < total else ""
    return f"{head}\n{fenced(masked(chr(10).join(kept)), shown)}{left}"


def _named_in(workspace: Workspace, path: str) -> str:
    try:
        symbols = symbols_of(path, workspace.read(path, MAX_PARSED_BYTES)) or []
    except ToolError:
        return ""
    names = [one.name for one in symbols if one.level == 0]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _symbols(root: Node, source: bytes) -> Generator[Symbol]:
    """Definitions in source order, nested ones a level deeper; without recursion, for hostile nesting."""
    todo: list[tuple[Node, int]] = [(root, 0)]
    while todo:
        node, level = todo.pop()
        if symbol := _symbol(node, level, source):
            yield symbol
            level += 1
        todo += [(child, level) for child in reversed(node.named_children)]


def _symbol(node: Node, level: int, source: bytes) -> Symbol | None:
    body = node.child_by_field_name("body")
    if node.type == "variable_declarator":  # const f = () => ...
        value = node.child_by_field_name("value")
        if value is None or value.type not in _VALUES:
            return None
        body = value.child_by_field_name("body")
    elif (
        node.type not in _DEFINES
        or (node.type in _ONLY_WITH_BODY and not (body or node.child_by_field_name("name")))
        or node.type in ("struct_specifier", "enum_specifier", "union_specifier", "class_specifier")
        and body is None
    ):
        return None
    end = body.start_byte if body else node.end_byte
    head = (
        source[node.start_byte : end]
        .decode("utf-8", "replace")
        .strip()
        .removesuffix("{")
        .removesuffix(":")
        .strip()
    )
    signature = visible(" ".join(head.split()) if body else head.split("\n")[0])[:MAX_SIGNATURE]
    return Symbol(
        first=node.start_point[0] + 1,
        last=node.end_point[0] + 1,
        level=level,
        signature=signature,
        name=visible(_name(node))[:MAX_SIGNATURE],
    )


def _name(node: Node) -> str:
    """The name a definition gives; C hides it in its declarator."""
    named = node
    for _ in range(10):
        fields = (named.child_by_field_name(field) for field in ("name", "declarator", "type"))
        inner = next((one for one in fields if one is not None), None)
        if inner is None:
            break
        named = inner
    text = None if named is node else named.text
    return text.decode("utf-8", "replace").split("\n")[0] if text else node.type


def _headings(body: str) -> Generator[Symbol]:
    lines = body.split("\n")
    found: list[tuple[int, int, str]] = []
    fence = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith(("```", "~~~")):
            fence = not fence
        elif not fence and (match := _HEADING.match(line)):
            found.append((number, len(match[1]), match[2]))
    for i, (number, level, title) in enumerate(found):
        after = next((n for n, deep, _ in found[i + 1 :] if deep <= level), len(lines) + 1)
        shown = visible(title)[:MAX_SIGNATURE]
        yield Symbol(
            first=number, last=after - 1, level=level - 1, signature=f"{'#' * level} {shown}", name=shown
        )
