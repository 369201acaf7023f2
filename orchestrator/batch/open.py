"""Opening what a batch needs: the hosts that the command line or the configuration names, and the batch's own file."""

from __future__ import annotations

import hashlib
import os
from argparse import ArgumentError
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from servers.ollama.engines.protocol import EngineError
from servers.ollama.server import arguments, opened
from servers.state.home import home

from ..config.load import Config
from ..config.models import HostSettings
from ..errors import ConfigError, RunError
from .host import Host


def roots_of(config: Config) -> list[Path]:
    """The folders that the configured ollama server works on."""
    server = config.servers["ollama"]
    given = arguments().parse_known_args(list(server.args))[0]
    return [Path(server.cwd, root) for root in given.root]


@asynccontextmanager
async def hosts_of(config: Config, named: Sequence[str], *, allow_remote: bool) -> AsyncGenerator[list[Host]]:
    """The hosts to work on: those named by address, else those configured, else where the ollama server's models run."""
    settings = {address: HostSettings(address=address) for address in named} or dict(config.hosts)
    async with AsyncExitStack() as stack:
        hosts = list[Host]()
        for name, one in (settings or {"local": HostSettings(address="")}).items():
            remote = allow_remote or (not named and bool(config.hosts))
            host = _host(config, name, one, allow_remote=remote)
            stack.push_async_callback(host.aclose)
            hosts.append(host)
        yield hosts


def _host(config: Config, name: str, settings: HostSettings, *, allow_remote: bool) -> Host:
    server = config.servers["ollama"]
    words = [*server.args, *(["--host", settings.address] if settings.address else [])]
    words += ["--allow-remote"] if allow_remote else []
    parser = arguments()
    parser.exit_on_error = False
    try:
        given = parser.parse_args(words)
        given.root = [os.path.join(server.cwd, root) for root in given.root]
        os.environ.update(server.env)
        service = opened(given)
    except (EngineError, ValueError, ArgumentError, SystemExit) as exc:
        raise ConfigError(f"the host {name}: {exc}") from exc
    return Host(
        name=name,
        service=service,
        slots=settings.slots,
        tags=frozenset(settings.tags),
        usd_per_hour=settings.usd_per_hour,
    )


def id_of(out: Path) -> str:
    """The batch that writes to this file: the same file is the same batch."""
    return hashlib.sha256(os.fsencode(out.absolute())).hexdigest()[:8]


def file_of(id: str) -> Path:
    """Where a batch is kept. Raises RunError without a state folder."""
    try:
        return home() / "batches" / f"{id}.sqlite"
    except OSError as exc:
        raise RunError(f"the state folder cannot be used: {exc}") from exc


def kept() -> list[Path]:
    """The files of all batches, by name."""
    folder = file_of("any").parent
    return sorted(folder.glob("*.sqlite")) if folder.is_dir() else []
