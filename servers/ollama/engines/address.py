"""Where an Ollama server is and who asks, from what a person wrote: the one reading for commands, server and lead."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_URL = "http://127.0.0.1:11434"
_ANYWHERE = ("0.0.0.0", "::", "*")  # where a server listens, not where to reach it
_OTHER_WIRES = re.compile(r"/(v1|api)$")  # of an address copied from another client


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    url: str  # without user and password
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # that say who asks


def address_of(given: str | None = None, *, key: str | None = None) -> Address:
    """The address written as `given`, else in OLLAMA_BASE_URL, else in OLLAMA_HOST, else Ollama's own.

    Whoever asks is named by `user:password@` in it, else by `key`, else by OLLAMA_API_KEY. Raises ValueError.
    """
    text = given or os.environ.get("OLLAMA_BASE_URL") or os.environ.get("OLLAMA_HOST") or ""
    parts = urlsplit(normal_url(text))
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    token = key or os.environ.get("OLLAMA_API_KEY", "").strip()
    if parts.username or parts.password:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
        return Address(url=url, headers={"authorization": f"Basic {base64.b64encode(pair).decode()}"})
    return Address(url=url, headers={"authorization": f"Bearer {token}"} if token else {})


def normal_url(text: str) -> str:
    """The whole URL of a URL, host, host:port or :port as Ollama takes them; user and password stay.

    Raises ValueError for what is no address of a server.
    """
    text = text.strip().strip("'\"")
    if not text:
        return DEFAULT_URL
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError as exc:
        raise ValueError(f"{_shown(text)} is no address of a server ({exc}); write {DEFAULT_URL}") from exc
    if parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise ValueError(f"{_shown(text)} is no address of a server; write {DEFAULT_URL}")
    if port is None:
        port = {"http": 80, "https": 443}[parts.scheme] if "://" in text else 11434
    host = "127.0.0.1" if host in _ANYWHERE else f"[{host}]" if ":" in host else host
    path = _OTHER_WIRES.sub("", parts.path.rstrip("/"))
    return SplitResult(parts.scheme, f"{_user(parts)}{host}:{port}", path, "", "").geturl()


def _user(parts: SplitResult) -> str:
    before, at, _ = parts.netloc.rpartition("@")
    return before + at


def _shown(text: str) -> str:
    return repr(re.sub(r"[^/@]*@", "", text))
