"""The embedded engine: llama.cpp's server as a child process on loopback, for machines without Ollama.

It starts at the first run, restarts when a run needs a larger context, and ends with the server.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import secrets
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast

import anyio

from .gguf import BadGguf, read_header
from .llamacpp import LlamaCpp
from .protocol import Answer, EngineError, Model, Query, Said

START_S = 120.0
DYING_S = 1.0
"""How long a process that broke a connection may take to be gone."""
_CODE = "from servers.ollama.engines.embedded_child import main; main()"


class Embedded:
    """A Runtime on one GGUF file. Raises EngineError when the file or the engine is missing."""

    def __init__(self, path: Path, *, note: str | None = None) -> None:
        self.path = path
        self.name = f"embedded engine with {path.name}"
        self.host = platform.node()
        self.url: str | None = None
        self.note = note
        self.timed, self.simulated = True, False
        if importlib.util.find_spec("xllamacpp") is None:
            raise EngineError(
                "the embedded engine is not installed; pip install 'understudy[engine]' brings it"
            )
        try:
            self.info = read_header(path)
            self.size_bytes = path.stat().st_size
        except BadGguf as exc:
            raise EngineError(str(exc)) from exc
        except OSError as exc:
            raise EngineError(f"the model file {path} cannot be read: {exc.strerror or exc}") from exc
        self._child: _Child | None = None
        self._lock = anyio.Lock()

    @property
    def pids(self) -> tuple[int, ...]:
        return (self._running.pid,) if self._running else ()

    async def engine(self) -> str:
        return "embedded llamacpp"

    async def models(self) -> list[Model]:
        return [await self.model(self.model_name)]

    @property
    def model_name(self) -> str:
        return self.path.name.removesuffix(".gguf")

    async def model(self, name: str) -> Model:
        if name != self.model_name:
            raise EngineError(f"no model {name[:80]!r} here; there is {self.model_name}")
        arch = self.info.get("general.architecture")
        trained, params = self.info.get(f"{arch}.context_length"), self.info.get("general.parameter_count")
        stamp = f"{self.path}:{self.size_bytes}:{self.path.stat().st_mtime_ns}"
        return Model(
            name=name,
            digest=f"gguf:{hashlib.sha256(stamp.encode()).hexdigest()[:16]}",
            size_bytes=self.size_bytes,
            parameters=f"{params / 1e9:.2g}B" if isinstance(params, int) else None,
            context_length=trained if isinstance(trained, int) else None,
            info=self.info,
            loaded=self._running is not None,
            loaded_ctx=self._running.num_ctx if self._running else None,
        )

    async def count(self, query: Query) -> int | None:
        """Only by a model that is loaded: forecasts ask every model there is, and to load one takes longer than they may."""
        if (child := self._running) is None:
            return None
        try:
            return await child.api.count(query)
        except EngineError:
            if not await child.ended(DYING_S):
                raise
            return None  # it died, or made room for one with a larger context

    async def chat(self, query: Query, said: Said) -> Answer:
        load_s = 0.0
        async with self._lock:
            child = self._running
            if child is None or child.num_ctx < query.num_ctx:
                child = await self._started(query.num_ctx)
                load_s = child.load_s
        answer = await child.api.chat(replace(query, num_ctx=child.num_ctx), said)
        profile = replace(answer.profile, load_s=load_s)
        if profile.total_s is not None:
            profile = replace(profile, total_s=profile.total_s + load_s, wall_s=profile.total_s + load_s)
        return replace(answer, profile=profile)

    async def aclose(self) -> None:
        if self._child is not None:
            await self._child.api.aclose()
        self.close()

    def close(self) -> None:
        """End the engine at once; from any thread."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    @property
    def _running(self) -> _Child | None:
        return self._child if self._child and self._child.alive else None

    async def _started(self, num_ctx: int) -> _Child:
        """A fresh engine with this context, the old one ended. Raises EngineError."""
        await self.aclose()
        child = await anyio.to_thread.run_sync(_Child, self.path, num_ctx)
        try:  # a large model loads for a while, and who waits for it may be cancelled
            await anyio.to_thread.run_sync(child.wait_until_ready, abandon_on_cancel=True)
        except BaseException:
            child.kill()
            raise
        self._child = child
        return child


class _Child:
    """An engine process, launched by making it."""

    def __init__(self, path: Path, num_ctx: int) -> None:
        self.path = path
        self.num_ctx = num_ctx
        self.load_s = 0.0
        """Until it was ready."""
        self._began = time.perf_counter()
        self._key = secrets.token_hex(16)
        # one core less: a single busy neighbour costs tenfold otherwise
        threads = max((os.cpu_count() or 2) - 1, 1)
        order = {"path": str(path), "num_ctx": num_ctx, "threads": threads, "key": self._key}
        self._log = TemporaryFile()  # noqa: SIM115 closed when the engine is ready or has ended
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)
        with suppress(OSError):  # it has ended already; its log says why
            self._stdin.write(json.dumps(order).encode() + b"\n")
            self._stdin.flush()

    def wait_until_ready(self) -> None:
        """Blocks until the engine serves. Raises EngineError with its last words."""
        guard = threading.Timer(START_S, self._process.kill)
        guard.start()
        try:
            line = self._stdout.readline()
        finally:
            guard.cancel()
        told: dict[str, str] = json.loads(line) if line else {"error": _last_words(self._log)}
        self._log.close()
        if "url" not in told:
            raise EngineError(f"the embedded engine cannot run {self.path.name}: {told['error']}")
        self.load_s = time.perf_counter() - self._began
        self.api = LlamaCpp(told["url"], key=self._key)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    async def ended(self, within_s: float) -> bool:
        """Whether the process has ended, or does so soon."""
        with suppress(subprocess.TimeoutExpired):
            await anyio.to_thread.run_sync(self._process.wait, within_s)
        return not self.alive

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(5)
        for pipe in (self._stdin, self._stdout, self._log):
            with suppress(OSError):
                pipe.close()


def _last_words(log: IO[bytes]) -> str:
    log.seek(0)
    said = log.read().decode("utf-8", "replace").strip().splitlines()
    return said[-1][:300] if said else "it ended without a word"
