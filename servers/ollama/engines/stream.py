"""One answer as it arrives over HTTP, whichever engine sends it: its text, its end, or what went wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, cast

import httpx2

from ...durations import duration
from ..ledger.profile import Outcome, overflow_numbers, overflow_text
from .http import ASK_TIMEOUT_S
from .protocol import MAX_ANSWER_CHARS, Said


class Arriving:
    """The state of one run. `said` hears every piece; `final` is the engine's last object."""

    def __init__(self, said: Said = lambda piece, thinking: None, started: float | None = None) -> None:
        self.said = said
        self.started = time.perf_counter() if started is None else started
        self.first_token_s: float | None = None
        self.ended_s: float | None = None
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
        """Until it ended, or until now."""
        return time.perf_counter() - self.started if self.ended_s is None else self.ended_s

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
            self.failed(overflow_text(numbers), "overflow")
        else:
            self.failed(f"the server refused with {status}: {error_text(body)}")

    def broke(self, exc: httpx2.HTTPError, url: str, start: str) -> None:
        """The connection failed."""
        if self.chars or isinstance(exc, httpx2.RemoteProtocolError | httpx2.ReadError):
            self.failed(f"the connection broke after {self.chars:,} characters", "aborted")
        else:
            self.failed(unreachable(url, exc, start))

    def stopped(self, after_s: float) -> None:
        """Its time is up."""
        self.failed(f"stopped after {duration(after_s)}, the time it was given", "cancelled")


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
