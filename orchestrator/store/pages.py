"""The rows that still stand in the pages of an SQLite file, whatever became of its header, its indexes and its other pages.

Read as https://www.sqlite.org/fileformat2.html says. SQLite itself refuses a file whose first page is gone, and finds
no row behind a damaged inner page; each leaf of a table, however, says itself where its rows begin and end.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

PAGE = 4096  # of a file whose header does not say
LEAF = 0x0D  # a page with rows of a table
MAX_FIELDS = 32
Value = int | float | str | bytes | None


def rows_in(path: Path) -> Iterator[tuple[int, tuple[Value, ...]]]:
    """Each row with its number, page by page. Raises OSError."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size = _page_size(data)
            pages = _Pages(data, size, _newer(path.with_name(f"{path.name}-wal"), size))
            free = pages.free()
            for number in range(1, pages.count + 1):
                if number not in free:  # what stands there was deleted
                    yield from pages.rows(number)


class _Pages:
    def __init__(self, data: mmap.mmap, size: int, newer: Mapping[int, bytes]) -> None:
        self.data, self.size, self.newer = data, size, newer
        self.count = max(len(data) // size, max(newer, default=0))

    def page(self, number: int) -> bytes:
        return self.newer.get(number) or self.data[(number - 1) * self.size : number * self.size]

    def rows(self, number: int) -> Iterator[tuple[int, tuple[Value, ...]]]:
        page = self.page(number)
        head = 100 if number == 1 else 0
        if len(page) < self.size or page[head] != LEAF:
            return
        count = int.from_bytes(page[head + 3 : head + 5], "big")
        for place in range(head + 8, min(head + 8 + 2 * count, self.size - 1), 2):
            try:
                yield self._row(page, int.from_bytes(page[place : place + 2], "big"))
            except (ValueError, IndexError, struct.error):  # damaged: the others may be sound
                continue

    def _row(self, page: bytes, at: int) -> tuple[int, tuple[Value, ...]]:
        length, at = _varint(page, at)
        number, at = _varint(page, at)
        most = self.size - 35
        if length <= most:
            return number, _values(page[at : at + length], length)
        least = (self.size - 12) * 32 // 255 - 23
        here = least + (length - least) % (self.size - 4)
        here = here if here <= most else least
        parts = [page[at : at + here]]
        following = int.from_bytes(page[at + here : at + here + 4], "big")
        left = length - here
        while left > 0 and following:
            more = self.page(following)
            if len(more) < self.size:
                raise ValueError("its end is missing")
            parts.append(more[4 : 4 + min(left, self.size - 4)])
            left -= self.size - 4
            following = int.from_bytes(more[:4], "big")
        return number, _values(b"".join(parts), length)

    def free(self) -> set[int]:
        """The pages that hold nothing any more, as far as the header and their list can be read."""
        header, found = self.page(1)[:100], set[int]()
        trunk = int.from_bytes(header[32:36], "big") if header.startswith(b"SQLite format 3\0") else 0
        while trunk and trunk not in found and trunk <= self.count:
            found.add(trunk)
            page = self.page(trunk)
            count = min(int.from_bytes(page[4:8], "big"), self.size // 4 - 2)
            found.update(struct.unpack_from(f">{count}I", page, 8) if len(page) == self.size else ())
            trunk = int.from_bytes(page[:4], "big")
        return found


def _page_size(data: mmap.mmap) -> int:
    said = int.from_bytes(data[16:18], "big") if data[:16] == b"SQLite format 3\0" else 0
    said = 65536 if said == 1 else said
    return said if 512 <= said <= 65536 and not said & (said - 1) else PAGE


def _newer(log: Path, size: int) -> dict[int, bytes]:
    """The pages of the write-ahead log that were committed, the last of each number."""
    try:
        data = log.read_bytes()
    except OSError:
        return {}
    found, waiting = dict[int, bytes](), dict[int, bytes]()
    salt = data[16:24]
    for at in range(32, len(data) - 24 - size + 1, 24 + size):
        number, commit = struct.unpack_from(">II", data, at)
        if data[at + 8 : at + 16] != salt:
            break
        waiting[number] = data[at + 24 : at + 24 + size]
        if commit:
            found |= waiting
            waiting.clear()
    return found


def _values(record: bytes, length: int) -> tuple[Value, ...]:
    """The fields of a record. Raises ValueError where their lengths do not come to its own."""
    end, at = _varint(record, 0)
    kinds: list[int] = []
    while at < end:
        kind, at = _varint(record, at)
        kinds.append(kind)
    if at != end or len(record) != length or len(kinds) > MAX_FIELDS:
        raise ValueError("no record")
    values: list[Value] = []
    for kind in kinds:
        width = _width(kind)
        if at + width > length:
            raise ValueError("a field beyond the end")
        values.append(_value(kind, record[at : at + width]))
        at += width
    if at != length:
        raise ValueError("fields that end too early")
    return tuple(values)


def _width(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    return (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]


def _value(kind: int, data: bytes) -> Value:
    match kind:
        case 0:
            return None
        case 7:
            return float(struct.unpack(">d", data)[0])
        case 8 | 9:
            return kind - 8
        case _ if kind < 7:
            return int.from_bytes(data, "big", signed=True)
        case _:
            return data.decode("utf-8", "replace") if kind % 2 else data


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    value = value << 8 | data[at + 8]
    return (value - (1 << 64) if value >> 63 else value), at + 9
