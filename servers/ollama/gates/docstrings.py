"""Docstrings that were added: which functions have them, and what in them does not fit the function they stand in."""

from __future__ import annotations

import ast
import re
from collections import Counter

from .languages import language_of, wanted_in
from .repair import NAMED

_ONLY = re.compile(
    r"\b(?:just|only|nur|nothing else|no other|keine anderen?|uniquement|solo)\b", re.IGNORECASE
)
_MODULE = re.compile(
    r"\bmodule(?:'s)?[- ](?:level )?docstring|\bdocstring (?:for|of|to) (?:the|this) (?:module|file)|\bmodul-?docstring",
    re.IGNORECASE,
)
_OPPOSITE = (
    "longest shortest",
    "largest smallest",
    "biggest smallest",
    "highest lowest",
    "max min",
    "maximum minimum",
    "first last",
    "before after",
    "ascending descending",
    "add remove",
    "open close",
    "start end",
    "encode decode",
    "upper lower",
    "left right",
    "vowels consonants",
    "even odd",
    "newest oldest",
    "increase decrease",
    "push pop",
    "inside outside",
    "enable disable",
    "inner outer",
    "increment decrement",
)
_OTHER = {a: b for pair in _OPPOSITE for a, b in (pair.split(), reversed(pair.split()))}


def added(before: str, after: str) -> dict[str, str]:
    """The docstrings that are new, by function or class. Raises SyntaxError."""
    had = Counter((name, doc) for name, doc, _ in _docs(before))
    return {name: doc for name, doc, _ in _docs(after) if not had[name, doc]}


def misplaced(before: str, after: str, task: str) -> tuple[str | None, str | None]:
    """(fault, doubt) where the task names functions and others have the docstrings. Raises SyntaxError."""
    named = {name for name, _, _ in _all(after) if _is_named(name, task)}
    new = added(before, after)
    if _MODULE.search(task):
        if ast.get_docstring(ast.parse(after)) is None:
            return "the module has no docstring, and the task asks for one", None
        if new and not named and _ONLY.search(task):
            return f"{next(iter(new))} has a docstring too, and the task asks only for the module's", None
        return None, None
    if not named or not new:
        return None, None
    told = {name for name, _, _ in _docs(after)}
    if bare := next((name for name in sorted(named) if name not in told), None):
        return f"{bare} has no docstring, and the task names it", None
    if other := next((name for name in new if name not in named), None):
        fault = f"{other} has a docstring too, and the task names only {', '.join(sorted(named))}"
        return (fault, None) if _ONLY.search(task) else (None, fault)
    return None, None


def doubtful(before: str, after: str, task: str) -> str | None:
    """What a new docstring says that its function does not: another's subject, the opposite, a number. Raises SyntaxError."""
    new, bodies = added(before, after), {name: code for name, _, code in _all(after)}
    for name, doc in new.items():
        own = _parts(name)
        said = re.findall(r"[^\W\d_]+", doc.casefold())
        if doubt := opposite(name, doc):
            return doubt
        if stray := next(
            (
                n
                for n in re.findall(r"\d+(?:\.\d+)?", doc)
                if n not in bodies.get(name, "") + task and n not in "01"
            ),
            None,
        ):
            return f"whether {name} is rightly told: its code has no {stray}"
        others = [other for other in new if other != name and _meant(_parts(other) - own, said)]
        if others and not _meant(own, said):
            return f"whether the docstring of {name} is about it; it has words of {others[0]}"
    return None


def opposite(name: str, doc: str) -> str | None:
    """A text that says the opposite of a word of the name it stands above."""
    own, said = _parts(name), re.findall(r"[^\W\d_]+", doc.casefold())
    wrong = next((word for word in own if _OTHER.get(word) in said and word not in said), None)
    return f"whether {name} is rightly told: {_OTHER[wrong]!r} stands there" if wrong else None


def other_language(before: str, after: str, task: str) -> str | None:
    """Docstrings in another language than the task names. Raises SyntaxError."""
    wanted, found = wanted_in(task), language_of("\n".join(added(before, after).values()))
    return (
        f"the docstrings are in {found}, and the task asks for {wanted}"
        if wanted and found and found != wanted
        else None
    )


def _is_named(name: str, task: str) -> bool:
    """Whether a task speaks of a function: "add" and "write" are also other words."""
    word = re.escape(name)
    if re.search(r"_|[a-z][A-Z]|\d", name):
        return re.search(rf"\b{word}\b", task) is not None
    return (
        re.search(
            rf"[`'\"]{word}[`'\"]|\b{word}\(|\b(?:function|method|class|for|of|to|Funktion|Klasse|für)\s+{word}\b",
            task,
        )
        is not None
    )


def _meant(parts: set[str], said: list[str]) -> bool:
    """Whether one of the words of a name is spoken of, its ending apart."""
    return any(part[:5].rstrip("s") in word for part in parts for word in said)


def _parts(name: str) -> set[str]:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.rpartition(".")[2]).casefold().split("_")
    return {word for word in words if len(word) > 2}


def _docs(text: str) -> list[tuple[str, str, str]]:
    return [one for one in _all(text) if one[1]]


def _all(text: str) -> list[tuple[str, str, str]]:
    """(name, docstring, code without it) of every function and class."""
    return [
        (
            node.name,
            ast.get_docstring(node) or "",
            "\n".join(
                map(
                    ast.unparse,
                    (node.args, *node.body[1:])
                    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node)
                    else [node],
                )
            ),
        )
        for node in ast.walk(ast.parse(text))
        if isinstance(node, NAMED)
    ]
