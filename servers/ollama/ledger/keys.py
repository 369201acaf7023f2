"""What a run is filed under: the machine, the engine, the model and the options that make a different one of it.

A delegated run and a local lead's own must come out alike, so that both teach one speed model.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from urllib.parse import urlsplit

from ...protocol.access import is_loopback
from .runs import Key, processor_of, settings_of


def host_of(url: str) -> str:
    """The machine behind a base URL: this one's name, or the other's as it was given."""
    place = urlsplit(url).hostname or ""
    return platform.node() if is_loopback(place) else place


def full_name(name: str) -> str:
    """With the tag Ollama adds by itself."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def is_simulated(version: str) -> bool:
    """Whether an Ollama server's version is that of a simulated one."""
    return version.endswith("-simulated")


def engine_of(version: str) -> str:
    """An Ollama server as keys name it, to the minor number: "ollama 0.34"."""
    number = ".".join(version.partition("-")[0].split(".")[:2])
    return f"{'simulated' if is_simulated(version) else 'ollama'} {number}"


def machine_of(host: str, *, simulated: bool) -> str:
    """The machine as keys name it: a simulated one is another."""
    return host + (" (simulated)" if simulated else "")


def key_of(
    *,
    host: str,
    engine: str,
    model: str,
    digest: str | None,
    gpu_share: float | None,
    options: Mapping[str, object],
    simulated: bool = False,
) -> Key:
    """`digest` None is not known, `gpu_share` None neither; `options` as sent."""
    return Key(
        host=machine_of(host, simulated=simulated),
        processor=processor_of(gpu_share),
        digest=digest or model,
        settings=settings_of(options),
        server=engine,
    )
