"""A host's file, read and written so that its mode, its links and its byte order mark stay."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigError

BOM = "\ufeff"


def read(path: Path) -> str | None:
    """The text with its byte order mark and line ends as they are; None where there is no file. Raises ConfigError."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ConfigError(f"{path} is no regular file; nothing was changed")
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        raise ConfigError(
            f"{path} is a folder, and the host reads a file there; nothing was changed"
        ) from None
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8 text; nothing was changed") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}; nothing was changed") from exc


def write(path: Path, text: str) -> None:
    """Whole or not at all, where the file has one name; a file with several names is written where it lies."""
    target = path.resolve() if path.is_symlink() else path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        held = target.stat() if target.exists() else None
        if held is not None and held.st_nlink > 1:
            target.write_bytes(text.encode())
            return
        fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            fresh.write_bytes(text.encode())
            if held is not None:
                fresh.chmod(held.st_mode & 0o7777)
                with suppress(OSError):
                    os.chown(fresh, held.st_uid, held.st_gid)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as exc:
        raise ConfigError(
            f"{exc.filename or path} cannot be written: {exc.strerror}; nothing was changed"
        ) from exc
