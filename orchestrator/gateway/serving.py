"""The gateway as a running server: its session, its journal, its socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import anyio
import uvicorn

from ..config.load import Config
from ..errors import ConfigError
from ..events import Emit, Notice, ignore, tee
from ..session.session import open_session
from ..store.recorder import open_conversation
from ..store.store import Store, StoreError
from .access import is_loopback
from .app import App
from .conversations import Conversations
from .gateway import MAX_TOKENS, Gateway, tell, told

PORT = 11500


def listener(host: str, port: int, token: str | None) -> socket.socket:
    """Bound, and not yet listening. Raises ConfigError, also for an address others reach where there is no token."""
    if token is None and not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached by others, so the gateway wants a token there; set UNDERSTUDY_GATEWAY_TOKEN"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as exc:
        raise ConfigError(f"{host} port {port} cannot be used: {exc.strerror or exc}") from exc
    return bound


@asynccontextmanager
async def serving(
    config: Config,
    bound: socket.socket,
    *,
    token: str | None = None,
    routes: Sequence[tuple[str, str]] = (),
    max_tokens: int = MAX_TOKENS,
    keep: bool = True,
    emit: Emit = ignore,
) -> AsyncGenerator[str]:
    """The base URL, for as long as the context is open."""
    async with AsyncExitStack() as stack:
        stack.callback(bound.close)
        if (store := _store(emit) if keep else None) is not None:
            stack.callback(store.close)

        def keeper() -> Emit:
            return tee(open_conversation(store, folder=config.folder, emit=emit), emit)

        without_servers = config.model_copy(update={"servers": {}})
        session = await stack.enter_async_context(open_session(without_servers, tell))
        told.set(emit)
        gateway = Gateway(
            session=session, conversations=Conversations(keeper), routes=routes, max_tokens=max_tokens
        )
        for pattern, model in routes:
            _ = pattern, gateway.model(model)  # what leads nowhere is said now, not to a client later
        app = App(gateway, token=token, emit=emit)
        server = _Server(
            uvicorn.Config(
                app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, server_header=False
            )
        )
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(server.serve, [bound])
        try:
            host, port = bound.getsockname()[:2]
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await app.aclose()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals stay with the command."""
        yield


def _store(emit: Emit) -> Store | None:
    try:
        return Store()
    except StoreError as exc:
        emit(Notice(text=f"nothing of these conversations will be kept: {exc}", level="warning"))
        return None
