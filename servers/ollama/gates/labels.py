"""Whether a value of extracted data stands where the material's own label for its key is: "Total: 9" beside {"total": 9}."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

from .amounts import amounts

_GENERIC = frozenset(("name", "nom", "nombre", "value", "wert", "valor", "text", "id", "title", "titel"))
"""Keys that say what of a thing is meant, not which: where the material does not label them, it labels what they lie in."""
_MOST = 300_000
"""Lines times values, beyond which none is looked up."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_RATE = re.compile(r"rate|percent|prozent|satz|share|anteil|%|pct|quota", re.IGNORECASE)
_OF_DIGITS = re.compile(
    r"(?:^|[_ -])(?:ids?|key|code|num(?:ber|mer)?|n[ro]|zip|plz|post\w*|zip\w*|phone|telephone|telefon|tel|fax|mobile?|date|datum|"
    r"day|year|jahr|time|at|version|port|isbn|sku|ref(?:erence)?|amount|price|total|sum|count|qty|quantity|room|house|account|"
    r"iban|serial|value|size|line|row|from|to|start|end|since|until)(?:$|[_ -])",
    re.IGNORECASE,
)
"""Keys whose text may well be digits alone."""


def misplaced(value: object, material: str) -> str | None:
    """Which value may stand under the wrong key, and why; None where nothing speaks for that."""
    lines = [line for line in material.split("\n") if line.strip()]
    leaves = list(_leaves(value, ()))
    if len(lines) * len(leaves) > _MOST:
        return None
    for path, leaf in leaves:
        if isinstance(leaf, bool) or leaf is None or leaf == "":
            continue
        if fault := _odd(path, leaf, lines):
            return f"whether {leaf!r} is the {path[-1]}{fault}" if path else None
    return None


def _odd(path: tuple[str, ...], leaf: object, lines: list[str]) -> str | None:
    key = path[-1] if path else ""
    digits = isinstance(leaf, str) and leaf.isdigit() and not _OF_DIGITS.search(_CAMEL.sub(" ", key))
    if digits and not any(
        re.search(rf"{_spelled(key)}\b.{{0,12}}\b{leaf}\b", line, re.IGNORECASE) for line in lines
    ):
        return "; it is digits alone"
    labelled = _labelled(path, lines)
    if labelled and not any(_holds(line, leaf) for _, line in labelled):
        return f"; {labelled[0][0].strip()[:60]!r} in the material is followed by something else"
    rate = isinstance(leaf, int | float) and not _RATE.search(" ".join(path))
    if rate and labelled and all(_as_rate(line, float(cast("float", leaf))) for _, line in labelled):
        return "; it stands there with a %"
    return None


def _labelled(path: tuple[str, ...], lines: list[str]) -> list[tuple[str, str]]:
    """(label, the line it begins and the next where that line is the label alone) for the key, else for what it lies in."""
    for key in path[-1:] if path and path[-1].casefold() not in _GENERIC else path[-1:-3:-1]:
        label = re.compile(
            rf"^\W*(?:[\w.]+ ){{0,2}}{_spelled(key)}\b[^:=|\t]{{0,12}}?(?:[:=|\t]|\s{{2,}})",
            re.IGNORECASE,
        )
        found: list[tuple[str, str]] = []
        for number, line in enumerate(lines):
            if match := label.match(line):
                rest = line[match.end() :]
                follows = lines[number + 1] if not rest.strip() and number + 1 < len(lines) else ""
                found.append((match.group().strip(" \t:=|"), f"{line}\n{follows}"))
        if found:
            return found
    return []


def _spelled(key: str) -> str:
    """A pattern for a key as people write it: postCode, post_code and "Post code"."""
    words = re.findall(r"[^\W\d_]+|\d+", _CAMEL.sub(" ", key))
    return r"\b" + "[ _-]?".join(words) if words else r"(?!)"


def _holds(line: str, leaf: object) -> bool:
    if isinstance(leaf, int | float):
        return abs(float(leaf)) in amounts(line) or not amounts(line)
    said = re.findall(r"\w+", str(leaf).casefold())
    there = set(re.findall(r"\w+", line.casefold()))
    return not said or sum(word in there for word in said) * 2 >= len(said)


def _as_rate(line: str, number: float) -> bool:
    """Whether the number stands in the line only as so many per cent."""
    rates = {float(n.replace(",", ".")) for n in re.findall(r"(\d+(?:[.,]\d+)?)\s?%", line)}
    plain = amounts(re.sub(r"\d+(?:[.,]\d+)?\s?%", " ", line))
    return number in rates and bool(plain) and number not in plain


def _leaves(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _leaves(item, path)
    else:
        yield path, value
