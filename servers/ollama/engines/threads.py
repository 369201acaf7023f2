"""How many threads a model of an Ollama server gets: what `understudy calibrate --threads` found best, kept per model.

With every core at work one busy program makes a model on the CPU many times slower, since all threads wait for the
one that lost its core. Every process sends what was found, as a change of it loads the model anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from ...state.home import home
from ...state.whole_file import write_whole
from ..ledger.keys import full_name

_seen: tuple[Path, float, dict[str, int]] | None = None


def threads_for(url: str, model: str) -> int | None:
    """num_thread for this model there; None leaves it to the server."""
    return _all().get(_name(url, model)) or None


def are_measured(url: str, model: str) -> bool:
    """Whether it is known which number is best, be it the server's own."""
    return _name(url, model) in _all()


def keep_threads(url: str, model: str, threads: int | None) -> None:
    """From now on this model is asked to run with so many threads; None: as its server likes. Raises OSError."""
    global _seen
    name = _name(url, model)
    write_whole(_path(), json.dumps({**_all(), name: threads or 0}))
    _seen = None


def _all() -> dict[str, int]:
    """What is kept; read again when the file has changed."""
    global _seen
    try:
        path = _path()
        changed = path.stat().st_mtime_ns / 1e9
        if _seen is None or _seen[:2] != (path, changed):
            found = cast("dict[str, object]", json.loads(path.read_bytes()))
            _seen = path, changed, {k: v for k, v in found.items() if isinstance(v, int) and v >= 0}
        return _seen[2]
    except (OSError, ValueError, AttributeError):
        return {}


def _path() -> Path:
    return home() / "threads.json"


def _name(url: str, model: str) -> str:
    return f"{url.rstrip('/')} {full_name(model)}"
