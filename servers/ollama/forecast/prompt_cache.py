"""The prompts an engine has just read, and how much of the next one its cache may therefore hold.

An engine that other processes reach too is told of to them by a file: not the prompts, only hashes of how they begin.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import cast

from ...source.common import common_start
from ...state.whole_file import write_whole

KEPT = 8
"""Of each model."""
HELD_S = 1800.0
"""What another process left is believed so long, while the model stays loaded."""
_SURE = 0.98
"""Of a prefix that was read before, the part that is expected to be there."""
_BLOCK = 512
"""Characters between two hashes."""
_MOST_BLOCKS = 512


@dataclass(slots=True)
class Prompts:
    """The last prompts of each model of one engine."""

    folder: Path | None = None
    """Where processes tell each other; None for an engine of our own."""
    _read: dict[str, deque[str]] = field(default_factory=dict[str, deque[str]])

    def sent(self, model: str, prompt: str, *, fresh: bool = False) -> None:
        """The engine has read this prompt; `fresh`: it had just loaded the model, and so nothing else. Blocking."""
        if fresh:
            self._read.pop(model, None)
        self._read.setdefault(model, deque(maxlen=KEPT)).append(prompt)
        if (path := self._path(model)) is not None:
            earlier = [] if fresh else self._told(path)
            kept = {"at": time.time(), "read": [list(_hashes(prompt)), *earlier][:KEPT]}
            with suppress(OSError):  # it costs only the forecast's knowledge
                write_whole(path, json.dumps(kept))

    def share(self, model: str, prompt: str) -> float | None:
        """Share of a prompt that should come from the cache; None when nothing is known to lie in it. Blocking."""
        known = [common_start(prompt, old) for old in self._read.get(model, ())]
        if (path := self._path(model)) is not None and (told := self._told(path)):
            mine = list(_hashes(prompt))
            known += [_BLOCK * _same(mine, old) for old in told]
        return _SURE * max(known) / max(len(prompt), 1) if known else None

    def _path(self, model: str) -> Path | None:
        name = blake2b(model.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        return None if self.folder is None else self.folder / f"{name}.json"

    @staticmethod
    def _told(path: Path) -> list[list[str]]:
        """What any process left of a model not long ago, newest first."""
        try:
            kept = cast("dict[str, object]", json.loads(path.read_bytes()))
            at, read = cast("float", kept["at"]), cast("list[list[str]]", kept["read"])
            return read if 0 <= time.time() - at <= HELD_S else []
        except (OSError, ValueError, KeyError, TypeError):
            return []


def _hashes(prompt: str) -> Iterator[str]:
    """One for each whole block, of everything up to its end."""
    whole = blake2b(digest_size=6)
    for at in range(0, min(len(prompt) // _BLOCK, _MOST_BLOCKS) * _BLOCK, _BLOCK):
        whole.update(prompt[at : at + _BLOCK].encode("utf-8", "surrogatepass"))
        yield whole.hexdigest()


def _same(mine: Sequence[str], told: Sequence[str]) -> int:
    """Blocks both begin with; each hash speaks for all before it."""
    return max((n for n, (a, b) in enumerate(zip(mine, told, strict=False), 1) if a == b), default=0)
