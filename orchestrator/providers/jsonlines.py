"""JSON objects from a streamed body, one a line, with a bound on the line."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import httpx2

MAX_LINE_BYTES = 32 << 20


async def json_lines(response: httpx2.Response) -> AsyncGenerator[dict[str, Any]]:
    """Every object as it arrives. Raises ValueError for anything else. A last line needs no newline."""
    held = b""
    async with aclosing(response.aiter_bytes()) as pieces:
        async for piece in pieces:
            *lines, held = (held + piece).split(b"\n")
            for line in lines:
                if line.strip():
                    yield _object(line)
            if len(held) > MAX_LINE_BYTES:
                raise ValueError(f"a line has more than {MAX_LINE_BYTES >> 20} MiB")
    if held.strip():
        yield _object(held)


def _object(line: bytes) -> dict[str, Any]:
    value: Any = None
    with suppress(ValueError, RecursionError):
        value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError(f"a line is not a JSON object: {line[:100]!r}")  # noqa: TRY004  what arrived is wrong, not a type
    return value
