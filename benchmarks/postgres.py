"""A PostgreSQL server of one's own, from the system's packages, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(os.path.realpath(named)).parent if named else None


@dataclass(frozen=True, slots=True)
class Postgres:
    url: str
    folder: Path
    port: int

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off"
        self._ctl("start", "-w", "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        self._ctl("stop", "-w", "-m", "immediate")

    def _ctl(self, *words: str) -> None:
        as_postgres([str(_bin() / "pg_ctl"), "-D", str(self.folder / "data"), *words], self.folder)


@contextmanager
def postgres() -> Generator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Postgres(f"postgresql://team@127.0.0.1:{port}/postgres", folder, port)
    try:
        made = [str(_bin() / "initdb"), "-D", str(folder / "data"), "-U", "team", "-A", "trust", "-N"]
        as_postgres(made, folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_postgres(words: list[str], folder: Path) -> None:
    """PostgreSQL does not run as root."""
    given = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*given, *words], capture_output=True, text=True, cwd=folder, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _bin() -> Path:
    found = programs()
    assert found is not None
    return found
