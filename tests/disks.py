"""Disks that are small, full or read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def disk_at(folder: Path, size: str) -> Generator[Path]:
    """A small disk of its own."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root can make a small disk, where the machine lets it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def read_only(folder: Path, file: Path) -> Generator[Path]:
    """A copy of `file` where nothing can be written."""
    if os.getuid():
        folder.mkdir()
        path = Path(shutil.copy(file, folder))
        path.chmod(0o400)
        folder.chmod(0o500)
        yield path
        folder.chmod(0o700)
        return
    with disk_at(folder, "4m"):
        path = Path(shutil.copy(file, folder))
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield path


def fill(folder: Path) -> Path:
    """The file that takes up all the room its disk has left."""
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return ballast
