"""Which places a command's words name, and whether reading or writing them wants a question."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from glob import iglob
from itertools import islice
from pathlib import Path

from ...workspace.protected_paths import asks, protected, secret
from .words import Word, spellings

ONLY_SHELL = "only the shell knows"

_MAX_MATCHES = 2000
_DEVICES = re.compile(r"/dev/(null|zero|full|random|urandom|stdin|stdout|stderr|tty|fd/\d+)")
_SYSTEM = ("/usr/", "/bin/", "/lib/", "/lib64/", "/opt/")
_SYSTEM_FILES = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/version",
    "/proc/loadavg",
    "/proc/uptime",
    "/etc/os-release",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The workspace as seen from a folder in it. `moved`: the command changes folder, so `..` says nothing."""

    root: Path
    cwd: Path
    moved: bool

    def place(self, text: str) -> str | None:
        """Root-relative, links resolved as they are now; None when it lies outside or cannot be told."""
        if text.startswith("~") or "\0" in text or (self.moved and ".." in Path(text).parts):
            return None
        real = Path(os.path.realpath(self.cwd / text))
        return real.relative_to(self.root).as_posix() if real.is_relative_to(self.root) else None

    def reading(self, word: Word, values: Mapping[str, frozenset[str]]) -> str | None:
        """Why reading what this word names wants a question, or None."""
        return self._each(word, values, self._reading) if word.text is None else self._reading(word)

    def writing(self, word: Word, values: Mapping[str, frozenset[str]]) -> str | None:
        """Why writing what this word names wants a question, or None."""
        if word.glob:
            return f"which file is written, {ONLY_SHELL}"
        return self._each(word, values, self._writing) if word.text is None else self._writing(word)

    def _each(
        self, word: Word, values: Mapping[str, frozenset[str]], reason: Callable[[Word], str | None]
    ) -> str | None:
        words = spellings(word, values)
        if not words:
            return f"which file {word.raw[:60]} is, {ONLY_SHELL}"
        return next(filter(None, map(reason, words)), None)

    def _reading(self, word: Word) -> str | None:
        text = word.text or ""
        if _DEVICES.fullmatch(text) or text in _SYSTEM_FILES:
            return None
        if text.startswith(_SYSTEM) and ".." not in text:
            return None
        if why := self._seen(text, word):
            return why
        if not word.glob:
            return None
        if self.moved and re.search(r"(^|/)\.[^/]*[*?\[]", text):
            return f"which files {word.raw[:60]} are, {ONLY_SHELL}"
        matches = list(islice(iglob(text, root_dir=self.cwd), _MAX_MATCHES))
        if len(matches) == _MAX_MATCHES:
            return f"{word.raw[:60]} stands for too many files to look at"
        return next(filter(None, (self._seen(name, word) for name in matches)), None)

    def _seen(self, text: str, word: Word) -> str | None:
        place = self.place(text)
        if place is None:
            return f"{word.raw[:80]} is outside the workspace"
        if rule := secret(place):
            return f"{word.raw[:80]} may hold secrets ({rule})"
        return None

    def _writing(self, word: Word) -> str | None:
        text = word.text or ""
        if _DEVICES.fullmatch(text):
            return None
        place = self.place(text)
        if place is None:
            return "writes outside the workspace"
        if rule := protected(place):
            return f"writes a protected place ({rule})"
        if rule := secret(place) or asks(place):
            return f"writes a file that holds secrets or makes others run code ({rule})"
        return None
