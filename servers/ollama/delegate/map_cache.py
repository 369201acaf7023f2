"""Answers of a map that are done: kept so that the same call goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from ...state.home import home
from ...state.whole_file import write_whole

MAX_AGE_S = 30 * 86_400.0
MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    text: str
    checked: bool
    """A gate passed it; else there was nothing to check."""


@dataclass(slots=True)
class MapCache:
    """The answers of one map, by the hash of their chunk; several processes may add to them."""

    path: Path
    _answers: dict[str, CachedAnswer]

    @classmethod
    def open(cls, name: str) -> Self:
        """Those kept under a name. Files older than MAX_AGE_S go."""
        folder = home() / "maps"
        folder.mkdir(mode=0o700, exist_ok=True)
        for old in folder.iterdir():
            with suppress(OSError):
                if time.time() - old.stat().st_mtime > MAX_AGE_S:
                    old.unlink()
        path = folder / f"{_hash(name)[:32]}.jsonl"
        return cls(path, dict(_read(path)))

    @property
    def is_empty(self) -> bool:
        return not self._answers

    def get(self, chunk: str) -> CachedAnswer | None:
        return self._answers.get(_hash(chunk))

    def put(self, chunk: str, answer: CachedAnswer) -> None:
        """Keep an answer; one that cannot be written is asked for again another time."""
        self._answers[_hash(chunk)] = answer
        line = (
            json.dumps({"chunk": _hash(chunk), "answer": answer.text, "checked": answer.checked}).encode()
            + b"\n"
        )
        with suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                if os.fstat(fd).st_size + len(line) <= MAX_BYTES:
                    os.write(fd, line)
            finally:
                os.close(fd)


@dataclass(frozen=True, slots=True)
class Begun:
    """What a map was begun with: answers of another model, or of files cut otherwise, are none of the same call's."""

    model: str
    max_chars: int

    @classmethod
    def of(cls, name: str) -> Self | None:
        """What the map of this name was begun with; None where no chunk of it was answered yet."""
        with suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(_begun(name).read_text(encoding="utf-8")))
        return None

    def keep(self, name: str) -> None:
        with suppress(OSError):
            write_whole(_begun(name), json.dumps(asdict(self)))


def _begun(name: str) -> Path:
    return home() / "maps" / f"{_hash(name)[:32]}.begun.json"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path) -> list[tuple[str, CachedAnswer]]:
    found: list[tuple[str, CachedAnswer]] = []
    with suppress(OSError):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError, KeyError, TypeError):  # the last line of a killed process
                entry = json.loads(line)
                found.append(
                    (str(entry["chunk"]), CachedAnswer(str(entry["answer"]), entry["checked"] is True))
                )
    return found
