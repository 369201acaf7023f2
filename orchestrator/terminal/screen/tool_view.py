"""What a tool said, as a person reads it: a head, the first rows of its output, records as short tables."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ...sanitize import one_line, visible
from .rows import Row, rows, text_rows

OUTPUT_LINES = 6
DIFF_LINES = 40
TABLE_ROWS = 8
TABLE_COLUMNS = 5
_FENCE = re.compile(r"^<<(?:data|end) \w+[^\n]*>>\n?", re.MULTILINE)
_HUNK = re.compile(r"^@@ .* @@", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    head: str
    """Behind the tool's name: what came of it, in short."""
    body: tuple[str, ...]
    """Lines under it."""
    hidden: int
    """Lines that are left out."""
    whole: str
    record: Any = None
    """What it is, where it is JSON."""
    diff: bool = False


def shown(text: str, *, images: int = 0) -> Shown:
    text = unfenced(text).rstrip()  # also rows of a diff that show nothing
    more = f"{images} image{'' if images == 1 else 's'}" if images else ""
    record = _record(text)
    if record is not None:
        return Shown(
            head=more,
            body=(),
            hidden=0,
            whole=json.dumps(record, indent=2, ensure_ascii=False),
            record=record,
        )
    head, _, rest = text.partition("\n")
    lines = rest.split("\n") if rest else []
    diff = _HUNK.search(rest) is not None
    limit = DIFF_LINES if diff else OUTPUT_LINES
    if len(lines) == limit + 1:  # the line that says it would be as long
        limit += 1
    said = " ".join(filter(None, [head, more]))
    return Shown(
        head=said, body=tuple(lines[:limit]), hidden=max(len(lines) - limit, 0), whole=text, diff=diff
    )


def body_rows(console: Console, one: Shown, room: int) -> list[Row]:
    if one.record is not None:
        return record_rows(console, one.record, room)
    if one.diff:
        return diff_rows(console, one.body, room)
    return [row for line in one.body for row in text_rows(console, line, room, "dim") or [[]]]


def diff_rows(console: Console, lines: Sequence[str], room: int) -> list[Row]:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    return [
        row
        for line in lines
        for row in text_rows(console, line, room, styles.get(line[:1], "dim")) or [[Segment("")]]
    ]


def record_rows(console: Console, record: Any, room: int) -> list[Row]:
    """A record's plain fields in one paragraph; its lists of records as tables."""
    found: list[Row] = []
    fields = record if isinstance(record, Mapping) else {"": record}
    plain = [
        f"{one_line(str(key), 40)} {_short(value)}".strip()
        for key, value in fields.items()
        if value not in (None, "", [], {}) and not _is_table(value)
    ]
    if plain:
        found += text_rows(console, " · ".join(plain), room, "dim")
    for key, value in fields.items():
        if _is_table(value):
            if key:
                found += text_rows(console, one_line(str(key), 60), room, "dim bold")
            found += _table_rows(console, value, room)
    return found


def unfenced(text: str) -> str:
    """Without the fences that keep a model from taking what it reads for instructions."""
    return _FENCE.sub("", text)


def _record(text: str) -> Any:
    if text[:1] not in ("{", "["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) and found else None


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _table_rows(console: Console, records: Sequence[Mapping[str, Any]], room: int) -> list[Row]:
    names = list(dict.fromkeys(str(key) for record in records[:TABLE_ROWS] for key in record))
    columns = max(min(len(names), TABLE_COLUMNS, room // 12), 1)
    table = Table(box=None, pad_edge=False, header_style="bold dim", style="dim", padding=(0, 2, 0, 0))
    for name in names[:columns]:
        table.add_column(Text(one_line(name, 30)), overflow="ellipsis", no_wrap=True)
    for record in records[:TABLE_ROWS]:
        table.add_row(*[Text(_short(record.get(name))) for name in names[:columns]])
    found = rows(console, table, room)
    if (cut := len(records) - TABLE_ROWS) > 0:
        found += text_rows(console, f"... {cut:,} more rows", room, "dim")
    return found


def _short(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return one_line(value, 60)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list) and len(value) <= 6 and all(isinstance(one, str | int) for one in value):
        return one_line(", ".join(map(str, value)), 80)
    if isinstance(value, list):
        return f"{len(value)} items"
    if isinstance(value, Mapping):
        return one_line(", ".join(f"{key} {_short(one)}" for key, one in list(value.items())[:4]), 80)
    return visible(str(value))
