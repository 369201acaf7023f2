"""What went wrong on the wire, as one error of our tree, whichever vendor said it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from ..errors import (
    AuthFailed,
    BadRequest,
    ContextTooLong,
    NoSuchModel,
    OutOfCredit,
    Overloaded,
    ProviderError,
    RateLimited,
    Refused,
    TimedOut,
    Unreachable,
    Unsupported,
)
from .context_texts import too_long
from .waits import retry_after

MAX_MESSAGE_CHARS = 600

_CREDIT = re.compile(
    r"insufficient_quota|credit balance|spend[ _]limit|out of credit|payment required|insufficient (balance|funds|credit)",
    re.IGNORECASE,
)
_PERHAPS_CREDIT = re.compile(r"exceeded your current quota|billing", re.IGNORECASE)
"""Google says this of a limit by the minute too, but then it names a wait."""
_AUTH = re.compile(
    r"api key not valid|api_key_invalid|invalid api key|incorrect api key|UnrecognizedClient|InvalidSignature"
    r"|ExpiredToken|security token",
    re.IGNORECASE,
)
_FEATURES = {
    "tools": re.compile(
        r"(does not|doesn['’]t) support (tool|function)(?!_choice)|no tool support|no endpoints found that support tool"
        r"|(?<!\w)(tools?|tool[ _]?(use|calling|calls)|functions?( calling)?)['`\"]? (is|are) not (supported|enabled)"
        r"|enable-auto-tool-choice|tools param requires --jinja",
        re.IGNORECASE,
    ),
    "thinking": re.compile(r"does not support (thinking|reasoning)|thinking is not supported", re.IGNORECASE),
    "images": re.compile(
        r"image input is not supported|does not support (image|vision)|no vision|mmproj", re.IGNORECASE
    ),
}


def failure(
    provider: str,
    status: int | None,
    message: str,
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    retry_after_s: float | None = None,
) -> ProviderError:
    """The error a status, a vendor's code and its words mean. `status` is None for errors inside a stream."""
    said = readable(message, status)
    words = f"{code} {message}"
    wait = retry_after_s if retry_after_s is not None else retry_after(headers or {}, message)
    for feature, pattern in _FEATURES.items():
        if pattern.search(words):
            return Unsupported(provider, said, feature=feature)
    if status == 402 or _CREDIT.search(words) or (wait is None and _PERHAPS_CREDIT.search(words)):
        return OutOfCredit(provider, said)
    if status in (401, 403) or _AUTH.search(words):
        return AuthFailed(provider, said)
    if status == 429 or re.search(
        r"rate_?limit|throttl|RESOURCE_EXHAUSTED|ServiceQuotaExceeded", words, re.IGNORECASE
    ):
        return RateLimited(provider, said, retry_after_s=wait)
    if status == 413 or (status not in (500, 502, 503) and too_long(words)) or "exceed_context" in words:
        return ContextTooLong(provider, said)
    if status in (408, 504):
        return TimedOut(provider, said, retry_after_s=wait)
    if status in (502, 503, 529) or re.search(r"overloaded|unavailable|busy", words, re.IGNORECASE):
        return Overloaded(provider, said, retry_after_s=wait)
    if status == 404 or re.search(r"model_not_found|not_found_error", code):
        return (
            NoSuchModel(provider, said)
            if re.search("model|ResourceNotFound", words)
            else _wrong_address(provider, said)
        )
    if re.search(r"content_(filter|policy)|safety|PROHIBITED_CONTENT|blocked", words, re.IGNORECASE):
        return Refused(provider, said)
    if status is not None and 300 <= status < 400:
        return _wrong_address(provider, said)
    if status is not None and 400 <= status < 500 and status not in (409, 425):
        return BadRequest(provider, said)
    return ProviderError(provider, said, retryable=True, retry_after_s=wait)


def unreachable(provider: str, exc: BaseException, where: str) -> ProviderError | None:
    """For what httpx2 raises; None for anything else. `where` is shown without user, password and query."""
    place = re.sub(r"//[^/@]*@", "//", where.partition("?")[0])
    match exc:
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return Unreachable(provider, f"no connection to {place} in time")
        case httpx2.TimeoutException():
            return TimedOut(provider, f"{place} said nothing for longer than allowed")
        case httpx2.ConnectError() if urlsplit(place).hostname in ("localhost", "127.0.0.1", "::1"):
            # Waiting starts no server on one's own machine.
            return Unreachable(provider, f"cannot reach {place}: is the server running?", retryable=False)
        case httpx2.ConnectError():
            return Unreachable(provider, f"cannot reach {place}: {readable(str(exc)) or 'no connection'}")
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return BadRequest(
                provider, f"{place!r} is not an address; it should begin with http:// or https://"
            )
        case httpx2.TransportError() | httpx2.StreamError():
            return Unreachable(
                provider, f"the connection to {place} broke: {readable(str(exc)) or type(exc).__name__}"
            )
        case httpx2.HTTPError():
            return ProviderError(provider, f"{place}: {readable(str(exc))}")
        case _:
            return None


def off_protocol(provider: str, exc: Exception) -> ProviderError:
    """For an answer that is not what the vendor's protocol says."""
    return ProviderError(
        provider,
        f"the answer does not follow the protocol: {type(exc).__name__}: {readable(str(exc))}",
        retryable=True,
    )


def readable(message: str, status: int | None = None) -> str:
    """One bounded line; a proxy's HTML page is called that."""
    if re.match(r"\s*(<!doctype|<html)", message, re.IGNORECASE):
        return f"HTTP {status}: a web page came back instead of an answer; a proxy or a wrong address"
    line = " ".join(message.split()) or (f"HTTP {status} without a word" if status else "")
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 3] + "..."


def vendor_words(body: Any, fallback: str) -> tuple[str, str]:
    """(message, code) of the error bodies in use: {"error": {...}}, {"error": "..."}, {"message": ...}."""
    inner: Any = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(inner, str):
        return inner, ""
    if not isinstance(inner, dict):
        return fallback, ""
    codes = [str(inner[key]) for key in ("code", "type", "status") if inner.get(key)]
    return str(inner.get("message") or fallback), " ".join(codes)


def _wrong_address(provider: str, said: str) -> ProviderError:
    return BadRequest(provider, f"{said} (is the address of the service right?)")
