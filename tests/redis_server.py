"""A Redis server of a test's own, from the system's packages, on a socket in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Redis:
    folder: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/redis.sock?db=0"

    def start(self) -> None:
        words = ["redis-server", "--port", "0", "--unixsocket", f"{self.folder}/redis.sock", "--save", ""]
        server = subprocess.Popen([*words, "--dir", str(self.folder)], stdout=subprocess.PIPE, text=True)
        self.running.append(server)
        assert server.stdout is not None
        for line in server.stdout:
            if "ready to accept connections" in line.lower():
                return
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        for server in self.running:
            server.kill()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()
        self.running.clear()


@contextmanager
def redis_server() -> Iterator[Redis]:
    server = Redis(Path(tempfile.mkdtemp(prefix="redis-")))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
