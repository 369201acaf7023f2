"""A calculator: `tools=["orchestrator.function_tools.calculator:calculate"]`. Nothing is evaluated as Python."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from .function_tool import tool

MAX_CHARS, MAX_BITS = 500, 4_000
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_AS_WRITTEN = str.maketrans({"^": "**", "×": "*", "÷": "/", "−": "-"})
_NAMES = {"pi": math.pi, "e": math.e}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(math, name) for name in ("sqrt", "exp", "log", "log2", "log10", "sin", "cos", "tan")},
    "abs": abs,
    "min": min,
    "max": max,
    "floor": math.floor,
    "ceil": math.ceil,
}


@tool(read_only=True)
def calculate(expression: str) -> int | float:
    """Work out an arithmetic expression: + - * / // % **, parentheses, pi, e, sqrt, log, sin, min, max and such."""
    if len(expression) > MAX_CHARS:
        raise ValueError(f"wanted at most {MAX_CHARS} characters, found {len(expression)}")
    try:
        tree = ast.parse(expression.strip().translate(_AS_WRITTEN), mode="eval")
    except SyntaxError as exc:
        raise ValueError(f"{expression[:60]!r} is no arithmetic expression: {exc.msg}") from None
    found = _value(tree.body)
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError("the number is too large")
    return found


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
            return -_value(inner) if isinstance(sign, ast.USub) else _value(inner)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _bounded(_BINARY[type(op)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_called(name, [_value(one) for one in args]))
        case _:
            known = ", ".join([*_NAMES, *_FUNCTIONS])
            raise ValueError(f"wanted numbers, + - * / // % ** and {known}; found {ast.unparse(node)[:60]!r}")


def _called(name: str, values: list[Any]) -> Any:
    if name in ("min", "max") and values:
        return _FUNCTIONS[name](values)
    try:
        return _FUNCTIONS[name](*values)
    except TypeError:
        raise ValueError(f"{name} takes other arguments than {len(values)} numbers") from None


def _brief(number: Any) -> str:
    said = str(number)
    return said if len(said) <= 30 else f"{said[:15]}...{said[-5:]}"


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and abs(exponent) * max(base.bit_length(), 1) > MAX_BITS:
        raise ValueError(f"{_brief(base)} ** {_brief(exponent)} has too many digits")
    if base < 0 and exponent % 1:
        raise ValueError(f"({_brief(base)}) ** {_brief(exponent)} is no real number")
    return _bounded(base**exponent)


def _bounded(number: Any) -> Any:
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise ValueError("the number has too many digits")
    return number
