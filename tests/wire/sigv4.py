"""AWS Signature Version 4 from its documentation, to check what clients send."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote


def is_signed(method: str, raw_path: str, headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether the Authorization header fits the request as it arrived. The path is encoded once more, as AWS does."""
    said = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=[^/]+/(?P<scope>[^,]+), SignedHeaders=(?P<names>[^,]+), Signature=(?P<signature>\w+)",
        headers.get("authorization", ""),
    )
    if said is None or "host" not in said["names"].split(";"):
        return False
    signed = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in said["names"].split(";"))
    path = quote(raw_path, safe="/-_.~")
    canonical = "\n".join([method, path, "", signed, said["names"], hashlib.sha256(body).hexdigest()])
    date = headers["x-amz-date"]
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, said["scope"], digest])
    key = f"AWS4{secret}".encode()
    for step in said["scope"].split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, said["signature"]) and date.startswith(said["scope"].split("/")[0])
