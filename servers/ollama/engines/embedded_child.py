"""The embedded engine's process: llama.cpp's server on a loopback port, alive as long as its stdin is open.

Its first line of input is one JSON object {"path", "num_ctx", "threads", "key"}; its one line of output is
{"url"} or {"error"}. Ending the parent closes the pipe, and with it this process, whatever it is doing.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any


def main() -> None:
    """Serve until stdin closes."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the engine logs to stdout now and then
    try:
        url = _serve(order["path"], order["num_ctx"], order["threads"], order["key"])
    except (RuntimeError, ValueError, TypeError, AttributeError, OSError, ImportError) as exc:
        out.write(json.dumps({"error": str(exc) or type(exc).__name__}) + "\n")
        out.flush()
        os._exit(1)
    out.write(json.dumps({"url": url}) + "\n")
    out.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)  # its log of every request would grow for as long as it lives
    threading.Event().wait()


def _serve(path: str, num_ctx: int, threads: int, key: str) -> str:
    engine: Any = importlib.import_module("xllamacpp")
    params = engine.CommonParams()
    params.model.path = path
    params.n_ctx = num_ctx
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = 512
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.port = 0
    params.api_keys = [key]  # other users of this machine reach loopback too
    params.use_jinja = True
    params.ctx_shift = False
    params.endpoint_slots = False
    server = engine.Server(params)
    _kept.append(server)
    return str(server.listening_address)


_kept: list[object] = []


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)
