r"""Paths as other systems and shells write them, which here would become odd file names: `C:\x`, `\\host\share`, `~/x`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/]|$)")
_HOME = re.compile(
    r"(?:~[A-Za-z0-9_.-]*|\$HOME|\$\{HOME\}|%[A-Za-z_]+%|\$env:[A-Za-z_]+)(?=[\\/])", re.IGNORECASE
)
_URI = re.compile(r"file:(?://[^/]*)?(?=/)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """Why a path is not one of this system, and its names."""

    why: str
    parts: tuple[str, ...]
    certain: bool = True  # False: it may also be an odd name of this system


def meant_by(path: str) -> Foreign | None:
    """What a path written for elsewhere consists of; None for a path of this system."""
    if path.startswith(("\\\\", "//?/", "//./")):
        return _foreign("is a Windows network or device path", path)
    if match := _DRIVE.match(path):
        return _foreign("is a Windows path", path[match.end() :])
    if match := _URI.match(path):
        return _foreign("is an address, not a path", unquote(path[match.end() :]))
    if match := _HOME.match(path):
        return _foreign("begins with a name that only a shell expands", path[match.end() :])
    if "\\" in path.strip("\\") and "/" not in path:
        return _foreign("has backslashes between its names", path, certain=False)
    return None


def _foreign(why: str, rest: str, *, certain: bool = True) -> Foreign:
    names = [part for part in re.split(r"[\\/]", rest) if part not in ("", ".", "?")]
    return Foreign(why=why, parts=tuple(names), certain=certain)
