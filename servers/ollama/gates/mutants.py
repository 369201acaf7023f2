"""Whether tests tell a function from a broken one: the same module made wrong in one place after another."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import cast

MOST = 12


_Changes = list[tuple[str, Callable[[ast.AST], object]]]
"""What is changed, in words, and how."""
_Change = Callable[[ast.AST], _Changes]


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


def mutants_of_change(before: str, after: str) -> list[Mutant]:
    """The wrong ones of what a change put in: a limit next to it, a step left out, a pattern read otherwise."""
    try:
        tree = ast.parse(after)
    except (SyntaxError, ValueError, RecursionError):
        return []
    old = {line.strip() for line in before.split("\n")}
    new = {number for number, line in enumerate(after.split("\n"), 1) if line.strip() not in old}
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    found = [
        _each(tree, functions, _only(new, change))
        for change in (_pattern, _step_left_out, _limit(_same_at_the_limit(tree)), _number, _other_sign)
    ]
    in_turn = chain.from_iterable(zip_longest(*found))
    told = {
        mutant.text: mutant for mutant in in_turn if mutant is not None and mutant.text != ast.unparse(tree)
    }
    return list(told.values())[:MOST]


def _only(lines: set[int], change: _Change) -> _Change:
    return lambda node: change(node) if getattr(node, "lineno", 0) in lines else []


def _stubs(tree: ast.Module, functions: list[ast.FunctionDef]) -> Iterator[Mutant]:
    for function in functions:
        worse = _copy_with(
            tree, function, lambda node: setattr(node, "body", [ast.Return(value=ast.Constant(value=None))])
        )
        yield Mutant(text=worse, what=f"when {function.name} only returns None", stub=True)


def _each(
    tree: ast.Module,
    functions: list[ast.FunctionDef],
    change: _Change,
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


def _limit(same: set[ast.AST]) -> _Change:
    """A comparison, but for these, that takes its limit in or leaves it out."""

    def change(node: ast.AST) -> _Changes:
        if not isinstance(node, ast.Compare) or node in same:
            return []
        if (other := _NEXT.get(type(node.ops[0]))) is None:
            return []
        how = "left out" if other in (ast.Lt, ast.Gt) else "taken in"
        return [
            (
                f"with the limit of line {node.lineno} {how}",
                lambda n: setattr(n, "ops", [other(), *n.ops[1:]]),  # type: ignore[attr-defined]
            )
        ]

    return change


def _same_at_the_limit(tree: ast.Module) -> set[ast.AST]:
    """Comparisons after which one of the compared is taken, as in `if a < b: return b`: where both are equal,
    code with the other limit is mostly not wrong."""
    found = set[ast.AST]()
    for node in ast.walk(tree):
        if not isinstance(node, ast.If | ast.IfExp) or not isinstance(node.test, ast.Compare):
            continue
        last = node.body[-1] if isinstance(node, ast.If) else node
        taken = [last.body, last.orelse] if isinstance(last, ast.IfExp) else [getattr(last, "value", None)]
        compared = {ast.unparse(side) for side in (node.test.left, *node.test.comparators)}
        if any(isinstance(value, ast.expr) and ast.unparse(value) in compared for value in taken):
            found.add(node.test)
    return found


def _number(node: ast.AST) -> _Changes:
    if not isinstance(node, ast.Constant) or type(node.value) not in (int, float):
        return []
    more = cast("float", node.value) + 1
    return [(f"with {more} for {node.value} in line {node.lineno}", lambda n: setattr(n, "value", more))]


def _other_sign(node: ast.AST) -> _Changes:
    if not isinstance(node, ast.BinOp) or (other := _INVERSE.get(type(node.op))) is None:
        return []
    return [(f"with another sign in line {node.lineno}", lambda n: setattr(n, "op", other()))]


def _step_left_out(node: ast.AST) -> _Changes:
    """A call of a method of texts that changes nothing but the text, left out."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return []
    if node.func.attr not in _STEPS:
        return []
    inner = node.func.value

    def apply(n: ast.AST) -> None:
        n.func, n.args, n.keywords = ast.Name(id="str", ctx=ast.Load()), [copy.deepcopy(inner)], []  # type: ignore[attr-defined]

    return [(f"without {node.func.attr}() in line {node.lineno}", apply)]


def _pattern(node: ast.AST) -> _Changes:
    """A regular expression in which one sign stands for many, or many for one."""
    if not isinstance(node, ast.Call) or not node.args or not ast.unparse(node.func).startswith("re."):
        return []
    given = node.args[0]
    text = given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""
    match = re.search(r"(\[[^\]]+\]|\\[wsdWSD])(\+)?", text)
    if match is None:
        return []
    other = text[: match.end(1)] + ("" if match[2] else "+") + text[match.end() :]
    return [
        (
            f"with the pattern {other!r} in line {node.lineno}",
            lambda n: n.args.__setitem__(0, ast.Constant(value=other)),  # type: ignore[attr-defined]
        )
    ]


_NEXT: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_INVERSE: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
}
_STEPS = ("strip", "lstrip", "rstrip", "lower", "upper", "casefold", "title", "capitalize")
