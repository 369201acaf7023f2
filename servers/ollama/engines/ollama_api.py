"""What an Ollama server says of itself and its models: the one reading, for delegated runs and local leads alike.

We speak HTTP ourselves. The `ollama` package (0.6.3) loses what users have: its models drop `remote_host` (which
tells that a prompt would leave this machine) and the count of cached tokens; one entry it does not expect, or a
`show` without `model_info`, hides every model; it reads answers of any length; it cannot send `truncate` or `shift`;
and it brings a second HTTP library. Our tests use it as a client of the gateway.
Sources: Ollama's api/types.go and server/routes.go; the answers in tests/wire/ollama.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import httpx2

from ..ledger.keys import full_name
from ..ledger.profile import Profile, from_ollama
from .address import Address
from .http import Refusal, client, objects
from .protocol import EngineError, Model
from .stream import Arriving, error_text

Entry = Mapping[str, Any]
"""Of a model in a listing, as the server gives it."""


class Ask(Protocol):
    """Sends one question and answers with a JSON object; raises what its caller expects."""

    def __call__(self, method: str, path: str, body: object = None) -> Awaitable[Mapping[str, Any]]: ...


class OllamaApi:
    """The small questions."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def version(self) -> str | None:
        return _str((await self._ask("GET", "/api/version")).get("version"))

    async def installed(self) -> list[Entry]:
        return _entries(await self._ask("GET", "/api/tags"))

    async def loaded(self) -> list[Entry]:
        return _entries(await self._ask("GET", "/api/ps"))

    async def loaded_entry(self, name: str) -> Entry | None:
        """The model's, when it is in memory."""
        return entry_of(name, await self.loaded())

    async def show(self, name: str) -> Entry:
        return await self._ask("POST", "/api/show", {"model": name})

    async def embed(self, name: str, texts: list[str]) -> object:
        return (await self._ask("POST", "/api/embed", {"model": name, "input": texts})).get("embeddings")


async def pull(where: Address, name: str, heard: Callable[[str], None]) -> None:
    """Let the server get a model; `heard` is told how far it is. Raises EngineError."""
    try:
        async with client(where.url, where.headers) as http:
            async for line in objects(http, "/api/pull", {"model": name}):
                if "error" in line:
                    raise EngineError(f"{name} could not be got: {line['error']}")
                total, done = line.get("total"), line.get("completed")
                share = f" {100 * done / total:.0f} % of {total / 1e9:.1f} GB" if total and done else ""
                heard(f"{line.get('status', '')}{share}")
    except Refusal as exc:
        raise EngineError(f"{name} could not be got: {error_text(exc.body)}") from exc
    except (httpx2.HTTPError, ValueError) as exc:
        raise EngineError(f"{name} could not be got from {where.url}: {exc}") from exc


def take(run: Arriving, item: Mapping[str, Any]) -> bool:
    """Take one object of an answer; true when it was the last."""
    said = _dict(item.get("message"))
    run.hear(said.get("thinking"), thinking=True)
    run.hear(said.get("content"), thinking=False)
    if said.get("tool_calls") and run.first_token_s is None:
        run.first_token_s = run.wall_s
    if item.get("done") is not True:
        return False
    run.final = item
    return True


def measured(
    run: Arriving,
    *,
    model: str,
    num_ctx: int | None,
    entry: Entry | None,
    two_passes: bool,
    simulated: bool,
    expected_prefill_s: float | None = None,
) -> Profile:
    """The profile of a run that has ended. `entry`: the model's among those loaded, where it is known."""
    return from_ollama(
        run.final,
        model=model,
        outcome=run.outcome,
        wall_s=run.wall_s,
        first_token_s=run.first_token_s,
        num_ctx=num_ctx,
        ps=entry,
        expected_prefill_s=expected_prefill_s,
        thinking_chars=sum(map(len, run.thinking)),
        answer_chars=sum(map(len, run.text)),
        two_passes=two_passes,
        simulated=simulated,
    )


def entry_of(name: str, entries: list[Entry]) -> Entry | None:
    """The entry of the model called so, with or without the tag that Ollama adds by itself."""
    return next((e for e in entries if full_name(str(e.get("name"))) == full_name(name)), None)


def model_of(entry: Entry, running: Entry | None, shown: Entry) -> Model:
    """From its entries in the listings, and what `show` says; empty where that is not known."""
    details: Mapping[str, Any] = {**_dict(entry.get("details")), **_dict(shown.get("details"))}
    capabilities: object = shown.get("capabilities")  # /api/tags lists only "completion" for many models
    size, vram = (running or {}).get("size"), (running or {}).get("size_vram")
    return Model(
        name=str(entry.get("name")),
        digest=_str(entry.get("digest")),
        size_bytes=_int(entry.get("size")),
        parameters=_str(details.get("parameter_size")),
        quantization=_str(details.get("quantization_level")),
        context_length=trained_context(shown) or _int(details.get("context_length")),
        default_ctx=_parameter(_str(shown.get("parameters")) or "", "num_ctx"),
        capabilities=frozenset(map(str, capabilities)) if isinstance(capabilities, list) else None,
        info=_dict(shown.get("model_info")),
        loaded=running is not None,
        loaded_ctx=loaded_context(running),
        gpu_share=min(vram / size, 1.0) if isinstance(size, int) and isinstance(vram, int) and size else None,
        remote=bool(entry.get("remote_host") or shown.get("remote_host")),
    )


def trained_context(shown: Entry) -> int | None:
    """The most num_ctx can be, from what `show` says."""
    info = _dict(shown.get("model_info"))
    return _int(info.get(f"{info.get('general.architecture')}.context_length"))


def loaded_context(running: Entry | None) -> int | None:
    return _int((running or {}).get("context_length"))


def _entries(found: Mapping[str, Any]) -> list[Entry]:
    models: object = found.get("models")
    if not isinstance(models, list):
        return []
    return [cast("Entry", entry) for entry in models if isinstance(entry, dict)]


def _parameter(parameters: str, name: str) -> int | None:
    for line in parameters.splitlines():
        key, _, value = line.strip().partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None


def _dict(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _int(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _str(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
