"""One process that has imported the SDK and forks servers from it, each with its own pipes.

Importing `mcp` costs about a second of one core. Whoever starts several of our servers pays it once:
    python -P -c "from servers.protocol.prefork import main; main(FD)"
where FD is a Unix stream socket. An order is one JSON line {"server", "args", "cwd", "env"} sent with
three descriptors (stdin, stdout, stderr of the new server); the answer is one line {"pid"} or {"error"}.
{"kill": PID} kills a server that was started here and still runs. When the socket closes, servers whose
stdin has closed too are gone within their own time; whatever is left is killed. POSIX only.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, NoReturn

from pydantic import BaseModel

from .registry import SERVERS

LAST_WORDS_S = 2.0  # after the socket closes: how long servers may take to end by themselves
_MAX_ORDER_BYTES = 1 << 20


def main(fd: int) -> None:
    """Take orders until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner decides what Ctrl-C means
    gc.disable()  # no collection during the import, and none that would touch pages shared with children
    import_quickly("servers.protocol.lifecycle")
    importlib.import_module("servers.protocol.server")
    importlib.import_module("servers.workspace")
    _exercise()
    gc.freeze()
    alive: set[int] = set()
    # The owner may be gone before an answer, or in the middle of an order: that is the end, and no error.
    with socket.socket(fileno=fd) as orders, suppress(ConnectionError, ValueError):
        while order := _receive(orders):
            _reap(alive)
            orders.sendall(json.dumps(_carry_out(*order, alive, orders)).encode() + b"\n")
    deadline = time.monotonic() + LAST_WORDS_S
    while alive and time.monotonic() < deadline:
        time.sleep(0.02)
        _reap(alive)
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


def import_quickly(module: str) -> None:
    """Import a module that imports `mcp`, before anything else has.

    Its hundreds of wire models are then built when first used, most of them never, and no collection
    runs over what an import keeps anyway.
    """
    collecting = gc.isenabled()
    gc.disable()
    BaseModel.model_config["defer_build"] = True
    try:
        importlib.import_module(module)
    finally:
        BaseModel.model_config.pop("defer_build", None)
        if collecting:
            gc.enable()


def _exercise() -> None:
    """One handshake and one call of each era within this process: what they build, every server inherits."""
    import anyio
    from mcp import Client

    from .server import ToolServer

    server = ToolServer("exercise")

    @server.tool(structured_output=False)
    async def echo(text: str = "") -> str:
        return text

    async def talk() -> None:
        for mode in ("auto", "legacy"):
            async with Client(server, mode=mode) as client:
                await client.list_tools()
                await client.call_tool("echo", {"text": "x"})

    anyio.run(talk)


def _receive(orders: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    data, fds = b"", list[int]()
    while not data.endswith(b"\n") and len(data) < _MAX_ORDER_BYTES:
        more, new, *_ = socket.recv_fds(orders, 1 << 16, 3)
        if not more:
            return None
        data, fds = data + more, fds + new
    return json.loads(data), fds


def _carry_out(
    order: dict[str, Any], fds: list[int], alive: set[int], orders: socket.socket
) -> dict[str, Any]:
    if "kill" in order:
        if order["kill"] in alive:  # not reaped yet, so the number cannot belong to anybody else
            os.kill(order["kill"], signal.SIGKILL)
        return {}
    if order.get("server") not in SERVERS or len(fds) != 3:
        return {"error": f"wanted one of {', '.join(SERVERS)} and three descriptors"}
    pid = os.fork()
    if pid == 0:
        orders.close()
        _become(order, fds)
    for fd in fds:
        os.close(fd)
    alive.add(pid)
    return {"pid": pid}


def _become(order: dict[str, Any], fds: list[int]) -> NoReturn:
    """Turn the forked child into the server; nothing may return into the order loop."""
    try:
        os.setsid()  # a Ctrl-C at the owner's terminal is not meant for servers
        for target, fd in enumerate(fds):
            os.dup2(fd, target)
        for fd in fds:
            if fd > 2:
                os.close(fd)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["cwd"])
        gc.enable()
        sys.argv = [f"understudy-{order['server']}", *order["args"]]
        importlib.import_module(f"servers.{order['server']}.server").main()
        code = 0
    except SystemExit as exc:  # argparse has said why on stderr
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException as exc:  # noqa: BLE001  (nothing may return into the order loop)
        sys.stderr.write(f"understudy-{order.get('server')}: {exc}\n")
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _reap(alive: set[int]) -> None:
    for pid in tuple(alive):
        if os.waitpid(pid, os.WNOHANG)[0]:
            alive.discard(pid)
