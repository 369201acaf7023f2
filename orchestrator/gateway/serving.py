"""The gateway as a running server: its session, its journal, its socket."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakSet

import anyio
import uvicorn

from servers.protocol import http

from ..config.load import Config
from ..errors import ConfigError
from ..events import Emit, Notice, ignore, tee
from ..session.session import open_session
from ..store.recorder import Recorder, open_conversation
from ..store.store import Store, StoreError
from .app import App
from .conversations import Conversations
from .gateway import MAX_TOKENS, Gateway, tell, told


def listener(host: str, port: int, token: str | None) -> socket.socket:
    """Where callers may already wait. Raises ConfigError, also for an address others reach where there is no token."""
    try:
        return http.listener(host, port, token, "UNDERSTUDY_GATEWAY_TOKEN")
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc


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

        recorders = WeakSet[Recorder]()  # of the conversations that are remembered, however many there were

        def keeper() -> Emit:
            recorders.add(recorder := open_conversation(store, folder=config.folder, emit=emit))
            return tee(recorder, emit)

        without_servers = config.model_copy(update={"servers": {}})
        session = await stack.enter_async_context(open_session(without_servers, tell))
        told.set(emit)
        gateway = Gateway(
            session=session, conversations=Conversations(keeper), routes=routes, max_tokens=max_tokens
        )
        for pattern, model in routes:
            _ = pattern, gateway.model(model)  # what leads nowhere is said now, not to a client later
        app = App(gateway, token=token, emit=emit)
        server = http.Server(
            uvicorn.Config(
                app, log_config=None, lifespan="off", timeout_graceful_shutdown=1, server_header=False
            )
        )
        group = await stack.enter_async_context(anyio.create_task_group())
        group.start_soon(server.serve, [bound])
        try:
            yield http.url_of(bound)
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await app.aclose()
            for recorder in list(recorders):
                recorder.finish()


def _store(emit: Emit) -> Store | None:
    try:
        return Store(later=True)
    except StoreError as exc:
        emit(Notice(text=f"nothing of these conversations will be kept: {exc}", level="warning"))
        return None
