"""Questions to an engine over HTTP, for delegated runs and local leads alike: bounded answers, streams by line.

Nothing here knows whose errors its callers raise: a refusal is a `Refusal`, a broken connection is httpx2's, an
answer that is not JSON a ValueError.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, cast

import httpx2

MAX_LINE_BYTES = 8 << 20
ASK_TIMEOUT_S = 10.0
"""For the small questions: which models, which version."""


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"{status}: {body}")
        self.status, self.body, self.headers = status, body, headers


def client(url: str, headers: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
    """A client without a proxy from the environment and without redirects: a local prompt must not leave the machine."""
    return httpx2.AsyncClient(
        base_url=url,
        headers=dict(headers or {}),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(ASK_TIMEOUT_S, read=None),
    )


async def ask(http: httpx2.AsyncClient, method: str, path: str, body: object = None) -> dict[str, Any]:
    """The JSON object that is the answer. Raises Refusal, httpx2.HTTPError, ValueError."""
    async with http.stream(method, path, json=body) as response:
        text = await _bounded(response)
    if response.status_code != 200:
        raise Refusal(response.status_code, text, response.headers)
    found = json_object(text)
    if found is None:
        raise ValueError(f"the answer to {path} is not a JSON object: {text[:100]!r}")
    return found


async def lines(
    http: httpx2.AsyncClient, path: str, body: object, *, timeout: httpx2.Timeout | None = None
) -> AsyncGenerator[bytes]:
    """Every line of the answer to a post as it arrives. Raises Refusal, httpx2.HTTPError."""
    extra: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    async with http.stream("POST", path, json=body, **extra) as response:
        if response.status_code != 200:
            raise Refusal(response.status_code, await _bounded(response), response.headers)
        async with aclosing(_split(response)) as arriving:
            async for line in arriving:
                yield line


async def objects(
    http: httpx2.AsyncClient, path: str, body: object, *, timeout: httpx2.Timeout | None = None
) -> AsyncGenerator[dict[str, Any]]:
    """As `lines`, each a JSON object. Raises ValueError for anything else."""
    async with aclosing(lines(http, path, body, timeout=timeout)) as arriving:
        async for line in arriving:
            found = json_object(line)
            if found is None:
                raise ValueError(f"a line is not a JSON object: {line[:100]!r}")
            yield found


def json_object(line: bytes | str) -> dict[str, Any] | None:
    """The JSON object in a line; None when it holds none."""
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


async def _split(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """Whole lines by newline alone: httpx2's own splitting also cuts at characters JSON may hold unescaped."""
    rest = b""
    async with aclosing(response.aiter_bytes()) as pieces:
        async for data in pieces:
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                if line.strip():
                    yield line
            if len(rest) > MAX_LINE_BYTES:
                yield b"a line without end"  # no JSON: the reader ends the run
                return
    if rest.strip():
        yield rest


async def _bounded(response: httpx2.Response) -> str:
    """The body, or its first MAX_LINE_BYTES."""
    data = b""
    async for part in response.aiter_bytes():
        data += part
        if len(data) > MAX_LINE_BYTES:
            break
    return data.decode("utf-8", "replace")
