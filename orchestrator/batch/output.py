"""The output of a batch: one line of JSON for each order that has ended, in the order they ended, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import RunError

_BEGINS = b'{"key": '
"""How every line of ours begins."""


class Output:
    """The output file, opened for appending. Raises RunError when it cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as exc:
            raise RunError(f"cannot write {path}: {exc.strerror or exc}") from exc
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise RunError(f"{path} is no regular file: receipts go where the next run can read them again")
        try:
            self.lines = _lines(self._fd)
            """Which orders have theirs already."""
        except OSError as exc:
            raise RunError(f"cannot read {path}: {exc.strerror or exc}") from exc

    def close(self) -> None:
        os.close(self._fd)

    def add(self, record: Mapping[str, Any]) -> None:
        """Append one line, unless it is there. What a full disk cuts off is cut off at the next opening."""
        if (place := _place(record)) in self.lines:
            return
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                raise OSError(28, os.strerror(28))
        except OSError as exc:
            raise RunError(
                f"cannot write {self.path}: {exc.strerror or exc}; nothing is lost, the same command goes on"
            ) from exc
        self.lines.add(place)

    def catch_up(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Append what ended before and did not reach the file. How many lines."""
        before = len(self.lines)
        for record in records:
            self.add(record)
        return len(self.lines) - before


def _place(record: Mapping[str, Any]) -> tuple[str, int]:
    """What makes a line another line: the order, and how often a person let it run again."""
    return str(record["key"]), int(record.get("again") or 0)


def _lines(fd: int) -> set[tuple[str, int]]:
    """The places of the whole lines. A torn last line of ours is cut off; what is not ours stays, and has none."""
    places, end, torn = set[tuple[str, int]](), 0, b""
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        for line in file:
            if not line.endswith(b"\n"):
                torn = line
                break
            end += len(line)
            try:
                places.add(_place(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
    if torn and (torn.startswith(_BEGINS) or _BEGINS.startswith(torn)):
        os.ftruncate(fd, end)
    elif torn:
        os.write(fd, b"\n")
    return places
