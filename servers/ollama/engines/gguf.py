"""What a GGUF file says about itself: its key-value header, read without loading the model.

Source: ggml's docs/gguf.md.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"GGUF"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_MAX_TEXT = 1 << 22
_MAX_KEYS = 4096
_MAX_ITEMS = 1 << 24
_KEPT_ITEMS = 1024
"""A longer array is a tokenizer's, of no use here; it is skipped."""


class BadGguf(Exception):
    """The file is no GGUF file, or a damaged one. One sentence."""


def read_header(path: Path) -> dict[str, object]:
    """The header's keys and values. Raises BadGguf, or OSError."""
    try:
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                raise BadGguf(f"{path} is no GGUF file")
            version, _, count = _unpack(file, "<IQQ")
            if version not in (2, 3) or count > _MAX_KEYS:
                raise BadGguf(
                    f"{path} is GGUF of version {version} with {count} keys; versions 2 and 3 are read"
                )
            return {_text(file): _value(file, _unpack(file, "<I")[0]) for _ in range(count)}
    except (struct.error, UnicodeDecodeError, ValueError) as exc:
        raise BadGguf(f"{path} is damaged: {exc}") from exc


def _value(file: BinaryIO, kind: int) -> object:
    if kind == _TEXT:
        return _text(file)
    if kind in _NUMBERS:
        return _unpack(file, "<" + _NUMBERS[kind])[0]
    if kind != _ARRAY:
        raise ValueError(f"unknown value type {kind}")
    inner, items = _unpack(file, "<IQ")
    if items > _MAX_ITEMS:
        raise ValueError(f"an array of {items} items")
    if items > _KEPT_ITEMS and inner in _NUMBERS:
        file.seek(struct.calcsize("<" + _NUMBERS[inner]) * items, os.SEEK_CUR)
        return None
    values = [_value(file, inner) for _ in range(items)]
    return values if items <= _KEPT_ITEMS else None


def _text(file: BinaryIO) -> str:
    size = _unpack(file, "<Q")[0]
    if size > _MAX_TEXT:
        raise ValueError(f"a text of {size} bytes")
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it ends early")
    return data.decode("utf-8", "replace")


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))
