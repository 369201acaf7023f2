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
    return _value(ast.parse(expression.strip().replace("^", "**"), mode="eval").body)


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
            return _bounded(_FUNCTIONS[name](*map(_value, args)))
        case _:
            known = ", ".join([*_NAMES, *_FUNCTIONS])
            raise ValueError(f"wanted numbers, + - * / // % ** and {known}; found {ast.unparse(node)[:60]!r}")


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and abs(exponent) * max(base.bit_length(), 1) > MAX_BITS:
        raise ValueError(f"{base} ** {exponent} has too many digits")
    if base < 0 and exponent % 1:
        raise ValueError(f"{base} ** {exponent} is no real number")
    return _bounded(base**exponent)


def _bounded(number: Any) -> Any:
    if isinstance(number, int) and number.bit_length() > MAX_BITS:
        raise ValueError("the number has too many digits")
    return number
