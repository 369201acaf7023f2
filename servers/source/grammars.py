"""Source text as a tree: which grammar reads which file, and the tree it makes of it."""

from __future__ import annotations

import importlib
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Tree

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
SUFFIXES = frozenset(_GRAMMARS)
"""The endings of file names, without their dot, that have a grammar."""

_UNSURE = ("tree_sitter_c", "tree_sitter_cpp")  # macros make good code look wrong
_PLAIN_BYTES = bytes(range(128)) + b"%" * 128


def suffix_of(path: str) -> str:
    """The ending of the file's name in lower case, without its dot; empty when it has none."""
    name, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return suffix.casefold() if name and dot else ""


def parsed(path: str, source: bytes) -> Tree | None:
    """The tree of `source`, by the ending of `path`; None for a language without a grammar here.

    Text made to be wrong can take any time and memory, or end the process: see `parser`.
    """
    suffix = suffix_of(path)
    language = _language(suffix)
    if language is None:
        return None
    from tree_sitter import Parser

    if _GRAMMARS[suffix][0] == "tree_sitter_bash":
        source = plain_for_bash(source)
    return Parser(language).parse(source)


def plain_for_bash(source: bytes) -> bytes:
    """`source`, as long as before, with what is beyond ASCII as an ordinary character of a word, as in bash.

    The grammar's scanner gives whole code points to isdigit(), which reads outside its table: `{` and an
    emoji would crash the process.
    """
    return source.translate(_PLAIN_BYTES)


def has_grammar(path: str) -> bool:
    """Whether the file's language is known and its grammar installed."""
    module = _GRAMMARS.get(suffix_of(path), ("",))[0]
    return bool(module) and find_spec(module) is not None


def is_checked(path: str) -> bool:
    """Whether a grammar can tell wrong text from right in such a file."""
    grammar = _GRAMMARS.get(suffix_of(path))
    return grammar is not None and grammar[0] not in _UNSURE


def first_wrong(tree: Tree) -> Node | None:
    """The first place in the text that does not parse; None when all of it does."""
    if not tree.root_node.has_error:
        return None
    todo = [tree.root_node]
    while todo:
        node = todo.pop()
        if node.is_error or node.is_missing:
            return node
        todo += [child for child in reversed(node.children) if child.has_error or child.is_missing]
    return tree.root_node


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
