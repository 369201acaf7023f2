"""What went wrong, as a status that clients of every vendor understand, and whether asking again can help."""

from __future__ import annotations

import math

from ..errors import (
    AuthFailed,
    BadRequest,
    ContextTooLong,
    NoSuchModel,
    OrchestratorError,
    OutOfBudget,
    OutOfCredit,
    Overloaded,
    ProviderError,
    RateLimited,
    Refused,
    TimedOut,
    Unreachable,
)

_STATUS: tuple[tuple[type[OrchestratorError], int], ...] = (
    (AuthFailed, 401),
    (OutOfCredit, 402),
    (OutOfBudget, 402),
    (RateLimited, 429),
    (Overloaded, 503),
    (NoSuchModel, 404),
    (ContextTooLong, 400),
    (BadRequest, 400),
    (Refused, 400),
    (Unreachable, 502),
    (TimedOut, 504),
)


class AtTheDoor(ProviderError):
    """What is refused before anybody looks for a model, with the status HTTP has for it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__("gateway", message)
        self.status = status


def status_of(exc: OrchestratorError) -> int:
    if isinstance(exc, AtTheDoor):
        return exc.status
    return next((status for kind, status in _STATUS if isinstance(exc, kind)), 500)


def headers_of(exc: OrchestratorError) -> dict[str, str]:
    """Whether to ask again, as the vendors' SDKs read it."""
    retryable = isinstance(exc, ProviderError) and exc.retryable
    headers = {"x-should-retry": "true" if retryable else "false"}
    if isinstance(exc, ProviderError) and exc.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(exc.retry_after_s))
    return headers


def words_of(exc: OrchestratorError) -> str:
    """The sentence; who refuses stands in it already where that is not the gateway itself."""
    return exc.message if isinstance(exc, ProviderError) and exc.provider == "gateway" else str(exc)
