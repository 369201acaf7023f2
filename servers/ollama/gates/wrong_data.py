"""JSON answers that say nothing, or what cannot be there: a schema repeated, values invented, rows missing or told twice."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import cast

from .amounts import amounts
from .completeness import incomplete
from .json_values import enums_of, leaves_of, lists_of
from .labels import misplaced
from .made_up import made_up_number
from .no_answer import Asked
from .records import mixed, rows_of, table
from .selection import other_rows, picked

_MAY_BE_EMPTY = re.compile(
    r"\b(?:empty|none|null|if any|if there|nothing|no such|otherwise|missing|not given|\[\])", re.IGNORECASE
)
_TYPE_NAMES = frozenset(("string", "integer", "number", "boolean", "array", "object", "null", "text"))
_NAMED = re.compile(r"\w")
_NORMAL = re.compile(r"[\d\s.,:/+\-TZ%€$£]+|true|false|yes|no|n/a|unknown|none", re.IGNORECASE)
"""Dates, times, amounts and yes or no may be told in another form than the material's."""
_IDENTIFIES = re.compile(r"id|key|code|number|nr|no|sku|email|path|file|url", re.IGNORECASE)
_CONDITION = re.compile(
    r"\b(?:no|ignor\w+|skip\w*|leav\w+ out|omit\w*|exclud\w+|who|whom|whose|which|that|where|when|only|still|without|not|before|after|over|under|above|below|more|less|than|between|except|if|"
    r"keine?n?|sans|sin|wer|wen|welche[nrs]?|deren|nur|noch|ohne|nicht|vor|nach|über|unter|mehr|weniger|als|außer|wenn)\b",
    re.IGNORECASE,
)
"""Words by which a task asks for some of what there is."""
_SHORT = 12
_MAY_HOLD = re.compile(
    r"address|full|text|line|sentence|descri|quote|summary|note|message|place|location|adresse|anschrift",
    re.IGNORECASE,
)
_ALL = re.compile(r"\b(?:each|every|all|alle|jede[nrs]?)\b", re.IGNORECASE)
_ADDRESSES = [re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), re.compile(r"https?://[^\s\"'<>)\]]*[\w/]")]
_ONCE = re.compile(
    r"\b(?:once|unique|distinct|different|without (?:duplicates|repetition)|no duplicates)\b", re.IGNORECASE
)

_ISO_ASKED = re.compile(r"\b(?:YYYY|JJJJ)-(?:MM-(?:DD|TT))\b|\bISO(?:[ -]8601)?\b")
_OTHER_DATE = re.compile(r"\d{1,2}[./]\s?\d{1,2}[./]\s?\d{2,4}")
_BLANK = frozenset(
    (
        "none",
        "null",
        "n/a",
        "na",
        "unknown",
        "not given",
        "not specified",
        "not available",
        "unbekannt",
        "keine angabe",
    )
)
"""What stands in a text that is left empty."""


def data_fault_of(value: object, asked: Asked, schema: Mapping[str, object]) -> str | None:
    """Why a JSON answer says nothing, or says what cannot be there; None when it may be true."""
    leaves = list(leaves_of(value))
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
    if found and (bare := _left_empty(value, asked.material)) and not _MAY_BE_EMPTY.search(asked.task):
        return f"{bare!r} is left empty"
    if asked.material.strip() and (wanted := picked(asked.task, asked.material)) is not None:
        with suppress(LookupError):
            if fault := other_rows(value, wanted):
                return fault
    if asked.kind == "extract" and asked.material.strip():
        if (missing := _left_out(texts, asked)) is not None:
            return f"{missing[:80]} is missing, and the task asks for all"
        if (number := made_up_number(value, asked, schema)) is not None:
            return f"not in the material: {number}"
        for items in lists_of(value):
            if fault := mixed(items, asked.material, lambda text, row: _stands(text, _flat(row))):
                return fault
    if _ISO_ASKED.search(asked.task) and (
        other := next((t for t in texts if _OTHER_DATE.fullmatch(t)), None)
    ):
        return f"{other!r} is a date in another form than the task asks for"
    return (
        _twice(value, asked.task)
        or _rows_missing(value, asked)
        or _other_ids(value, asked)
        or _alike(value, asked.material)
    )


def each_once(value: object, task: str) -> object:
    """The data without the words and numbers a list repeats, where the task wants each once."""
    if not _ONCE.search(task):
        return value
    if isinstance(value, dict):
        return {key: each_once(item, task) for key, item in cast("dict[str, object]", value).items()}
    if not isinstance(value, list):
        return value
    items = cast("list[object]", value)
    if any(isinstance(item, dict | list) for item in items):
        return [each_once(item, task) for item in items]
    return list({repr(item): item for item in items}.values())


def left_open(value: object, asked: Asked, schema: Mapping[str, object]) -> str | None:
    """What no look at the material can tell of valid data: choices, and words that are not its own."""
    if not asked.material.strip():
        return None
    chosen = {str(item) for item in enums_of(schema)}
    leaves = list(leaves_of(value))
    if asked.kind == "classify" or any(
        isinstance(leaf, bool) or (isinstance(leaf, str) and leaf in chosen) for leaf in leaves
    ):
        return "which of the choices is right"
    rows_known = False
    if (wanted := picked(asked.task, asked.material)) is not None:
        with suppress(LookupError):
            rows_known = other_rows(value, wanted) is None
    if not rows_known:
        if (rows := _some_rows(value, asked)) is not None:
            return rows
        if _CONDITION.search(asked.task) and any(lists_of(value)):
            return "whether these are the ones that were meant, and all of them"
    return _doubtful(value, asked, rows_known=rows_known) if asked.kind == "extract" else None


def _doubtful(value: object, asked: Asked, *, rows_known: bool) -> str | None:
    """A value of extracted data that may be another's, or nobody's."""
    leaves = list(leaves_of(value))
    if 0 not in amounts(asked.material) and any(leaf == 0 and not isinstance(leaf, bool) for leaf in leaves):
        return "whether 0 is so; the material says no 0"
    doubts = (incomplete(items, asked.material, rows_known=rows_known) for items in lists_of(value))
    doubt = _two_in_one(value) or misplaced(value, asked.material) or next((d for d in doubts if d), None)
    if doubt is not None:
        return doubt
    material = _flat(asked.material)
    own = next((x for x in leaves if isinstance(x, str) and x.strip() and not _stands(x, material)), None)
    return None if own is None else f"whether {own[:60]!r} is so; the material has other words"


def _two_in_one(value: object) -> str | None:
    """A short text of a record that holds another one of the same record: two things under one key."""
    if isinstance(value, list):
        return next((both for item in cast("list[object]", value) if (both := _two_in_one(item))), None)
    if not isinstance(value, dict):
        return None
    fields = cast("dict[str, object]", value)
    texts = {key: " ".join(item.split()) for key, item in fields.items() if isinstance(item, str)}
    for key, text in texts.items():
        for other, part in texts.items():
            held = len(part.split()) > 1 and len(part) < len(text) and len(text.split()) <= _SHORT
            if held and not _MAY_HOLD.search(key) and re.search(rf"(?:^|\s){re.escape(part)}(?:\s|$)", text):
                return f"whether {text[:60]!r} is only the {key}; it holds the {other} too"
            if key < other and text == part and _NAMED.search(text):
                return f"whether {text[:60]!r} is the {key} and the {other}"
    return next((both for item in fields.values() if (both := _two_in_one(item))), None)


def _some_rows(value: object, asked: Asked) -> str | None:
    """A list out of a table, where the task wants those rows of it that fit a condition."""
    lists = [items for items in lists_of(value) if items]
    count = rows_of(asked.material)
    if len(lists) != 1 or count is None or not _CONDITION.search(asked.task):
        return None
    if len(lists[0]) == count and re.search(
        r"\b(?:each|every|all|alle|jede[nrs]?)\b", asked.task, re.IGNORECASE
    ):
        return None
    return f"whether these are the rows meant, {len(lists[0])} of {count}"


def _left_out(texts: list[str], asked: Asked) -> str | None:
    """An address of the material that is not among those told, where the task wants all."""
    if not _ALL.search(asked.task) or _CONDITION.search(asked.task):
        return None
    for kind in _ADDRESSES:
        there, told = dict.fromkeys(kind.findall(asked.material)), " ".join(texts)
        said = [one for one in there if one in told]
        if said and len(said) < len(there):
            return next(one for one in there if one not in told)
    return None


def _left_empty(value: object, material: str) -> str | None:
    """The key of a text left empty beside others that are not."""
    if isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            if (isinstance(item, str) and _is_blank(item, material)) or (
                item is not None and _left_empty(item, material)
            ):
                return key if isinstance(item, str) else _left_empty(item, material)
    elif isinstance(value, list):
        return next(
            (key for item in cast("list[object]", value) if (key := _left_empty(item, material))), None
        )
    return None


def _is_blank(text: str, material: str) -> bool:
    """Whether a text says nothing: a word for that, and not one of the material's."""
    plain = text.strip()
    return not plain or (
        plain.casefold() in _BLANK and re.search(rf"\b{re.escape(plain)}\b", material) is None
    )


def _other_ids(value: object, asked: Asked) -> str | None:
    """Items of a classified table that are not its rows, by the column they share."""
    found = table(asked.material) if asked.kind == "classify" else None
    lists = list(lists_of(value))
    if found is None or len(lists) != 1:
        return None
    header, rows = found
    wanted = sorted(row[0] for row in rows)
    items = [cast("dict[str, object]", item) for item in lists[0] if isinstance(item, dict)]
    if not items or any(header[0] not in item for item in items):
        return None
    said = sorted(str(item[header[0]]) for item in items)
    if said == wanted or not re.search(r"\b(?:each|every|all)\b", asked.task, re.IGNORECASE):
        return None
    missing = next((name for name in wanted if name not in said), None)
    return f"{header[0]} {missing} is missing" if missing else f"a {header[0]} stands there twice"


def _invented(value: object, asked: Asked, schema: Mapping[str, object]) -> str | None:
    """The first text of a list that does not stand in the material, or of all where none does."""
    free = [text for text in leaves_of(value) if isinstance(text, str) and _NAMED.search(text)]
    chosen = {str(item) for item in enums_of(schema)}
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


def _twice(value: object, task: str) -> str | None:
    """An item that stands twice in a list where the task wants each once."""
    if not _ONCE.search(task):
        return None
    for items in lists_of(value):
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
    lists = list(lists_of(value))
    rows = len(lines) - 1
    if len(lists) == 1 and len(lists[0]) not in (rows, rows + 1):
        return f"the answer has {len(lists[0])} items for {rows} rows"
    return None


def _stands(text: str, material: str) -> bool:
    wanted = _flat(text)
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", material) is not None


def _flat(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _alike(value: object, material: str) -> str | None:
    """A list whose items are all the same, more often than the material says it."""
    if isinstance(value, dict):
        found = (_alike(item, material) for item in cast("dict[str, object]", value).values())
        return next((fault for fault in found if fault), None)
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    texts = [text for text in leaves_of(items[:1]) if isinstance(text, str) and text.strip()]
    if len(items) >= 3 and texts and all(item == items[0] for item in items):
        flat = _flat(material)
        if min(flat.count(_flat(text)) for text in texts) < len(items):
            return f"all {len(items)} items of a list are the same: {texts[0][:80]!r}"
    return next((fault for item in items if (fault := _alike(item, material))), None)
