"""Rows of a table that a task picks by the values of its columns: "whose status is open and whose priority is high"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from .records import table

_IS = r"(?:\s+(?:is|are|equals?|of|ist|sind|gleich)|\s*(?:=|==|:))\s+[\"'„]?"
_MOST_ROWS = 2000
_REST = re.compile(
    r"\b(?:or|not|no|without|except|more|less|over|under|above|below|before|after|between|only|first|last|most|least|oder|nicht|"
    r"ohne|mehr|weniger|über|unter|vor|nach|nur|\d+)\b|[<>]",
    re.IGNORECASE,
)
"""Words of a condition that is more than one value in one column."""
_RELATIVE = re.compile(
    r"\b(?:who|whose|which|that|where|with|deren|dessen|welche[nrs]?|wo|mit)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Picked:
    """The rows a task picks, and what it picks them by."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    by: str


def picked(task: str, material: str) -> Picked | None:
    """The rows whose cells are what the task says of their columns; None where it says none of them, or more than that."""
    found = table(material)
    if found is None or len(found[1]) > _MOST_ROWS:
        return None
    header, rows = found
    wanted, rest = dict[int, str](), task
    for at, column in enumerate(header):
        for cell in sorted({row[at] for row in rows if row[at]}, key=len, reverse=True):
            clause = re.compile(rf"\b{re.escape(column)}{_IS}{re.escape(cell)}\b", re.IGNORECASE)
            if at not in wanted and clause.search(rest):
                wanted[at], rest = cell, clause.sub(" ", rest)
    if not wanted or _REST.search(rest) or len(_RELATIVE.findall(rest)) > len(wanted):
        return None
    fitting = [
        row for row in rows if all(row[at].casefold() == cell.casefold() for at, cell in wanted.items())
    ]
    by = " and ".join(f"{header[at]} {cell}" for at, cell in wanted.items())
    return Picked(header, fitting, by)


def other_rows(value: object, wanted: Picked) -> str | None:
    """Why data does not tell just these rows; None where it does. LookupError where that cannot be said."""
    column = next(_columns(wanted.header, value), None)
    if column is None:
        raise LookupError
    at, told = column
    right = [row[at] for row in wanted.rows]
    if sorted(told) == sorted(right):
        return None
    stray = next((one for one in told if one not in right), None)
    left = next((one for one in right if one not in told), None)
    fault = f"{stray!r} is none of them" if stray else f"{left!r} is missing" if left else "one is told twice"
    return f"rows with {wanted.by}: {fault}; there are {len(right)}"


def _columns(header: Sequence[str], value: object) -> Iterator[tuple[int, list[str]]]:
    """A column with its values in the data: of a list of records by their keys, of a plain list by its own key."""
    for key, items in _lists(value, ""):
        if items and all(isinstance(item, dict) for item in items):
            records = [cast("Mapping[str, object]", item) for item in items]
            for at, name in enumerate(header):
                if all(name in record for record in records):
                    yield at, [str(record[name]) for record in records]
        else:
            for at, name in enumerate(header):
                if key.casefold() in (name.casefold(), f"{name}s".casefold()):
                    yield at, [str(item) for item in items]


def _lists(value: object, key: str) -> Iterator[tuple[str, list[object]]]:
    if isinstance(value, list):
        yield key, cast("list[object]", value)
    elif isinstance(value, dict):
        for name, item in cast("dict[str, object]", value).items():
            yield from _lists(item, name)
