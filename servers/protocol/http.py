"""A server over streamable HTTP: on loopback, or anywhere behind a token."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from mcp.server import MCPServer

from .access import is_loopback, refused
from .stdio import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"


class Server(uvicorn.Server):
    """uvicorn, but signals stay with whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def listener(host: str, port: int, token: str | None, variable: str) -> socket.socket:
    """Where callers may already wait. ValueError when it cannot be, and for an address others reach without a token.

    `variable`: of the environment, which the token comes from.
    """
    if token is None and not is_loopback(host):
        raise ValueError(f"{host} can be reached by others, so a token is wanted there; set {variable}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)  # who is told the address may call at once, and waits for the server's first look
    except (OSError, OverflowError) as exc:
        raise ValueError(
            f"{host} port {port} cannot be used: {getattr(exc, 'strerror', None) or exc}"
        ) from exc
    return bound


def url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def address(text: str) -> tuple[str, int]:
    """(host, port) of "8000", "0.0.0.0:8000" or "[::1]:8000". ValueError says what is wanted."""
    host, colon, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise ValueError(f"wanted PORT or HOST:PORT, found {text!r}")
    return (host.strip("[]") if colon and host else "127.0.0.1"), int(port)


async def serve_http(
    server: MCPServer, bound: socket.socket, token: str | None, ready: Callable[[str], None]
) -> None:
    """Answer until cancelled. `ready` is told the address."""
    app = server.streamable_http_app(
        streamable_http_path=PATH, max_request_body_size=MAX_MESSAGE_BYTES, host=bound.getsockname()[0]
    )
    running = Server(uvicorn.Config(_guarded(app, token), log_config=None, server_header=False))
    ready(url_of(bound) + PATH)
    await running.serve([bound])


def _guarded(app: ASGIApp, token: str | None) -> Any:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            if (refusal := refused(headers, token)) is not None:
                head = [(b"content-type", b"application/json")]
                if refusal.status == 401:
                    head.append((b"www-authenticate", b"Bearer"))
                await send({"type": "http.response.start", "status": refusal.status, "headers": head})
                await send(
                    {"type": "http.response.body", "body": json.dumps({"error": refusal.why}).encode()}
                )
                return
        await app(scope, receive, send)

    return answer
