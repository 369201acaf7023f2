"""Windows on files: numbered lines from anywhere in a file of any size, bytes as hex, images."""

from __future__ import annotations

import os
import stat
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Literal

from mcp.server.mcpserver import Image

from ..output import MAX_RESULT_BYTES, ToolError, bounded, fenced, masked, one_line, visible
from ..source.declared_encoding import declared_in
from ..source.encoding import SNIFF_BYTES, Charset, decode, in_private_key, is_binary, unmarked_utf16
from ..workspace import Root, Workspace, read_all, rev_of, stat_rev
from .rows import fitting

WHOLE_BYTES = 8 << 20  # up to here a file is read whole, its lines counted and its content hashed
CHUNK_BYTES = 256 << 10
MAX_LINE = 2000  # characters of one line that are shown
SMALL_BYTES = 32 << 10
MAX_IMAGE_BYTES = 3_700_000  # in base64 just under the 5 MB that vendors take
MAX_INDEXED_BYTES = 8 << 30
MAX_TAIL_BYTES = 32 << 20
KEY_BYTES = 16 << 10  # a private key is no longer than this
Mode = Literal["auto", "text", "hex", "image"]
_FRAME_BYTES = 400  # header, fences and footer

_IMAGES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Lines out of a file, secrets masked. `first` counts from 1; negative counts from the end where the total is unknown."""

    lines: Sequence[str]
    first: int
    total: int | None  # None: not counted
    label: str
    rev: str


def read(
    workspace: Workspace,
    path: str,
    offset: int = 1,
    limit: int = 2000,
    mode: Mode = "auto",
    column: int = 1,
    max_bytes: int = MAX_RESULT_BYTES,
) -> str | list[str | Image]:
    """One window of one file as the model sees it."""
    _check(offset, limit, column)
    fd, root, real = workspace.open_real(path)
    try:
        return _opened(workspace, path, fd, root, real, offset, limit, mode, column, max_bytes)
    finally:
        os.close(fd)


def read_if_small(
    workspace: Workspace, path: str, offset: int, limit: int, mode: Mode, column: int
) -> str | list[str | Image] | None:
    """As `read`, for a short file, which is done with at once; None where that is not certain."""
    _check(offset, limit, column)
    try:
        root, rel = workspace.locate(path)
        fd, real = root.open(rel)
    except (ToolError, OSError):
        return None
    try:
        info = os.fstat(fd)
        if info.st_size > SMALL_BYTES or not stat.S_ISREG(info.st_mode):
            return None
        workspace.may_read(root, real, info)
        return _opened(workspace, path, fd, root, real, offset, limit, mode, column)
    finally:
        os.close(fd)


def _check(offset: int, limit: int, column: int) -> None:
    if limit < 1:
        raise ToolError(f"limit is at least 1; found {limit}")
    if offset == 0:
        raise ToolError("offset counts from 1, or from the end as -1, -2, ...; found 0")
    if column < 1:
        raise ToolError(f"column counts characters from 1; found {column}")


def _opened(
    workspace: Workspace,
    path: str,
    fd: int,
    root: Root,
    real: str,
    offset: int,
    limit: int,
    mode: Mode,
    column: int,
    max_bytes: int = MAX_RESULT_BYTES,
) -> str | list[str | Image]:
    info = os.fstat(fd)
    shown = workspace.display(root, real)
    if stat.S_ISDIR(info.st_mode):
        raise ToolError(f"{shown} is a folder; list_files shows what is in it")
    head = os.pread(fd, SNIFF_BYTES, 0)
    kind = _image_kind(head)
    if mode == "image" or (mode == "auto" and kind):
        return _image(fd, shown, kind, info.st_size)
    if mode == "hex" or (mode == "auto" and is_binary(head) and not unmarked_utf16(head)):
        return _hex(fd, shown, offset, limit if mode == "hex" else 16, info, max_bytes)
    charset = partial(workspace.charset, path)
    if column > 1:
        return _columns(fd, shown, info, offset, column, max_bytes, charset)
    part = window(fd, shown, info, offset, limit, max_bytes, charset)
    return render(shown, part, max_bytes, workspace.twin_note(path, root, real))


def read_many(
    workspace: Workspace, paths: Sequence[str], limit_each: int = 200, max_bytes: int = MAX_RESULT_BYTES
) -> str:
    """The first lines of several files, an error line for each that cannot be read, the rest by name."""
    if limit_each < 1:
        raise ToolError(f"limit_each is at least 1; found {limit_each}")
    sections: list[str] = []
    room = max_bytes - 2 * _FRAME_BYTES
    for at, path in enumerate(paths):
        try:
            answer = read(
                workspace, path, limit=limit_each, mode="text", max_bytes=max(room, 2 * _FRAME_BYTES)
            )
            section = answer if isinstance(answer, str) else str(answer[0])
        except ToolError as exc:
            section = f"{one_line(path)} · not read: {one_line(str(exc))}"
        size = len(section.encode("utf-8", "replace")) + 1
        if size > room and sections:
            left = bounded(", ".join(one_line(rest) for rest in paths[at:]), _FRAME_BYTES)
            return "\n".join([*sections, f"left out, {len(paths) - at} files: {left}"])
        sections.append(section)
        room -= size
    return "\n".join(sections)


def window(
    fd: int,
    shown: str,
    info: os.stat_result,
    offset: int,
    limit: int,
    max_bytes: int = MAX_RESULT_BYTES,
    charset: Charset = lambda: None,
) -> Window:
    """Up to `limit` lines from line `offset`. ToolError when the file is no text or has no such line."""
    if info.st_size <= WHOLE_BYTES:
        return _whole(fd, shown, offset, limit, charset)
    return _part(fd, shown, info, offset, limit, max_bytes, charset)


def forget() -> None:
    """Drop the line indexes."""
    with _indexing:
        _indexes.clear()


def render(shown: str, part: Window, max_bytes: int, note: str = "") -> str:
    """Header, numbered lines between fences, and the call that shows what follows."""
    if not part.lines:
        return f"{one_line(shown)} · empty · rev={part.rev}{note}"
    long = [i for i, line in enumerate(part.lines) if len(line) > MAX_LINE]
    lines = [_cut(line) for line in part.lines] if long else part.lines
    clear = visible("\n".join(lines)).split("\n")  # one look at all of them is cheaper than one at each
    numbered = (f"{number}\t{line}" for number, line in enumerate(clear, part.first))
    body = fitting(numbered, max_bytes - _FRAME_BYTES - len(one_line(shown)) * 2)
    last = part.first + len(body) - 1
    total = "" if part.total is None else f"/{part.total}"
    span = f"{part.first}{'-' if part.first > 0 else '..'}{last}"
    head = f"{one_line(shown)} · L{span}{total} · {part.label} · rev={part.rev}{note}"
    more = last != -1 if part.total is None else last < part.total
    tail = f"\nmore: offset={last + 1}" if more else ""
    cut = [part.first + i for i in long[:3] if i < len(body)]
    tail += "".join(f"\nmore of line {number}: offset={number} column={MAX_LINE + 1}" for number in cut)
    return f"{head}\n{fenced(chr(10).join(body), shown)}{tail}"


def _columns(
    fd: int, shown: str, info: os.stat_result, offset: int, column: int, max_bytes: int, charset: Charset
) -> str:
    """One line from a character on, as far as it fits, and the call that shows what follows."""
    room = max_bytes - _FRAME_BYTES - 2 * len(one_line(shown))
    part = window(fd, shown, info, offset, 1, max_bytes + 4 * column, charset)
    line = part.lines[0] if part.lines else ""
    if column > len(line):
        raise ToolError(
            f"line {part.first} of {shown} has {len(line):,} characters; column {column:,} is past its end"
        )
    piece = line[column - 1 : column - 1 + room]
    body = visible(piece).encode("utf-8", "replace")
    while len(body) > room:  # wide or escaped characters: half as many fit for certain in a few steps
        piece = piece[: len(piece) * room // len(body) - 1]
        body = visible(piece).encode("utf-8", "replace")
    last = column + len(piece) - 1
    head = f"{one_line(shown)} · L{part.first} · characters {column}-{last}/{len(line)} · {part.label} · rev={part.rev}"
    tail = f"\nmore: offset={part.first} column={last + 1}" if last < len(line) else ""
    return f"{head}\n{fenced(body.decode(), shown)}{tail}"


def _whole(fd: int, shown: str, offset: int, limit: int, charset: Charset) -> Window:
    data = read_all(fd, shown, WHOLE_BYTES * 2)
    text = decode(data, shown, charset=charset)
    if text is None:
        raise ToolError(f"{shown} is binary; mode=hex shows its bytes")
    lines = text.lines
    total = len(lines)
    if offset > max(total, 1):
        raise ToolError(f"{shown} has {total:,} lines; offset {offset:,} is past its end")
    first = offset if offset > 0 else max(total + offset + 1, 1)
    if "PRIVATE KEY-----" in text.body:  # a key is masked also in a window that begins inside it
        lines = masked(text.body).split("\n")[:total]
        part = lines[first - 1 : first - 1 + limit]
    else:
        part = _masked(lines[first - 1 : first - 1 + limit])
    return Window(lines=part, first=first, total=total, label=text.label, rev=rev_of(data))


def _part(
    fd: int,
    shown: str,
    info: os.stat_result,
    offset: int,
    limit: int,
    max_bytes: int,
    charset: Charset,
) -> Window:
    """A window of a file too large to read whole: found by an index of newlines, or from the end."""
    head = os.pread(fd, SNIFF_BYTES, 0)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or unmarked_utf16(head):
        raise ToolError(
            f"{shown} is UTF-16 or UTF-32 of {info.st_size:,} bytes; such files are read up to {WHOLE_BYTES:,}"
        )
    total: int | None = None
    if offset < 0:
        raw, last = _last_lines(fd, info.st_size, -offset)
        first = offset if last is None else -last
        start = info.st_size - len(raw)
    else:
        first = offset
        if offset == 1:
            start = 0
        else:
            index = _index(fd, info)
            total = index[-1] + (os.pread(fd, 1, info.st_size - 1) != b"\n")
            if offset > total:
                raise ToolError(f"{shown} has {total:,} lines; offset {offset:,} is past its end")
            start = _offset_of(fd, index, offset)
        raw = _lines_from(fd, start, limit, max_bytes)
    if start + len(raw) < info.st_size:
        raw = _whole_characters(raw)
    named = declared_in(head[:1024], shown)  # the declaration stands before this window
    text = decode(raw, charset=(lambda: named) if named else charset)
    if text is None:
        raise ToolError(f"{shown} is binary there; mode=hex shows its bytes")
    label = f"{text.label.removesuffix(' · no final newline')} · {info.st_size:,} bytes"
    lines = _masked(text.lines[:limit])
    before = os.pread(fd, min(start, KEY_BYTES), max(start - KEY_BYTES, 0))
    if in_private_key(before):
        inside = next((i for i, line in enumerate(lines) if "-----END " in line), len(lines))
        lines = ["[masked]"] * inside + list(lines[inside:])
    return Window(lines=lines, first=first, total=total, label=label, rev=stat_rev(info))


def _lines_from(fd: int, start: int, limit: int, max_bytes: int) -> bytes:
    """Up to `limit` whole lines from a byte offset, at most a little more than will be shown."""
    parts: list[bytes] = []
    wanted, got, newlines = max_bytes + 4 * MAX_LINE, 0, 0
    while newlines < limit and got < wanted and (part := os.pread(fd, CHUNK_BYTES, start + got)):
        parts.append(part)
        got += len(part)
        newlines += part.count(b"\n")
    raw = b"".join(parts)
    if newlines >= limit:
        at = -1
        for _ in range(limit):
            at = raw.find(b"\n", at + 1)
        if at < wanted:
            return raw[: at + 1]
    if got < wanted:
        return raw
    end = raw.rfind(b"\n", 0, wanted) + 1 or raw.rfind(b"\n") + 1
    return raw[:end] or raw


def _whole_characters(raw: bytes) -> bytes:
    """Bytes cut out of a long line, without the UTF-8 character that the cut has torn."""
    for size in range(1, min(4, len(raw) + 1)):
        if raw[-size] >= 0xC0:
            return (
                raw if size >= (4 if raw[-size] >= 0xF0 else 3 if raw[-size] >= 0xE0 else 2) else raw[:-size]
            )
        if raw[-size] < 0x80:
            break
    return raw


def _last_lines(fd: int, size: int, count: int) -> tuple[bytes, int | None]:
    """The last `count` lines, read backwards; with their number when the file has fewer than asked for."""
    parts: list[bytes] = []
    at, newlines = size, 0
    while at > 0 and newlines <= count:
        step = min(CHUNK_BYTES, at)
        at -= step
        part = os.pread(fd, step, at)
        parts.append(part)
        newlines += part.count(b"\n")
        if size - at > MAX_TAIL_BYTES:
            other = "ask for fewer" if count > 1 else "mode=hex shows its end"
            raise ToolError(f"the last {count:,} lines have more than {MAX_TAIL_BYTES:,} bytes; {other}")
    raw = b"".join(reversed(parts))
    wanted = count + raw.endswith(b"\n")
    cut = len(raw)
    for _ in range(wanted):
        cut = raw.rfind(b"\n", 0, cut)
        if cut < 0:
            return raw, len(raw.splitlines())
    return raw[cut + 1 :], None


_indexes: OrderedDict[tuple[int, int, int, int], list[int]] = OrderedDict()
_indexing = threading.Lock()


def _index(fd: int, info: os.stat_result) -> list[int]:
    """Newlines up to each chunk's end, counted once for a file as it is now; the last eight files are kept."""
    if info.st_size > MAX_INDEXED_BYTES:
        raise ToolError(
            f"the file has {info.st_size:,} bytes; lines are counted up to {MAX_INDEXED_BYTES:,}; a negative offset reads its end"
        )
    key = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
    with _indexing:
        if key in _indexes:
            _indexes.move_to_end(key)
            return _indexes[key]
    buffer = bytearray(CHUNK_BYTES)
    counts: list[int] = []
    at = 0
    while at < info.st_size and (got := os.preadv(fd, [buffer], at)):
        counts.append(buffer.count(b"\n", 0, got))
        at += got
    index = list(accumulate(counts))
    with _indexing:
        _indexes[key] = index
        while len(_indexes) > 8:
            _indexes.popitem(last=False)
    return index


def _offset_of(fd: int, index: Sequence[int], line: int) -> int:
    """The byte at which a line begins: its chunk by bisection, its place by counting within."""
    chunk = bisect_left(index, line - 1)
    before = index[chunk - 1] if chunk else 0
    data = os.pread(fd, CHUNK_BYTES, chunk * CHUNK_BYTES)
    at = -1
    for _ in range(line - 1 - before):
        at = data.find(b"\n", at + 1)
    return chunk * CHUNK_BYTES + at + 1


def _hex(fd: int, shown: str, offset: int, limit: int, info: os.stat_result, max_bytes: int) -> str:
    """Rows of 16 bytes; `offset` counts rows."""
    rows = -(-info.st_size // 16)
    first = offset if offset > 0 else max(rows + offset + 1, 1)
    if first > max(rows, 1):
        raise ToolError(f"{shown} has {rows:,} rows of 16 bytes; offset {offset:,} is past its end")
    limit = min(limit, (max_bytes - _FRAME_BYTES) // 80)
    data = os.pread(fd, limit * 16, (first - 1) * 16)
    margin = min((first - 1) * 16, KEY_BYTES)
    around = os.pread(fd, margin + len(data) + KEY_BYTES, (first - 1) * 16 - margin)
    if masked(text := around.decode("latin-1")) != text or in_private_key(around[:margin]):
        raise ToolError(
            f"{shown} has a secret in or near these rows; mode=text shows the text with it masked"
        )
    lines = [
        f"{(first - 1) * 16 + at:08x}  {data[at : at + 16].hex(' '):<47}  "
        + "".join(chr(b) if 32 <= b < 127 else "." for b in data[at : at + 16])
        for at in range(0, len(data), 16)
    ]
    last = first + len(lines) - 1
    head = f"{one_line(shown)} · hex rows {first}-{last}/{rows} of 16 bytes · {info.st_size:,} bytes"
    tail = f"\nmore: mode=hex offset={last + 1}" if last < rows else ""
    return f"{head}\n{fenced(chr(10).join(lines), shown)}{tail}"


def _image(fd: int, shown: str, kind: str | None, size: int) -> list[str | Image]:
    if kind is None:
        raise ToolError(f"{shown} is no PNG, JPEG, GIF or WebP image; mode=hex shows its bytes")
    if size > MAX_IMAGE_BYTES:
        raise ToolError(f"{shown} is an image of {size:,} bytes; at most {MAX_IMAGE_BYTES:,} are shown")
    return [
        f"{one_line(shown)} · {kind} · {size:,} bytes",
        Image(data=read_all(fd, shown, MAX_IMAGE_BYTES), format=kind),
    ]


def _image_kind(head: bytes) -> str | None:
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _IMAGES.items() if head.startswith(magic)), None)


def _masked(lines: Sequence[str]) -> Sequence[str]:
    return masked("\n".join(lines)).split("\n") if lines else lines


def _cut(line: str) -> str:
    if len(line) <= MAX_LINE:
        return line
    return f"{line[:MAX_LINE]} ... {len(line) - MAX_LINE:,} more characters in this line"
