"""Searching without ripgrep: a process of its own, so that a hostile expression can be killed.

It reads one JSON query from stdin, walks below the inherited root descriptor, and writes to stdout what
`rg --null --line-number --column --byte-offset` would: PATH NUL LINE:COLUMN:OFFSET: newline.
"""

from __future__ import annotations

import codecs
import ctypes
import io
import json
import os
import re
import signal
import stat
import sys
import warnings
from collections.abc import Callable, Generator
from typing import Any, BinaryIO

from ..workspace.globs import matcher
from ..workspace.walk import open_plain, walk

MAX_CPU_S = 30
FILE_S = 2.0  # for one file, and more for a large one: some expressions try for ever
BYTES_PER_S = 5e6
MAX_MULTILINE_BYTES = 64 << 20
BLOCK_BYTES = 8 << 20
BUFFER_BYTES = 64 << 10  # ripgrep's
_FILE = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_PLAIN_PARTS = re.compile(r"\\[^1-9]|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)  # escapes and classes
_UNKNOWN_TO_RIPGREP = re.compile(r"\(\?(?:[=!>]|<[=!]|P=|\()|\\[1-9]|[*+?}]\+")


def main() -> None:
    """Answer one query and exit: 0 found, 1 nothing, 2 a bad expression (said on stderr)."""
    _die_with_parent()
    query: dict[str, Any] = json.load(sys.stdin.buffer)
    try:
        pattern = compiled(query["pattern"], query["fixed"], query["ignore_case"])
    except ValueError as exc:
        sys.stderr.write(str(exc))
        sys.exit(2)
    signal.signal(signal.SIGPROF, _give_up)
    found = 0
    out = sys.stdout.buffer
    for path in _files(query):
        fd = _open(query["root"], path)
        if fd is None:
            continue
        signal.setitimer(signal.ITIMER_PROF, FILE_S + os.fstat(fd).st_size / BYTES_PER_S)
        with open(fd, "rb") as file:
            read = _as_utf8(file)
            if query["multiline"]:
                hits = _multiline(read(MAX_MULTILINE_BYTES), pattern)
            else:
                hits = _by_line(read, pattern)
            found += _answer(out.write, os.fsencode(path), hits, query["mode"])
        out.flush()
    sys.exit(0 if found else 1)


def _give_up(*_: object) -> None:
    sys.stdout.buffer.flush()
    sys.stderr.write(
        "this pattern takes too long without ripgrep; make it simpler, such as without nested repeats"
    )
    sys.stderr.flush()
    os._exit(2)


def compiled(pattern: str, fixed: bool, ignore_case: bool) -> re.Pattern[str]:
    """The expression, in the part of the language that ripgrep shares. ValueError says what is wrong."""
    if not fixed and _UNKNOWN_TO_RIPGREP.search(_PLAIN_PARTS.sub("", pattern)):
        raise ValueError(
            "regex parse error: look-around, backreferences and possessive repeats are not supported"
        )
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(re.escape(pattern) if fixed else pattern, flags)
    except (re.error, OverflowError, RecursionError, Warning) as exc:
        raise ValueError(f"regex parse error: {exc}") from None


def _files(query: dict[str, Any]) -> Generator[str]:
    start: str = query["start"]
    if query["is_file"]:
        yield start
        return
    wanted = matcher(query["globs"])
    for entry in walk(query["root"], start, into_ignored=query["ignored"]):
        if (
            not entry.is_folder
            and not entry.is_link
            and not (entry.ignored and not query["ignored"])
            and wanted(entry.path)
        ):
            yield entry.path


def _open(root: int, path: str) -> int | None:
    """A regular file, each folder on the way no link."""
    try:
        file = open_plain(root, path, _FILE)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None


def _as_utf8(file: BinaryIO) -> Callable[[int], bytes]:
    """How to read a file: UTF-16 with its mark is turned into UTF-8, as ripgrep does."""
    mark = file.read(2)
    file.seek(0)
    if mark not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return file.read
    return io.BytesIO(file.read(MAX_MULTILINE_BYTES).decode("utf-16", "replace").encode()).read


def _before_nul(data: bytes, offset: int) -> bytes | None:
    """What ripgrep sees of a file with a NUL: the buffers before the one it is in. None: there is no NUL."""
    nul = data.find(b"\0")
    return None if nul < 0 else data[: max((offset + nul) // BUFFER_BYTES * BUFFER_BYTES - offset, 0)]


Hit = tuple[int, int, int]  # line, column in bytes from 1, byte offset of the line


def _by_line(read: Callable[[int], bytes], pattern: re.Pattern[str]) -> Generator[Hit]:
    """Lines that match by themselves, found by searching whole blocks."""
    line, offset, rest = 1, 0, b""
    while True:
        data = read(BLOCK_BYTES)
        before = _before_nul(data, offset + len(rest))
        block = rest + (data if before is None else before)
        last = not data or before is not None
        cut = len(block) if last else block.rfind(b"\n") + 1
        rest = block[cut:]
        block = block[:cut]
        yield from _in_block(block.decode("utf-8", "surrogateescape"), pattern, line, offset)
        if last:
            return
        line += block.count(b"\n")
        offset += len(block)


def _in_block(text: str, pattern: re.Pattern[str], line: int, offset: int) -> Generator[Hit]:
    if "\r\n" in text:  # the end of such a line lies before its CR: each line is looked at alone
        for row in text.removesuffix("\n").split("\n"):
            if match := pattern.search(row.removesuffix("\r")):
                yield line, _size(row[: match.start()]) + 1, offset
            line, offset = line + 1, offset + _size(row) + 1
        return
    at = 0  # everything before this has been counted into line and offset
    while at < len(text) and (match := pattern.search(text, at)):
        start = text.rfind("\n", 0, match.start()) + 1
        start = max(start, at)
        end = text.find("\n", match.start())
        end = len(text) if end < 0 else end
        if start >= len(text):
            return
        line += text.count("\n", at, start)
        offset += _size(text[at:start])
        alone = text[start:end].removesuffix("\r")
        if inner := pattern.search(alone):
            yield line, _size(alone[: inner.start()]) + 1, offset
        at = min(end + 1, len(text))
        line += 1
        offset += _size(text[start:at])


def _multiline(data: bytes, pattern: re.Pattern[str]) -> Generator[Hit]:
    before = _before_nul(data, 0)
    text = (data if before is None else before).decode("utf-8", "surrogateescape")
    line, offset, at, done = 1, 0, 0, 0
    for match in pattern.finditer(text):
        first = text.rfind("\n", 0, match.start()) + 1
        line += text.count("\n", at, first)
        offset += _size(text[at:first])
        at, number, place = first, line, offset
        column = _size(text[first : match.start()]) + 1
        for body in text[first : max(match.end(), match.start() + 1)].rstrip("\n").split("\n") or [""]:
            whole = text.find("\n", first)
            whole = len(text) if whole < 0 else whole + 1
            if number > done and first < len(text):
                yield number, column, place
                done = number
            number, place, first, column = number + 1, place + _size(text[first:whole]), whole, 1
            del body


def _answer(write: Callable[[bytes], object], path: bytes, hits: Generator[Hit], mode: str) -> int:
    if mode == "lines":
        count = 0
        for line, column, offset in hits:
            write(b"%b\0%d:%d:%d:\n" % (path, line, column, offset))
            count += 1
        return count
    if mode == "files":
        if next(hits, None) is None:
            return 0
        write(path + b"\0")
        return 1
    count = sum(1 for _ in hits)
    if count:
        write(b"%b\0%d\n" % (path, count))
    return count


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _die_with_parent() -> None:
    """The server may be killed while an expression runs away: then this process must not stay."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL


if __name__ == "__main__":
    main()
