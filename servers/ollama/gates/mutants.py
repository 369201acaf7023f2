"""Whether tests tell a function from a broken one: the same module made wrong in one place after another."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest

MOST = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A module that is wrong in one place."""

    text: str
    what: str
    """In words, after "they pass as well"."""
    stub: bool = False
    """A whole function does nothing: tests that pass on it prove nothing."""


def mutants(text: str, names: set[str]) -> list[Mutant]:
    """The wrong ones there are of the functions named, each kind in turn, the grossest first; none where it does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return []
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in names]
    found = list(_stubs(tree, functions))
    others = [
        _each(tree, functions, change) for change in (_wrong_return, _other_way, _no_raise, _without_entry)
    ]
    in_turn = chain.from_iterable(zip_longest(*others))
    return [*found, *(m for m in in_turn if m is not None)][:MOST]


def _stubs(tree: ast.Module, functions: list[ast.FunctionDef]) -> Iterator[Mutant]:
    for function in functions:
        worse = _copy_with(
            tree, function, lambda node: setattr(node, "body", [ast.Return(value=ast.Constant(value=None))])
        )
        yield Mutant(text=worse, what=f"when {function.name} only returns None", stub=True)


def _each(
    tree: ast.Module,
    functions: list[ast.FunctionDef],
    change: Callable[[ast.AST], list[tuple[str, Callable[[ast.AST], object]]]],
) -> Iterator[Mutant]:
    for function in functions:
        for node in ast.walk(function):
            for what, apply in change(node):
                yield Mutant(text=_copy_with(tree, node, apply), what=what)


def _copy_with(tree: ast.Module, node: ast.AST, apply: Callable[[ast.AST], object]) -> str:
    """The module with this one node changed."""
    at = next(i for i, other in enumerate(ast.walk(tree)) if other is node)
    other = copy.deepcopy(tree)
    apply(next(n for i, n in enumerate(ast.walk(other)) if i == at))
    return ast.unparse(ast.fix_missing_locations(other))


_Changes = list[tuple[str, Callable[[ast.AST], object]]]


def _wrong_return(node: ast.AST) -> _Changes:
    if not isinstance(node, ast.Return) or node.value is None:
        return []
    value = node.value.value if isinstance(node.value, ast.Constant) else None
    wrong: object = (
        not value
        if isinstance(value, bool)
        else value + 1
        if isinstance(value, int | float)
        else f"{value}?"
        if isinstance(value, str)
        else None
    )
    if isinstance(node.value, ast.Constant) and value is None:
        return []
    return [
        (
            f"when line {node.lineno} returns {wrong!r}",
            lambda n: setattr(n, "value", ast.Constant(value=wrong)),
        )
    ]


def _other_way(node: ast.AST) -> _Changes:
    if not isinstance(node, ast.If):
        return []
    turned = ast.UnaryOp(op=ast.Not(), operand=node.test)
    return [
        (
            f"with the condition of line {node.lineno} turned round",
            lambda n: setattr(n, "test", copy.deepcopy(turned)),
        )
    ]


def _no_raise(node: ast.AST) -> _Changes:
    bodies = [node.body] if isinstance(node, ast.If) else []
    return [
        (f"without the error of line {body[0].lineno}", lambda n: setattr(n, "body", [ast.Pass()]))
        for body in bodies
        if len(body) == 1 and isinstance(body[0], ast.Raise)
    ]


def _without_entry(node: ast.AST) -> _Changes:
    """A table of values without one of them."""
    if not isinstance(node, ast.List | ast.Tuple) or not isinstance(node.ctx, ast.Load) or len(node.elts) < 3:
        return []
    return [
        (f"without {ast.unparse(entry)} in line {entry.lineno}", lambda n, at=at: n.elts.pop(at))  # type: ignore[attr-defined]
        for at, entry in enumerate(node.elts)
    ]
