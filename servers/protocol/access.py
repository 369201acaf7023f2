"""Who may call over HTTP: on loopback every program of this machine but no web page, elsewhere who knows the token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

HEADER = "x-understudy-token"
"""For clients whose usual headers carry another key."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Refusal(NamedTuple):
    status: int
    why: str


def refused(headers: Mapping[str, str], token: str | None) -> Refusal | None:
    """Why this call is refused; None when it may pass."""
    origin = headers.get("origin")
    if origin and not is_loopback(_host_of(origin)):
        return Refusal(403, f"web pages may not call this, and this call comes from {origin[:80]}")
    if token is None:
        host = _host_of(f"//{headers.get('host', '')}")
        # A page may point a name of its own at 127.0.0.1; the name it was called by gives it away.
        why = f"this is called by a loopback address, not as {host[:80]!r}"
        return None if is_loopback(host) else Refusal(403, why)
    if any(hmac.compare_digest(given.encode(), token.encode()) for given in _given(headers)):
        return None
    return Refusal(
        401,
        f"this wants its token: as a bearer token, as x-api-key, or as {HEADER} where those carry a key for a vendor",
    )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a bracket that is not closed
        return ""


def _given(headers: Mapping[str, str]) -> list[str]:
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return [
        bearer.strip() if scheme.lower() == "bearer" else "",
        headers.get("x-api-key", ""),
        headers.get(HEADER, ""),
    ]
