"""As many rows as fit one result."""

from __future__ import annotations

from collections.abc import Iterable


def fitting(rows: Iterable[str], max_bytes: int) -> list[str]:
    """Rows from the first on, in at most `max_bytes` UTF-8 bytes with their newlines; at least one."""
    kept: list[str] = []
    for row in rows:
        max_bytes -= (len(row) if row.isascii() else len(row.encode("utf-8", "replace"))) + 1
        if max_bytes < 0 and kept:
            break
        kept.append(row)
    return kept
