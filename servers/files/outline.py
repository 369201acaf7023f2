"""The shape of source files: symbols with their lines, by tree-sitter; headings of Markdown."""

from __future__ import annotations

import importlib
import os
import re
import stat
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..outcome import MAX_RESULT_BYTES, ToolError, fenced, masked, one_line, visible
from ..places import allowed, secret
from ..workspace import Workspace, read_all
from .rows import fitting
from .text import decode

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Tree

MAX_PARSED_BYTES = 4 << 20
MAX_FILES = 500  # of a folder
MAX_SIGNATURE = 120
MAX_LEVEL = 20  # of indentation shown
_FRAME_BYTES = 500
MAX_NAMED = 12  # symbols named on a folder's line for one file

# suffix -> module of the grammar, name of its language function
_GRAMMARS = {
    suffix: (f"tree_sitter_{name}", function)
    for suffixes, name, function in (
        ("py pyi", "python", "language"),
        ("js jsx mjs cjs", "javascript", "language"),
        ("ts mts cts", "typescript", "language_typescript"),
        ("tsx", "typescript", "language_tsx"),
        ("go", "go", "language"),
        ("rs", "rust", "language"),
        ("java", "java", "language"),
        ("c h", "c", "language"),
        ("cc cpp cxx hh hpp hxx", "cpp", "language"),
        ("rb", "ruby", "language"),
        ("sh bash", "bash", "language"),
    )
    for suffix in suffixes.split()
}
_UNSURE = ("tree_sitter_c", "tree_sitter_cpp")  # macros make good code look wrong

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
        raise ToolError(f"no outline for {shown}; known are {', '.join(sorted({*_GRAMMARS, 'md'}))}")
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
    tree = _parsed(path, source)
    return None if tree is None else list(_symbols(tree.root_node, source))


def first_error(path: str, text: str) -> str | None:
    """As `syntax.note`, for languages tree-sitter knows; None for others."""
    grammar = _GRAMMARS.get(_suffix(path))
    if grammar is None or grammar[0] in _UNSURE:
        return None
    tree = _parsed(path, text.encode("utf-8", "surrogatepass"))
    if tree is None:
        return None
    if not tree.root_node.has_error:
        return "syntax ok"
    wrong = _first_wrong(tree.root_node)
    what = f"{wrong.type!r} is missing" if wrong.is_missing else "does not parse"
    return f"syntax: line {wrong.start_point[0] + 1}: {what}"


def _folder(workspace: Workspace, shown: str, path: str, max_bytes: int) -> str:
    from .walking import walk

    fd, root, start = workspace.open_real(path)
    os.close(fd)
    rows: list[str] = []
    files = 0
    for entry in walk(root.fd, start, into_hidden=False):
        if entry.is_folder or entry.is_link or entry.ignored or _suffix(entry.name) not in {*_GRAMMARS, "md"}:
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


def _parsed(path: str, source: bytes) -> Tree | None:
    language = _language(_suffix(path))
    if language is None:
        return None
    from tree_sitter import Parser

    return Parser(language).parse(source)  # a parser serves one thread


@lru_cache(32)
def _language(suffix: str) -> Language | None:
    if suffix not in _GRAMMARS:
        return None
    module, function = _GRAMMARS[suffix]
    try:
        from tree_sitter import Language  # 10 ms to import

        grammar: object = getattr(importlib.import_module(module), function)()
    except ImportError:
        return None
    return Language(grammar)


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


def _first_wrong(root: Node) -> Node:
    todo = [root]
    while todo:
        node = todo.pop()
        if node.is_error or node.is_missing:
            return node
        todo += [child for child in reversed(node.children) if child.has_error or child.is_missing]
    return root


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


def _suffix(path: str) -> str:
    name, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return suffix.casefold() if name and dot else ""
