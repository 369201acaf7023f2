"""The hosts of the configuration as the ollama server takes them, and a server on an engine of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from .models import HostSettings, ServerSettings


def as_variable(hosts: Mapping[str, HostSettings], variables: Mapping[str, str]) -> dict[str, str]:
    """What the ollama server is told of the configured hosts; nothing where there are none."""
    if not hosts:
        return {}
    from servers.ollama.hosts.settings import VARIABLE  # takes a tenth of a conversation's start

    return {VARIABLE: json.dumps({name: _told(one, variables) for name, one in hosts.items()})}


def _told(host: HostSettings, variables: Mapping[str, str]) -> dict[str, object]:
    key = variables.get(host.api_key_env) if host.api_key_env else None
    told = {"address": host.address, "slots": host.slots, "usd_per_hour": host.usd_per_hour, "key": key}
    return {name: value for name, value in told.items() if value is not None}


def on_engine(server: ServerSettings, address: str) -> ServerSettings:
    """The ollama server on this engine alone, whatever it was configured for."""
    return server.model_copy(update={"args": (*without_hosts(server.args), "--host", address)})


def without_hosts(args: Sequence[str]) -> list[str]:
    """A server's arguments without its engines."""
    kept, skip = list[str](), False
    for word in args:
        if not skip and word != "--host" and not word.startswith("--host="):
            kept.append(word)
        skip = not skip and word == "--host"
    return kept
