"""Who may call: on loopback every program of this machine but no web page, elsewhere who knows the token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

HEADER = "x-understudy-token"
"""For clients that need their usual headers for the vendor's own key."""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refused(headers: Mapping[str, str], token: str | None) -> str | None:
    """Why this call is refused; None when it may pass."""
    origin = headers.get("origin")
    if origin and not is_loopback(urlsplit(origin).hostname or ""):
        return f"web pages may not call this gateway, and this call comes from {origin[:80]}"
    if token is None:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        # A page may point a name of its own at 127.0.0.1; the name it was called by gives it away.
        return (
            None
            if is_loopback(host)
            else f"this gateway is called by a loopback address, not as {host[:80]!r}"
        )
    if any(hmac.compare_digest(given.encode(), token.encode()) for given in _given(headers)):
        return None
    return (
        f"this gateway wants its token: as a bearer token, as x-api-key, or as {HEADER} where your own key for "
        "the vendor goes with the call"
    )


def forwarded(headers: Mapping[str, str], token: str | None) -> dict[str, str]:
    """The caller's headers for the vendor, without the gateway's token and what belongs to one connection."""
    hop = {
        "host",
        "content-length",
        "connection",
        "transfer-encoding",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
    }
    kept = {name: value for name, value in headers.items() if name not in hop and name != HEADER}
    for name in ("authorization", "x-api-key"):
        if token and token in kept.get(name, ""):
            del kept[name]
    return kept


def _given(headers: Mapping[str, str]) -> list[str]:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return [bearer, headers.get("x-api-key", ""), headers.get(HEADER, "")]
