"""JSON answers that say nothing, or what cannot be there: a schema repeated, values invented, rows missing or told twice."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import cast

from .no_answer import Asked

_MAY_BE_EMPTY = re.compile(
    r"\b(?:empty|none|null|if any|if there|nothing|no such|otherwise|missing|not given|\[\])", re.IGNORECASE
)
_TYPE_NAMES = frozenset(("string", "integer", "number", "boolean", "array", "object", "null", "text"))
_NAMED = re.compile(r"\w")
_NORMAL = re.compile(r"[\d\s.,:/+\-TZ%€$£]+|true|false|yes|no|n/a|unknown|none", re.IGNORECASE)
"""Dates, times, amounts and yes or no may be told in another form than the material's."""
_IDENTIFIES = re.compile(r"id|key|code|number|nr|no|sku|email|path|file|url", re.IGNORECASE)
_ONCE = re.compile(
    r"\b(?:once|unique|distinct|different|without (?:duplicates|repetition)|no duplicates)\b", re.IGNORECASE
)


def data_fault_of(value: object, asked: Asked, schema: Mapping[str, object]) -> str | None:
    """Why a JSON answer says nothing, or says what cannot be there; None when it may be true."""
    leaves = list(_leaves(value))
    texts = [leaf for leaf in leaves if isinstance(leaf, str)]
    if value == schema or (isinstance(value, dict) and {"type", "properties"} <= value.keys()):
        return "the answer repeats the schema instead of filling it"
    if texts and len(texts) == len(leaves) and all(text.strip().lower() in _TYPE_NAMES for text in texts):
        return "the answer holds the names of types instead of values"
    empty = all(leaf is None or (isinstance(leaf, str) and not leaf.strip()) for leaf in leaves)
    if empty and not isinstance(value, bool) and not _MAY_BE_EMPTY.search(asked.task):
        return 'the answer holds nothing; if that may be so, the task has to say it ("an empty list if there is none")'
    found = asked.kind in ("extract", "classify") and asked.material.strip()
    if found and (invented := _invented(value, asked, schema)):
        return f"not in the material: {invented[:120]!r}"
    return _twice(value, asked.task) or _rows_missing(value, asked) or _alike(value, asked.material)


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _leaves(item)
    else:
        yield value


def _invented(value: object, asked: Asked, schema: Mapping[str, object]) -> str | None:
    """The first text of a list that does not stand in the material, or of all where none does."""
    free = [text for text in _leaves(value) if isinstance(text, str) and _NAMED.search(text)]
    chosen = {str(item) for item in _enums(schema)}
    named = set(_identifiers(value))
    free = [t for t in free if t not in chosen and (t in named or not _NORMAL.fullmatch(t.strip()))]
    material = _flat(asked.material + "\n" + asked.task)
    missing = [text for text in free if not _stands(text, material)]
    listed = [text for text in (*_listed(value), *_identifiers(value)) if text in missing]
    if listed:
        return listed[0]
    return missing[0] if missing and len(missing) == len(free) and len(free) > 1 else None


def _listed(value: object) -> Iterator[str]:
    """Texts that are items of a list: things found, not words about them."""
    if isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            yield from _listed(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            if isinstance(item, str):
                if len(item) <= 60:
                    yield item
            else:
                yield from _listed(item)


def _identifiers(value: object) -> Iterator[str]:
    """Texts under keys that name a thing of the material."""
    if isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            if isinstance(item, str) and _IDENTIFIES.fullmatch(key):
                yield item
            else:
                yield from _identifiers(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _identifiers(item)


def _lists(value: object) -> Iterator[list[object]]:
    if isinstance(value, list):
        yield cast("list[object]", value)
    elif isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            yield from _lists(item)


def _twice(value: object, task: str) -> str | None:
    """An item that stands twice in a list where the task wants each once."""
    if not _ONCE.search(task):
        return None
    for items in _lists(value):
        told = [repr(item) for item in items]
        if again := next((item for item, times in Counter(told).items() if times > 1), None):
            return f"{again[:80]} stands in a list more than once"
    return None


def _rows_missing(value: object, asked: Asked) -> str | None:
    """Fewer or more items than the table has rows, where the task is about each of them."""
    lines = [line for line in asked.material.strip().split("\n") if line.strip()]
    commas = {line.count(",") for line in lines}
    table = len(lines) > 2 and len(commas) == 1 and min(commas) > 0
    if (
        asked.kind != "classify"
        or not table
        or not re.search(r"\b(?:each|every|all)\b", asked.task, re.IGNORECASE)
    ):
        return None
    lists = list(_lists(value))
    rows = len(lines) - 1
    if len(lists) == 1 and len(lists[0]) not in (rows, rows + 1):
        return f"the answer has {len(lists[0])} items for {rows} rows"
    return None


def _stands(text: str, material: str) -> bool:
    wanted = _flat(text)
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", material) is not None


def _flat(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _enums(schema: object) -> Iterator[object]:
    if isinstance(schema, dict):
        for key, item in cast("dict[str, object]", schema).items():
            if key in ("enum", "examples") and isinstance(item, list):
                yield from cast("list[object]", item)
            elif key == "const":
                yield item
            yield from _enums(item)
    elif isinstance(schema, list):
        for item in cast("list[object]", schema):
            yield from _enums(item)


def _alike(value: object, material: str) -> str | None:
    """A list whose items are all the same, more often than the material says it."""
    if isinstance(value, dict):
        found = (_alike(item, material) for item in cast("dict[str, object]", value).values())
        return next((fault for fault in found if fault), None)
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    texts = [text for text in _leaves(items[:1]) if isinstance(text, str) and text.strip()]
    if len(items) >= 3 and texts and all(item == items[0] for item in items):
        flat = _flat(material)
        if min(flat.count(_flat(text)) for text in texts) < len(items):
            return f"all {len(items)} items of a list are the same: {texts[0][:80]!r}"
    return next((fault for item in items if (fault := _alike(item, material))), None)
