"""A state folder for one process and those it starts, where the real one cannot be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from .home import home, home_path

MAX_COPIED_BYTES = 64 << 20
READ_WHERE_IT_IS = "conversations.sqlite"
"""Nobody shall take for kept what is written to a copy of it."""


@contextmanager
def unsaved_home() -> Generator[str | None]:
    """Within it UNDERSTUDY_HOME can be written; yields the sentence that says so where it is not the real one, else None.

    What the real one holds can be read there too. A folder that is refused because others may write to it stays refused.
    """
    why = _why_not()
    if why is None:
        yield None
        return
    import tempfile

    named, real = os.environ.get("UNDERSTUDY_HOME"), home_path()
    with tempfile.TemporaryDirectory(prefix="understudy-unsaved-", ignore_cleanup_errors=True) as folder:
        with suppress(OSError):
            for entry in real.iterdir():
                _reach(entry, Path(folder, entry.name))
        os.environ["UNDERSTUDY_HOME"] = folder
        try:
            yield f"{real} cannot be written: {why}; commands work all the same, and nothing that happens now is kept"
        finally:
            if named is None:
                del os.environ["UNDERSTUDY_HOME"]
            else:
                os.environ["UNDERSTUDY_HOME"] = named


def _reach(entry: Path, place: Path) -> None:
    """Have `entry` at `place` too; what is too large or cannot be read is left out."""
    import shutil

    if entry.name == READ_WHERE_IT_IS:
        place.symlink_to(entry.resolve())
    elif not entry.name.startswith(READ_WHERE_IT_IS):
        with suppress(OSError):
            files = [entry] if entry.is_file() else [one for one in entry.rglob("*") if one.is_file()]
            if sum(one.stat().st_size for one in files) > MAX_COPIED_BYTES:
                return
            for one in files:
                copy = place / one.relative_to(entry)
                copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.copyfile(one, copy)
                copy.chmod(0o600)


def _why_not() -> str | None:
    """Why nothing can be written to the state folder; None where it can, or where that is for others to say."""
    try:
        folder = home()
    except OSError as exc:
        return None if exc.errno == errno.EPERM else exc.strerror or str(exc)
    if os.access(folder, os.W_OK | os.X_OK):
        return None
    with suppress(OSError, AttributeError):
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return os.strerror(errno.EROFS)
    return os.strerror(errno.EACCES)
