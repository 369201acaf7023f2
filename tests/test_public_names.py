"""R124: whoever reads a public name's docstring knows what it gives, its units, what None means and what it raises."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import orchestrator

UNITS = ("_s", "_usd", "_tokens", "_bytes", "_chars", "_rounds")
"""Endings of names that say by themselves what a number counts."""


@dataclass(frozen=True, slots=True)
class Told:
    """One name that a program may use, and all that is said about it: by itself, and by its class."""

    name: str
    of: Any
    doc: str
    around: str = ""

    @property
    def said(self) -> str:
        """With what it refers to: "As `completion`, ..."."""
        other = re.search(r"\b[Aa]s `(\w+)`", self.doc)
        scope: Any = getattr(orchestrator, self.name.partition(".")[0]) if self.around else orchestrator
        referred = inspect.getdoc(getattr(scope, other[1], None)) if other else ""
        return f"{self.doc}\n{self.around}\n{referred}"


def public() -> Iterator[Told]:
    for name in orchestrator.__all__:
        of: Any = getattr(orchestrator, name)
        doc = _own_doc(of)
        yield Told(name, of, doc)
        if inspect.isclass(of):
            for member, value in vars(of).items():
                inner = getattr(value, "fget", None) or getattr(value, "__func__", value)
                if not member.startswith("_") and inspect.isfunction(inner):
                    yield Told(f"{name}.{member}", inner, _own_doc(inner), doc)


def _own_doc(of: Any) -> str:
    doc = inspect.cleandoc(vars(of).get("__doc__") or "" if inspect.isclass(of) else of.__doc__ or "")
    return (
        "" if inspect.isclass(of) and doc.startswith(f"{of.__name__}(") else doc
    )  # a dataclass's own signature


def values(told: Told) -> Iterator[tuple[str, str]]:
    """(name, type as written) of what is given to it, or read from it."""
    if inspect.isclass(told.of) and is_dataclass(told.of):
        yield from (
            (field.name, str(field.type)) for field in fields(told.of) if not field.name.startswith("_")
        )
    elif inspect.isfunction(told.of):
        for parameter in inspect.signature(told.of).parameters.values():
            if parameter.name not in ("self", "cls"):
                yield parameter.name, str(parameter.annotation)


def raises(told: Told) -> set[str]:
    """The errors that stand in its own lines, those of functions in it left out."""
    if not inspect.isfunction(told.of):
        return set()
    body = ast.parse(textwrap.dedent(inspect.getsource(told.of))).body[0]
    inner = {
        id(each)
        for node in ast.walk(body)
        if node is not body and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for each in ast.walk(node)
    }
    found = [node.exc for node in ast.walk(body) if isinstance(node, ast.Raise) and id(node) not in inner]
    return {one.func.id for one in found if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)} - {
        "AssertionError"
    }


def test_every_name_says_what_it_is_and_every_value_has_a_type() -> None:
    for told in public():
        assert len(told.doc.split()) >= 3, f"{told.name} says nothing of itself"
        untyped = [name for name, kind in values(told) if kind in ("", str(inspect.Parameter.empty))]
        assert not untyped, f"{told.name}: no type for {untyped}"
        if inspect.isfunction(told.of):
            assert told.of.__annotations__.get("return"), f"{told.name} does not say what type it gives"


def test_every_number_has_its_unit_in_its_name_or_is_spoken_of() -> None:
    silent = [
        f"{told.name}: {name}"
        for told in public()
        for name, kind in values(told)
        if re.search(r"\b(int|float)\b", kind) and not name.endswith(UNITS) and not _named(name, told.said)
    ]
    assert not silent


def test_what_may_be_none_says_what_none_means() -> None:
    silent = [
        f"{told.name}: {name}"
        for told in public()
        for name, kind in values(told)
        if _may_be_none(kind) and "None" not in told.said and not _named(name, told.said)
    ]
    silent += [
        told.name
        for told in public()
        if inspect.isfunction(told.of)
        and re.search(r"\| None$", str(told.of.__annotations__.get("return")))
        and "None" not in told.said
    ]
    assert not silent


def test_what_a_function_raises_itself_is_said() -> None:
    silent = [
        f"{told.name}: {', '.join(found)}"
        for told in public()
        if (found := raises(told)) and not re.search(r"\b[Rr]aise[sd]?\b", told.said)
    ]
    assert not silent


def _may_be_none(kind: str) -> bool:
    return re.search(r"\bNone\b", re.sub(r"\[.*\]", "", kind)) is not None


def _named(name: str, said: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) is not None
