"""Walks through JSON data and schemas: its values, lists, keys, and what a schema lets be chosen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast


def leaves_of(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            yield from leaves_of(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from leaves_of(item)
    else:
        yield value


def lists_of(value: object) -> Iterator[list[object]]:
    if isinstance(value, list):
        yield cast("list[object]", value)
    elif isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            yield from lists_of(item)


def keys_of(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            yield key
            yield from keys_of(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from keys_of(item)


def enums_of(schema: object) -> Iterator[object]:
    if isinstance(schema, dict):
        for key, item in cast("dict[str, object]", schema).items():
            if key in ("enum", "examples") and isinstance(item, list):
                yield from cast("list[object]", item)
            elif key == "const":
                yield item
            yield from enums_of(item)
    elif isinstance(schema, list):
        for item in cast("list[object]", schema):
            yield from enums_of(item)
