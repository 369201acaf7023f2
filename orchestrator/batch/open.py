"""Opening what a batch needs: the hosts that the command line or the configuration names, and the batch's own file."""

from __future__ import annotations

import hashlib
import os
from argparse import ArgumentError
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from servers.ollama.command_line import arguments, opened, opened_hosts
from servers.ollama.engines.protocol import EngineError
from servers.ollama.hosts.host import Host as EngineHost
from servers.ollama.hosts.hosts import Hosts
from servers.ollama.hosts.settings import are_configured, hosts_named
from servers.ollama.service import Service
from servers.state.home import home

from ..config.load import Config
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
    os.environ.update(config.servers["ollama"].env)
    tags = {} if named else {name: frozenset(one.tags) for name, one in config.hosts.items()}
    async with AsyncExitStack() as stack:
        hosts = list[Host]()
        for name, (service, place) in _services(config, named, allow_remote=allow_remote).items():
            host = Host(
                name=name,
                service=service,
                slots=place.slots,
                tags=tags.get(name, frozenset()),
                usd_per_hour=place.usd_per_hour,
            )
            stack.push_async_callback(host.aclose)
            hosts.append(host)
        yield hosts


def _services(
    config: Config, named: Sequence[str], *, allow_remote: bool
) -> dict[str, tuple[Service, EngineHost]]:
    """A service for each host, on the folders that the ollama server works on. Raises ConfigError."""
    server, parser = config.servers["ollama"], arguments()
    parser.exit_on_error = False
    try:
        given = parser.parse_args([*server.args, *(["--allow-remote"] if allow_remote else [])])
        given.root = [os.path.join(server.cwd, root) for root in given.root]
        words = named or ([] if config.hosts else given.hosts)
        found = hosts_named(words)
        if named:  # an address is the name of its host here, as people wrote it
            found = dict(zip(named, found.values(), strict=True))
        places = opened_hosts(found, given.allow_remote or are_configured(words)).all
        alone = [(place.name or "local", replace(place, name="")) for place in places]
        return {name: (opened(given, Hosts([place])), place) for name, place in alone}
    except (EngineError, ValueError, ArgumentError, SystemExit) as exc:
        raise ConfigError(str(exc)) from exc


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
