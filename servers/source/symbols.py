"""The definitions in a syntax tree, with their lines."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_SIGNATURE = 120

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A definition or a heading; `level` says how deep it stands in others. Its texts are as in the file."""

    first: int
    last: int
    level: int
    signature: str
    name: str


def symbols_in(root: Node, source: bytes) -> Generator[Symbol]:
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
    signature = " ".join(head.split()) if body else head.split("\n")[0]
    return Symbol(
        first=node.start_point[0] + 1,
        last=node.end_point[0] + 1,
        level=level,
        signature=signature[:MAX_SIGNATURE],
        name=_name(node, source)[:MAX_SIGNATURE],
    )


def _name(node: Node, source: bytes) -> str:
    """The name a definition gives; C hides it in its declarator."""
    named = node
    for _ in range(10):
        fields = (named.child_by_field_name(field) for field in ("name", "declarator", "type"))
        inner = next((one for one in fields if one is not None), None)
        if inner is None:
            break
        named = inner
    text = b"" if named is node else source[named.start_byte : named.end_byte]
    return text.decode("utf-8", "replace").split("\n")[0] or node.type
