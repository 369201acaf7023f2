"""Lists of records taken from a text: whether each record's values stand together there, and whether some were left out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import cast

from .amounts import amounts
from .records import lines_of, rows_of

_WORD = re.compile(r"[\w@.:/+-]+")
_LONGEST = 60
"""Characters of a word that may be a number, a code or an address."""
_MOST = 300_000
"""Records times lines, beyond which it is not looked whether values stand together."""


def incomplete(items: Sequence[object], material: str, *, rows_known: bool = False) -> str | None:
    """What is doubtful of a list of records; None where nothing is. `rows_known`: which rows they are is settled."""
    records = [cast("Mapping[str, object]", item) for item in items if isinstance(item, dict)]
    if not records or len(records) != len(items):
        return None
    doubt = _twice(records) or _apart(records, material)
    return doubt if doubt or rows_known else _fewer_rows(records, material) or _unlike_told(records, material)


def _twice(records: Sequence[Mapping[str, object]]) -> str | None:
    times = Counter(repr(sorted(record.items(), key=repr)) for record in records)
    again = next((record for record in records if times[repr(sorted(record.items(), key=repr))] > 1), None)
    return None if again is None else f"whether {_named(again)} is there twice"


def _apart(records: Sequence[Mapping[str, object]], material: str) -> str | None:
    """A record whose values stand in no one line and no one paragraph."""
    paragraphs = [text for text in re.split(r"\n\s*\n", material) if text.strip()]
    places = [*lines_of(material), *(paragraphs if len(paragraphs) >= len(records) else [])]
    if len(records) * len(places) > _MOST:
        return None
    for record in records:
        values = [
            v
            for v in record.values()
            if isinstance(v, str | int | float) and not isinstance(v, bool) and v != ""
        ]
        if len(values) > 1 and not any(all(_in(value, place) for value in values) for place in places):
            return f"whether the values of {_named(record)} belong together; no one line of the material has them all"
    return None


def _fewer_rows(records: Sequence[Mapping[str, object]], material: str) -> str | None:
    rows = rows_of(material)
    return (
        f"whether these are all that were meant, {len(records)} of {rows} rows"
        if rows and rows != len(records)
        else None
    )


def _unlike_told(records: Sequence[Mapping[str, object]], material: str) -> str | None:
    """A word of the material with the shape that all values of a key have, which no record tells."""
    shapes: dict[str, set[str]] = defaultdict(set)
    told = " ".join(str(value) for record in records for value in record.values())
    for record in records:
        for key, value in record.items():
            if isinstance(value, str) and _is_shaped(value):
                shapes[key].add(_shape(value))
    for key, found in shapes.items():
        if len(found) == 1 and sum(isinstance(record.get(key), str) for record in records) > 1:
            (shape,) = found
            words = (word.rstrip(".:-/") for word in _WORD.findall(material))
            left = next((w for w in words if _is_shaped(w) and _shape(w) == shape and w not in told), None)
            if left is not None:
                return f"whether {left[:60]!r} was left out; it looks like each {key}"
    return None


def _is_shaped(word: str) -> bool:
    """Whether a word is more than letters: a number, a code, an address."""
    return (
        len(word) <= _LONGEST and bool(_WORD.fullmatch(word)) and any(c.isdigit() or c == "@" for c in word)
    )


def _in(value: object, place: str) -> bool:
    if isinstance(value, int | float):
        return abs(float(value)) in amounts(place)
    return re.search(rf"(?<!\w){re.escape(_flat(str(value)))}(?!\w)", _flat(place)) is not None


def _shape(word: str) -> str:
    """Its letters and digits by kind, runs of letters as one: LP2-0931 is A9-9999."""
    kinds = re.sub(r"[^\W\d_]", lambda m: "A" if m[0].isupper() else "a", re.sub(r"\d", "9", word))
    return re.sub(r"(A|a)\1+", r"\1", kinds)


def _named(record: Mapping[str, object]) -> str:
    first = next((value for value in record.values() if isinstance(value, str) and value), None)
    return repr(str(first if first is not None else dict(record))[:60])


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())
