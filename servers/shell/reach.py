"""Which places a command's words name, and whether reading or writing them wants a question."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..places import protected, secret
from .parsing import Word

ONLY_SHELL = "only the shell knows"

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

    def reading(self, word: Word, tame: set[str]) -> str | None:
        """Why reading what this word names wants a question, or None."""
        text = word.text
        if text is None:
            return (
                None
                if word.names and set(word.names) <= tame
                else f"which file {word.raw[:60]} is, {ONLY_SHELL}"
            )
        if _DEVICES.fullmatch(text) or text in _SYSTEM_FILES:
            return None
        if text.startswith(_SYSTEM) and ".." not in text:
            return None
        place = self.place(text)
        if place is None:
            return f"{word.raw[:80]} is outside the workspace"
        if rule := secret(place):
            return f"{word.raw[:80]} may hold secrets ({rule})"
        return None

    def writing(self, word: Word) -> str | None:
        """Why writing what this word names wants a question, or None."""
        if word.text is None or word.glob:
            return f"which file is written, {ONLY_SHELL}"
        if _DEVICES.fullmatch(word.text):
            return None
        place = self.place(word.text)
        if place is None:
            return "writes outside the workspace"
        if rule := protected(place):
            return f"writes a protected place ({rule})"
        return None
