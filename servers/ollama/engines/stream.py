"""One answer as it arrives over HTTP, whichever engine sends it: its text, its end, or what went wrong."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import httpx2

from ...durations import duration
from ..ledger.profile import Outcome, overflow_numbers
from .protocol import MAX_ANSWER_CHARS, Query, Said

MAX_LINE_BYTES = 8 << 20
ASK_TIMEOUT_S = 10.0
"""For the small questions: which models, which version."""


class Arriving:
    """The state of one run. `final` is the engine's last object."""

    def __init__(self, query: Query, said: Said, started: float | None = None) -> None:
        self.query, self.said = query, said
        self.started = time.perf_counter() if started is None else started
        self.first_token_s: float | None = None
        self.text: list[str] = []
        self.thinking: list[str] = []
        self.chars = 0
        self.final: Mapping[str, Any] = {}
        self.error: str | None = None
        self.outcome: Outcome | None = None
        self.busy = False
        """The engine asked to be asked again."""

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self.started

    def hear(self, piece: object, *, thinking: bool) -> None:
        """Take a piece of the answer; anything but a text is nothing."""
        if not isinstance(piece, str) or not piece:
            return
        if self.first_token_s is None:
            self.first_token_s = self.wall_s
        (self.thinking if thinking else self.text).append(piece)
        self.chars += len(piece)
        self.said(piece, thinking)

    @property
    def endless(self) -> bool:
        """More text than any answer has; the run is then over."""
        return self.chars > MAX_ANSWER_CHARS and self.failed("the answer has no end")

    def failed(self, error: str, outcome: Outcome = "error") -> bool:
        """Note how the run ended; always true, for callers that then stop."""
        self.error, self.outcome = error, outcome
        return True

    def refused(self, status: int, body: str) -> None:
        """The engine answered with an error before the first token."""
        self.busy = status == 503
        self.final = {"error": body}
        if numbers := overflow_numbers(body):
            self.failed(f"the prompt has {numbers[0]:,} tokens, the context {numbers[1]:,}", "overflow")
        else:
            self.failed(f"the server refused with {status}: {error_text(body)}")

    def broke(self, exc: httpx2.HTTPError, url: str, start: str) -> None:
        """The connection failed."""
        if self.chars or isinstance(exc, httpx2.RemoteProtocolError | httpx2.ReadError):
            self.failed(f"the connection broke after {self.chars:,} characters", "aborted")
        else:
            self.failed(unreachable(url, exc, start))

    def stopped(self) -> None:
        """Its time is up."""
        self.failed(f"stopped after {duration(self.query.timeout_s)}, the time it was given", "cancelled")


def client(url: str, headers: Mapping[str, str] | None = None) -> httpx2.AsyncClient:
    """A client without a proxy from the environment and without redirects: a local prompt must not leave the machine."""
    return httpx2.AsyncClient(
        base_url=url,
        headers=dict(headers or {}),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx2.Timeout(ASK_TIMEOUT_S, read=None),
    )


async def lines(response: httpx2.Response) -> AsyncGenerator[bytes]:
    """Whole lines by newline alone: httpx's own splitting also cuts at characters JSON may hold unescaped."""
    rest = b""
    async for data in response.aiter_bytes():
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > MAX_LINE_BYTES:
            yield b"a line without end"  # no JSON: the reader ends the run
            return
    if rest.strip():
        yield rest


async def bounded_body(response: httpx2.Response) -> str:
    """The body, or its first MAX_LINE_BYTES."""
    data = b""
    async for part in response.aiter_bytes():
        data += part
        if len(data) > MAX_LINE_BYTES:
            break
    return data.decode("utf-8", "replace")


def json_object(line: bytes | str) -> dict[str, Any] | None:
    """The JSON object in a line; None when it holds none."""
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def unreachable(url: str, exc: BaseException, start: str) -> str:
    """Why nothing answers at `url`, and what would help: `start` is the command for it."""
    if isinstance(exc, httpx2.ConnectError):
        return f"nothing answers at {url}; start it (`{start}`) or name another with --host"
    if isinstance(exc, TimeoutError | httpx2.TimeoutException):
        return (
            f"{url} accepts connections but did not answer in {duration(ASK_TIMEOUT_S)}; it may be overloaded"
        )
    return f"the connection to {url} broke: {exc or type(exc).__name__}"


def error_text(body: str) -> str:
    """The sentence inside an error answer, which may itself be JSON."""
    found: object = body
    for _ in range(4):
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                break
        if not isinstance(found, dict):
            break
        inner = cast("dict[str, object]", found)
        found = inner.get("error", inner.get("message", ""))
    text = found if isinstance(found, str) else body
    return " ".join(text.split())[:400] or "no reason given"
