"""What every adapter needs around its SDK: one client per event loop, and no raw error."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import cache
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import httpx2
from anyio import Lock, to_thread
from anyio.lowlevel import RunVar

from servers.ollama.ledger.keys import is_loopback

from ..errors import BadRequest, ConfigError, OrchestratorError, ProviderError
from ..types import Completion, Delta, Request
from . import sdk_warnings
from .error_mapping import off_protocol, unreachable
from .reader import understood

CONNECT_S = 10.0
SILENCE_S = 600.0
"""Default for the longest silence on the wire: reasoning models think for minutes without a word."""

T = TypeVar("T")
Translate = Callable[[Exception], ProviderError | None]
"""What an SDK's exception means; None for exceptions that are not the SDK's."""


class PerLoop(Generic[T]):
    """A client made on first use, in a thread (SSL and API models cost 50-300 ms), one for each event loop."""

    def __init__(self, make: Callable[[], T], end: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._end = end
        self._client: RunVar[T | None] = RunVar("client", default=None)
        self._lock: RunVar[Lock | None] = RunVar("lock", default=None)

    async def get(self) -> T:
        sdk_warnings.route()
        lock = self._lock.get() or Lock()
        self._lock.set(lock)
        async with lock:
            client = self._client.get()
            if client is None:
                try:
                    client = await to_thread.run_sync(self._make)
                except ImportError as exc:  # of what a proxy in the environment needs
                    raise ConfigError(f"the proxy named in the environment cannot be used: {exc}") from exc
                self._client.set(client)
            return client

    async def aclose(self) -> None:
        """Close the client of this event loop; the next use makes a new one."""
        client = self._client.get()
        self._client.set(None)
        if client is not None:
            await self._end(client)


@cache
def trust() -> ssl.SSLContext:
    """The system's certificates, read once for all clients."""
    return httpx2.create_ssl_context()


def hosted_at(url: str, *domains: str) -> bool:
    """Whether `url` lies in one of `domains`, which is where a vendor's own service is."""
    host = urlsplit(url).hostname or ""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def reaching(url: str) -> dict[str, Any]:
    """Arguments of an HTTP client for `url`. What is on this machine is never asked through a proxy: neither a
    prompt nor a key may leave it on the way to itself.
    """
    return {"verify": trust(), "trust_env": not on_this_machine(url)}


def on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return is_loopback(host) or host == "0.0.0.0"


def timeouts(silence_s: float | None) -> httpx2.Timeout:
    """`silence_s` between two bytes; to connect as long, but from one second, which a busy machine may need, to CONNECT_S."""
    silence = silence_s or SILENCE_S
    return httpx2.Timeout(silence, connect=min(CONNECT_S, max(silence, 1.0)))


async def spoken(
    provider: str,
    where: str,
    items: AsyncGenerator[Delta | Completion],
    translate: Translate,
    *,
    request: Request,
    native: bool,
) -> AsyncGenerator[Delta | Completion]:
    """`items` with the answer read with care and every exception turned into a ProviderError.

    `native`: this service's models make their calls by its own way and never print them.
    """
    try:
        async with aclosing(items):
            async for item in items:
                yield understood(request, item, native=native) if isinstance(item, Completion) else item
    except Exception as exc:
        if (known := told(provider, where, exc, translate)) is exc:
            raise
        raise known from exc


def told(provider: str, where: str, exc: Exception, translate: Translate) -> Exception:
    """What to raise for `exc`: the vendor's meaning, else the network's, else a broken protocol, else itself."""
    if isinstance(exc, OrchestratorError):
        return exc
    if (known := translate(exc) or unreachable(provider, exc, where)) is not None:
        return known
    shape = (
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        RecursionError,
    )  # of an answer nobody validated before us
    return off_protocol(provider, exc) if isinstance(exc, shape) else exc


def checked(request: Request, provider: str) -> Request:
    """`request`, or BadRequest for what no vendor takes."""
    if request.max_tokens is not None and request.max_tokens < 1:
        raise BadRequest(provider, f"max_tokens must be at least 1, found {request.max_tokens}")
    if not request.messages:
        raise BadRequest(provider, "there is nothing to answer: the request has no messages")
    if not request.model_name:
        raise BadRequest(provider, f"no model is named; write {provider}:MODEL")
    return request
