"""Where Understudy keeps its state: undo, audit, ledger, sessions. Never inside a workspace."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """The state folder, created with mode 0700 on first use.

    UNDERSTUDY_HOME overrides the platform's user data folder.
    Raises OSError when it cannot be created.
    """
    named = os.environ.get("UNDERSTUDY_HOME")
    folder = (
        Path(named).expanduser() if named else Path(platformdirs.user_data_dir("understudy", appauthor=False))
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder.resolve()
