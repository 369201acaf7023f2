"""Which engine a word on the command line means."""

from __future__ import annotations

from .ollama_api import Ollama
from .recited import Recited
from .runtime import EngineError, Runtime, endpoint


def open_runtime(given: str | None, *, allow_remote: bool = False) -> Runtime:
    """The runtime behind `--host`; nothing is connected yet. Raises EngineError."""
    kind, _, rest = (given or "").partition(":")
    if kind == "recited":
        return Recited(rest)
    if kind in ("llamacpp", "embedded"):
        raise EngineError(f"{kind} needs a place: {kind}:URL")
    return Ollama(endpoint(given, allow_remote=allow_remote), allow_remote=allow_remote)
