"""Pages and HTTP interfaces: `tools=[http_fetch()]`, or "orchestrator.function_tools.http:fetch" in config.yaml."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import anyio
import httpcore2
import httpx2

from ..errors import ConfigError
from ..providers.waits import retry_after
from .addresses import CheckedBackend, NotAllowed
from .function_tool import FunctionTool, tool

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
MAX_REDIRECTS = 5
_AGAIN = {429, 502, 503, 504}
_LOST = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool


def _several(given: Iterable[str]) -> tuple[str, ...]:
    """A text alone is one of them, and not its letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def http_fetch(
    *,
    hosts: Collection[str] | None = None,
    allow: Iterable[str] = (),
    methods: Collection[Method] = ("GET",),
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 20.0,
    retries: int = 2,
    retry_first_s: float = 0.5,
    max_bytes: int = 200_000,
    name: str = "fetch",
    needs_approval: bool = False,
) -> FunctionTool[..., Any]:
    """A tool that fetches over http and https.

    `hosts`: the only ones that may be asked; None: any. Addresses outside the open internet are refused, those a name
    resolves to and a redirect leads to as well, unless `allow` names their host, address or network. `headers`, a key
    for example, are sent to `hosts` alone. `timeout_s`: of a whole call, its `retries` after a lost connection or a
    busy server and up to 5 redirects included; only GET and HEAD are tried again. `max_bytes`: of a body; the rest is
    left unread. Raises ConfigError for headers without hosts, and for what cannot be.
    """
    if headers and hosts is None:
        raise ConfigError("http_fetch: headers are sent to `hosts` alone; name them")
    methods = cast("tuple[Method, ...]", _several(methods))
    if strange := sorted(set(methods) - set(get_args(Method))):
        raise ConfigError(f"http_fetch: methods: wanted {', '.join(get_args(Method))}, found {strange[0]!r}")
    if min(timeout_s, max_bytes) <= 0 or retries < 0:
        raise ConfigError("http_fetch: timeout_s and max_bytes want more than 0, retries 0 or more")
    for key, value in (headers or {}).items():
        if not re.fullmatch(r"[!-9;-~]+:[\t -~\xa0-\xff]*", f"{key}:{value}"):
            raise ConfigError(f"http_fetch: the header {key!r} cannot be sent as it is")
    only = None if hosts is None else {host.casefold() for host in _several(hosts)}
    allowed = _several(allow)

    @tool(
        name=name,
        read_only=set(methods) <= {"GET", "HEAD"} or None,
        needs_approval=needs_approval,
        timeout_s=timeout_s,
    )
    async def fetch(url: str, method: Method = "GET", body: str | None = None) -> dict[str, Any]:
        """Fetch a URL. Returns status, url (after redirects), type, text, and truncated where there was more."""
        if method not in methods:
            raise NotAllowed(f"{method} is not allowed here; there is {', '.join(methods)}")
        async with httpcore2.AsyncConnectionPool(network_backend=CheckedBackend(allowed)) as pool:
            for _ in range(MAX_REDIRECTS + 1):
                place = _checked(url, only)
                answer = await _tried(pool, method, place, _sent(headers, body), body)
                target = answer.headers.get("location")
                if answer.status not in (301, 302, 303, 307, 308) or not target:
                    return _told(answer, place)
                if answer.status == 303 or (answer.status < 303 and method == "POST"):
                    method, body = "GET", None
                url = str(place.join(target))
        raise NotAllowed(f"more than {MAX_REDIRECTS} redirects, the last to {url[:200]}")

    async def _tried(
        pool: Any, method: str, url: httpx2.URL, sent: Mapping[str, str], body: str | None
    ) -> _Answer:
        left, until = retries if method in ("GET", "HEAD") else 0, anyio.current_time() + timeout_s
        wait = retry_first_s
        while True:
            try:
                answer = await _asked(pool, method, url, sent, body, max_bytes)
                if answer.status not in _AGAIN or not left:
                    return answer
                asked_to_wait = retry_after(answer.headers)
                if asked_to_wait is not None and anyio.current_time() + asked_to_wait > until:
                    return answer  # what it says is worth more than that it was waited for in vain
            except _LOST:
                if not left:
                    raise
                asked_to_wait = None
            await anyio.sleep(
                wait if asked_to_wait is None else asked_to_wait
            )  # within timeout_s in any case
            left, wait = left - 1, wait * 2

    return fetch


fetch = http_fetch()


def _checked(url: str, only: Collection[str] | None) -> httpx2.URL:
    try:
        place = httpx2.URL(url)
    except httpx2.InvalidURL as exc:
        raise NotAllowed(f"{url[:200]!r} is no URL: {exc}") from exc
    if place.scheme not in ("http", "https") or not place.host:
        raise NotAllowed(f"wanted a URL that begins with http:// or https://, found {url[:200]!r}")
    if place.userinfo:
        raise NotAllowed("a URL may hold no name and password here")
    if only is not None and place.host not in only:
        raise NotAllowed(f"{place.host} may not be asked; there are {', '.join(sorted(only))}")
    return place


def _sent(headers: Mapping[str, str] | None, body: str | None) -> dict[str, str]:
    # No compression: a small body that unpacks to gigabytes stays small.
    sent = {"user-agent": "understudy", "accept": "*/*", "accept-encoding": "identity", **(headers or {})}
    return sent if body is None else {"content-type": "application/json", **sent}


async def _asked(
    pool: Any, method: str, url: httpx2.URL, sent: Mapping[str, str], body: str | None, max_bytes: int
) -> _Answer:
    target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    content = None if body is None else body.encode()
    length = {} if content is None else {"content-length": str(len(content))}
    whole = {"host": url.netloc.decode("ascii"), **sent, **length}
    fields = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in whole.items()]
    read = bytearray()
    async with pool.stream(method, target, headers=fields, content=content) as response:
        async for chunk in response.aiter_stream():
            read += chunk
            if len(read) > max_bytes:
                break
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in response.headers}
        return _Answer(
            status=response.status,
            headers=headers,
            body=bytes(read[:max_bytes]),
            truncated=len(read) > max_bytes,
        )


def _told(answer: _Answer, url: httpx2.URL) -> dict[str, Any]:
    kind = answer.headers.get("content-type", "")
    said: dict[str, Any] = {"status": answer.status, "url": str(url), "type": kind}
    coding = answer.headers.get("content-encoding", "identity")
    if coding != "identity":
        raise NotAllowed(f"{url.host} answers compressed ({coding}) though it was asked not to")
    if b"\0" in answer.body[:2000]:
        return {**said, "bytes": len(answer.body), "truncated": answer.truncated}
    charset = httpx2.Headers({"content-type": kind}).get("content-type", "").partition("charset=")[2]
    try:
        text = answer.body.decode(charset.split(";")[0].strip(" \"'") or "utf-8", "replace")
    except LookupError:
        text = answer.body.decode("utf-8", "replace")
    return {**said, "text": text, **({"truncated": True} if answer.truncated else {})}
