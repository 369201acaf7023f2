"""What of a caller's headers goes on to the vendor."""

from __future__ import annotations

from collections.abc import Mapping

from servers.protocol.access import HEADER


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
