"""The files that say what a project is, read in small. Nothing of them is shown, so a link is no harm."""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

_MAX_BYTES = 1 << 20


def text_of(path: Path) -> str:
    """The beginning of a regular file; "" when there is none."""
    try:
        info = path.stat()
    except OSError:
        return ""
    return _read(str(path), info.st_mtime_ns, info.st_size) if path.is_file() else ""


def toml_of(path: Path) -> dict[str, Any]:
    with suppress(ValueError):
        return tomllib.loads(text_of(path))
    return {}


def json_of(path: Path) -> dict[str, Any]:
    with suppress(ValueError):
        found = json.loads(text_of(path))
        return found if isinstance(found, dict) else {}
    return {}


@lru_cache(2000)
def _read(path: str, mtime_ns: int, size: int) -> str:
    del mtime_ns, size  # what is kept is of the file as it was then
    with suppress(OSError), open(path, "rb") as file:
        return file.read(_MAX_BYTES).decode("utf-8", "replace")
    return ""
