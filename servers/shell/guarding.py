"""Protected places that were not there when a command began: what appears in them is moved out of the way.

A mount can make an existing place read-only, but not keep an absent one absent.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from ..home import home
from .surroundings import PROTECTED


def absent(root: Path) -> list[str]:
    """Which protected places of this workspace are not there now."""
    return [name for name in (*PROTECTED, ".git") if not os.path.lexists(root / name)]


def removed(root: Path, names: list[str]) -> dict[str, Path]:
    """Those of `names` that have appeared, moved into the state folder: name and where it is now."""
    moved: dict[str, Path] = {}
    for name in names:
        if not os.path.lexists(root / name):
            continue
        aside = home() / "shell" / "quarantine" / secrets.token_hex(4)
        with suppress(OSError):
            aside.mkdir(parents=True, mode=0o700)
            moved[name] = Path(shutil.move(root / name, aside / name.replace("/", "_")))
    return moved
