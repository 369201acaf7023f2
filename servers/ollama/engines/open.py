"""Which engine a word on the command line means."""

from __future__ import annotations

from pathlib import Path

from .ollama import Ollama
from .protocol import EngineError, Runtime, endpoint

FORMS = """ENGINE is one of
  http://HOST:PORT       an Ollama server (default: OLLAMA_BASE_URL, OLLAMA_HOST, then http://127.0.0.1:11434)
  llamacpp:URL           a llama.cpp server
  embedded:FILE.gguf     a model file, run by the engine that 'understudy[engine]' installs
  embedded:demo          the same with a small model that recites, built on the spot
  embedded:FILE.json     a model built to recite these answers
  recited:FILE.json      no engine: recorded answers and durations"""


def open_runtime(given: str | None, *, allow_remote: bool = False, key: str | None = None) -> Runtime:
    """The runtime behind `--host`; nothing is started or connected yet. Raises EngineError.

    `key`: sent to an Ollama server as a bearer token.
    """
    kind, _, place = (given or "").partition(":")
    if kind in ("recited", "llamacpp", "embedded") and not place:
        raise EngineError(f"{given!r} does not say which; {FORMS}")
    if kind == "recited":
        from .replay import Recited

        return Recited(place)
    if kind == "llamacpp":
        from .llamacpp import LlamaCpp

        return LlamaCpp(endpoint(place, allow_remote=allow_remote).url)
    if kind == "embedded":
        from .demo_model import DEMO, NOTE, demo_model
        from .embedded import Embedded
        from .replay import read_recitation

        if place == "demo":
            return Embedded(demo_model(DEMO), note=NOTE)
        if place.endswith(".json"):
            return Embedded(demo_model(read_recitation(place)), note=NOTE)
        return Embedded(Path(place).expanduser().absolute())
    address = endpoint(given, allow_remote=allow_remote, key=key)
    return Ollama(address.url, allow_remote=allow_remote, headers=address.headers)
