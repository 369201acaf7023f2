"""Where Understudy keeps its state: undo, audit, ledger, sessions. Never inside a workspace."""

from __future__ import annotations

import errno
import os
import stat
from functools import lru_cache
from pathlib import Path


def home() -> Path:
    """The state folder, created with mode 0700 on first use.

    UNDERSTUDY_HOME overrides the platform's user data folder.
    Raises OSError when it cannot be created, and when others may write to it or it is another user's: what
    lies in it decides what is trusted and undone.
    """
    folder = home_path()
    try:
        info = os.stat(folder)
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        info = os.stat(folder)
    if not stat.S_ISDIR(info.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if hasattr(os, "geteuid") and info.st_uid not in (os.geteuid(), 0) and os.geteuid():
        raise PermissionError(errno.EPERM, f"{folder} belongs to another user")
    if info.st_mode & stat.S_IWOTH:
        mode = stat.S_IMODE(info.st_mode)
        raise PermissionError(
            errno.EPERM, f"every user may write to {folder} (mode {mode:o}); `chmod 700` it"
        )
    return _without_links(folder, info.st_dev, info.st_ino)


def usable_home() -> Path:
    """`home()`. Raises ValueError with one sentence where that cannot be used."""
    try:
        return home()
    except OSError as exc:
        why = exc.strerror or exc
        raise ValueError(f"the state folder cannot be used: {why}; UNDERSTUDY_HOME can name another") from exc


@lru_cache(8)
def _without_links(folder: Path, device: int, inode: int) -> Path:
    """Looked up anew when another folder stands there: every change asks twice, and this is most of what it takes."""
    del device, inode
    return Path(os.path.realpath(folder))


def home_path() -> Path:
    """Where the state folder is, whether or not it can be used."""
    if named := os.environ.get("UNDERSTUDY_HOME"):
        return Path(named).expanduser()
    import platformdirs  # a tenth of what `--help` takes, which looks for no folder

    return Path(platformdirs.user_data_dir("understudy", appauthor=False))
