"""Servers at an address that want the person to sign in: OAuth by the SDK, kept in the state folder, in a browser once.

Where nobody was asked to sign in, what is kept is used and renewed, and a server that wants more fails with the
command that gets it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, OAuthFlowError
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl, ValidationError

from servers.state.home import home
from servers.state.whole_file import write_whole

from .launch import Launch
from .lines import Lines
from .transport import reached

WAIT_S = 600.0
"""How long the person may take in the browser."""
_PATH = "/callback"
_DONE = b"<!doctype html><title>Understudy</title><p>You are signed in. This window can be closed."
_NOT = b"<!doctype html><title>Understudy</title><p>That did not work; the terminal says why."

Open = Callable[[str], Awaitable[None]]
"""Shows the person an address, which ends at our own."""


class NotSignedIn(Exception):
    """A server wants the person, and nobody was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Who we are to a server that does not register clients by itself."""

    client_id: str
    client_secret: str | None = None
    scope: str | None = None


class Kept:
    """What a server gave us: its tokens and its name for us. A file of its own for each address, mode 0600."""

    def __init__(self, url: str, known: Known | None = None) -> None:
        name = hashlib.sha256(f"{url}\n{known.client_id if known else ''}".encode()).hexdigest()[:24]
        self.path, self.known = home() / "oauth" / f"{name}.json", known
        self.held: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            self.held = dict(json.loads(self.path.read_text(encoding="utf-8")))

    @property
    def expires_at(self) -> float | None:
        found = self.held.get("expires_at")
        return found if isinstance(found, float) else None

    async def get_tokens(self) -> OAuthToken | None:
        return self._read("tokens", OAuthToken)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.held["expires_at"] = (
            None if tokens.expires_in is None else time.time() + float(tokens.expires_in)
        )
        await self._keep("tokens", tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        if self.known is None:
            return self._read("client", OAuthClientInformationFull)
        method = "client_secret_basic" if self.known.client_secret else "none"
        return OAuthClientInformationFull(
            client_id=self.known.client_id,
            client_secret=self.known.client_secret,
            scope=self.known.scope,
            token_endpoint_auth_method=method,
        )

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        if self.known is None:
            await self._keep("client", client_info)

    @property
    def port(self) -> int:
        """Where the server sends the person back to, as it was told; 0 where it was told nothing."""
        info = self._read("client", OAuthClientInformationFull)
        uris = (info.redirect_uris if info else None) or []
        return uris[0].port or 0 if uris else 0

    def forget_client(self) -> None:
        self.held.pop("client", None)

    def _read(self, key: str, model: Any) -> Any:
        try:
            return model.model_validate(self.held[key])
        except (KeyError, ValidationError):
            return None

    async def _keep(self, key: str, value: Any) -> None:
        self.held[key] = value.model_dump(mode="json", exclude_none=True)
        await anyio.to_thread.run_sync(write_whole, self.path, json.dumps(self.held))


@asynccontextmanager
async def signed_in(
    name: str, url: str, *, known: Known | None = None, opened: Open | None = None
) -> AsyncGenerator[OAuthClientProvider]:
    """What authorises the requests to a server. `opened` None: nobody is there to sign in.

    `name`: of the server, for the person.
    """
    kept = Kept(url, known)
    with _reserved(kept) as bound:
        port = bound.getsockname()[1]

        async def ask(address: str) -> None:
            if opened is None:
                raise NotSignedIn(f"it wants you to sign in: understudy login {name}")
            bound.listen(8)
            await opened(address)

        provider = OAuthClientProvider(
            url,
            OAuthClientMetadata(
                client_name="Understudy",
                redirect_uris=[AnyUrl(f"http://127.0.0.1:{port}{_PATH}")],
                scope=known.scope if known else None,
            ),
            kept,
            redirect_handler=ask,
            callback_handler=lambda: _came_back(bound),
        )
        provider.context.token_expiry_time = kept.expires_at  # which the SDK knows of its own tokens only
        yield provider


async def sign_in(name: str, launch: Launch, opened: Open) -> int:
    """Connect once with the person there; how many tools the server has then. Raises whatever went wrong."""
    import mcp

    async with authorised(name, launch, opened) as auth:
        there = reached(
            launch.url or "",
            launch.headers,
            sse=launch.transport == "sse",
            lines=Lines(lambda text: None),
            auth=auth,
        )
        async with mcp.Client(there) as client:
            return len((await client.list_tools()).tools)


def forget(launch: Launch) -> bool:
    """Delete what the server gave; whether there was anything."""
    path = Kept(launch.url or "", known_of(launch)).path
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


@asynccontextmanager
async def authorised(
    name: str, launch: Launch, opened: Open | None = None
) -> AsyncGenerator[OAuthClientProvider | None]:
    """Who we are to a server at an address: what its headers say, else whoever signed in."""
    if any(header.lower() == "authorization" for header in launch.headers):
        yield None
        return
    async with signed_in(name, launch.url or "", known=known_of(launch), opened=opened) as provider:
        yield provider


def known_of(launch: Launch) -> Known | None:
    return Known(**launch.oauth) if launch.oauth else None


def _reserved(kept: Kept) -> socket.socket:
    """A port of loopback, the one the server knows where it is free: nobody reaches it before the person is asked."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", kept.port))
    except (OSError, OverflowError):
        kept.forget_client()  # it takes us back at that port alone
        bound.bind(("127.0.0.1", 0))
    return bound


async def _came_back(bound: socket.socket) -> AuthorizationCodeResult:
    """What the person's browser brings back. Raises OAuthFlowError."""
    found: dict[str, str] = {}
    there = anyio.Event()

    async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, asyncio.IncompleteReadError):
            line = (await reader.readline()).decode("latin-1").split()
            parts = urlsplit(line[1]) if len(line) > 1 else urlsplit("")
            asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
            ours = parts.path == _PATH and ("code" in asked or "error" in asked)
            if ours:
                found.update(asked)
            page = _DONE if ours and "code" in asked else _NOT
            head = f"HTTP/1.1 {200 if ours else 404} \r\ncontent-type: text/html\r\ncontent-length: {len(page)}\r\n"
            writer.write(head.encode() + b"connection: close\r\n\r\n" + page)
            await writer.drain()
            if ours:
                there.set()
        writer.close()

    server = await asyncio.start_server(visited, sock=bound.dup())
    try:
        with anyio.move_on_after(WAIT_S):
            await there.wait()
    finally:
        server.close()
    if "code" not in found:
        why = found.get("error_description") or found.get("error") or "nobody came back from the browser"
        raise OAuthFlowError(f"not signed in: {why}")
    return AuthorizationCodeResult(code=found["code"], state=found.get("state"), iss=found.get("iss"))
