"""Changed files of settings (TOML, YAML, JSON, INI, .env): which values changed, and whether the task names them."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import cast

from .changes import removes

MAX_CHARS = 200_000
Values = Counter[tuple[str, str]]
"""(place, value) of everything a file of settings says."""


def judge(path: str, old: str, new: str, task: str) -> tuple[bool | None, str]:
    """Whether a change is what the task says: nothing lost, every number of the task there, every new value named by it.

    None where that cannot be said: the values may be right that the task does not spell out.
    """
    had, has = _values(path, old), _values(path, new)
    if had is None or has is None:
        return None, "no settings known here"
    places = {place for place, _ in has}
    lost = next((place for place, _ in had if place not in places and not place.endswith("[]")), None)
    gone = lost or next(
        (f"{value} of {place}" for place, value in had - has if _shorter(place, had, has)), None
    )
    if gone is not None and not removes(task) and not (has - had and is_named(gone.rpartition(".")[2], task)):
        return False, f"{gone} is gone, and the task does not say to remove it"
    if fault := _elsewhere(had, has, task) or _other_type(path, old, new):
        return False, fault
    numbers = numbers_of(task)
    absent = [number for number in numbers if not _holds(new + old, number)]
    if absent:  # one of several may be no value: a day, a length
        return False if len(absent) == len(
            numbers
        ) else None, f"the task says {absent[0]}, and it stands nowhere in the file"
    changed = has - had
    if changed.total() < parts_of(task) and not gone:
        return None, "the task asks for more than changed"
    if changed and all(is_named(value, task) and _placed(place, places, task) for place, value in changed):
        return (
            True,
            f"changed: {', '.join(sorted({place for place, _ in changed}))[:200]}; each value stands in the task",
        )
    return None, "the task does not spell out each new value"


def _elsewhere(had: Values, has: Values, task: str) -> str | None:
    """A key that changed in a section the task does not speak of, where the one it speaks of has that key as before."""
    changed = {place for place, _ in has - had}
    for place in changed:
        section, _, key = place.rpartition(".")
        if not section or is_spoken(section.rpartition(".")[2], task):
            continue
        for other, _ in had:
            where, _, name = other.rpartition(".")
            if (
                name == key
                and where != section
                and other not in changed
                and is_spoken(where.rpartition(".")[2], task)
            ):
                return f"{place} changed, and the task speaks of {other}"
    return None


def _other_type(path: str, old: str, new: str) -> str | None:
    """A number or a yes or no that became a text: 25 and "25"."""
    if (read := _READERS.get(PurePath(path).suffix.lower())) is None:
        return None
    before, after = (dict(_typed(read(text), "")) for text in (old, new))
    for place, value in after.items():
        if isinstance(value, str) and isinstance(before.get(place), bool | int | float):
            return f"{place} was {json.dumps(before[place])} and would become the text {value!r}"
    return None


def _typed(value: object, place: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            yield from _typed(item, f"{place}.{key}" if place else str(key))
    elif not isinstance(value, list):
        yield place, value


def _shorter(place: str, had: Values, has: Values) -> bool:
    """Whether a list has fewer items than it had."""
    before, after = (
        sum(times for (where, _), times in values.items() if where == place) for values in (had, has)
    )
    return place.endswith("[]") and after < before


def _values(path: str, text: str) -> Values | None:
    name = PurePath(path).name.lower()
    read = _READERS.get(name if name.startswith(".env") else PurePath(name).suffix)
    if read is None or len(text) > MAX_CHARS:
        return None
    try:
        return Counter(_flat(read(text), ""))
    except (ValueError, RecursionError, configparser.Error):
        return None


def _flat(value: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in cast("dict[object, object]", value).items():
            yield from _flat(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _flat(item, f"{place}[]")
    else:
        yield place, json.dumps(value, default=str) if isinstance(value, bool | None) else str(value)


def parts_of(task: str) -> int:
    """How many things a task asks for, as far as its joining words tell."""
    return 1 + len(_JOINS.findall(task.strip()))


def is_named(value: str, task: str) -> bool:
    """Whether a value stands in the task; on and off, yes and no stand for true and false."""
    said = task.casefold()
    if value in ("true", "false"):
        words = (
            "true|on|yes|enable|activate|switch on|an|ein"
            if value == "true"
            else "false|off|no|disable|deactivate|switch off|aus"
        )
        return re.search(rf"\b(?:{words})", said) is not None
    return bool(value) and re.search(rf"(?<![\w.]){re.escape(value.casefold())}(?![\w])", said) is not None


def _placed(place: str, places: set[str], task: str) -> bool:
    """Whether the task names a place: its key, and of a key that stands in several places also where."""
    *parents, key = place.replace("[]", "").split(".")
    alike = [other.replace("[]", "").split(".") for other in places if other != place]
    own = set(parents).difference(*(other[:-1] for other in alike if other[-1] == key))
    shared = any(other[-1] == key for other in alike)
    return is_spoken(key, task) and (not shared or any(is_spoken(parent, task) for parent in own))


def is_spoken(key: str, task: str) -> bool:
    """Whether a word of a key stands in the task, its ending apart."""
    words = re.findall(r"[^\W\d_]{2,}", key) or [f"{key} "]
    return any(re.search(rf"(?<![^\W\d_]){re.escape(word[:5])}", task, re.IGNORECASE) for word in words)


def numbers_of(task: str) -> list[str]:
    """Those that should stand in the file: none of "#4711" and of "more by 2"."""
    number = r"(?<![\w.,#-])(?<!\bby )(?<!\bum )\d+(?:\.\d+)*(?![\w-]|\.\d)"
    return re.findall(rf"{number}(?!\s*(?:{_NO_VALUE}))", task)


def _holds(text: str, number: str) -> bool:
    """Whether a number stands in a text, also told in another unit."""
    if re.search(rf"(?<![\w.]){re.escape(number)}(?!\w|\.\d)|(?<=[=<>~^v:@]){re.escape(number)}", text):
        return True
    if number.count(".") > 1:
        return False
    there = {float(n) for n in re.findall(r"\d+(?:\.\d+)?", text)}
    return any(
        float(number) * factor in there
        for factor in (1, 60, 1000, 1024, 3600, 86400, 1 / 60, 1 / 1000, 1 / 1024, 1 / 3600)
    )


def _ini(text: str) -> object:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text.removeprefix("\ufeff"))
    return {section: dict(parser.items(section)) for section in parser.sections()}


def _env(text: str) -> object:
    lines = [line.strip() for line in text.split("\n") if line.strip() and not line.strip().startswith("#")]
    return {
        line.partition("=")[0].removeprefix("export "): line.partition("=")[2].strip("\"'") for line in lines
    }


def _yaml(text: str) -> object:
    import yaml

    if re.search(r"(?:^|\s)[&*]\w", text):  # an alias may stand for much
        raise ValueError("anchors")
    try:
        return cast("object", yaml.safe_load(text))
    except yaml.YAMLError as exc:
        raise ValueError(str(exc)) from exc


_READERS: dict[str, Callable[[str], object]] = {
    ".toml": tomllib.loads,
    ".json": json.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".ini": _ini,
    ".cfg": _ini,
    ".conf": _ini,
    ".env": _env,
}
_JOINS = re.compile(
    r"\b(?:and|also|then|plus|und|auch|dann|et|aussi|puis|y|también)\b|[;&]|[.!]\s+(?=\w)", re.IGNORECASE
)
_NO_VALUE = r"lines?|sentences?|words?|times|spaces|files?|steps?|%|percent"
