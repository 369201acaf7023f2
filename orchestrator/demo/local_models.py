"""The models of a reachable Ollama server, those likeliest to pass the demonstration's edit first; and getting one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from servers.ollama.engines.address import Address
from servers.ollama.engines.ollama import Ollama
from servers.ollama.engines.ollama_api import pull
from servers.ollama.engines.protocol import EngineError, Model
from servers.ollama.forecast.forecaster import Forecaster
from servers.ollama.forecast.model_choice import Chooser, Option
from servers.ollama.forecast.plans import Task
from servers.ollama.ledger.ledger import LedgerError
from servers.ollama.ledger.runs import filed

from ..errors import ConfigError

PROBE_S = 1.0
"""How long to wait for an Ollama server to answer."""
LISTED_S = 20.0
"""How long it may take to tell of all its models."""
_EDIT = Task(tokens_in=700, cap=400, kind="edit")
"""The demonstration's edit, as forecasts take it."""
_BYTES_PER_S = 10e9
"""How much of itself a model reads in a second while it writes, on a machine where none was measured."""
_ANSWER_TOKENS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A server that answers, and its models that write text, the one to take first."""

    url: str
    simulated: bool
    names: tuple[str, ...]
    why: str = ""
    """Why the first."""


async def found_models() -> Found | None:
    """What the configured Ollama server has; None when none answers."""
    from ..config.load import load_config

    address = load_config(cwd=tempfile.gettempdir(), env=dict(os.environ)).providers.get("ollama")
    url = (address.base_url if address else None) or "http://127.0.0.1:11434"
    runtime = Ollama(url)
    try:
        with anyio.fail_after(PROBE_S):
            await runtime.engine()
        with anyio.fail_after(LISTED_S):
            able = [model for model in await runtime.models() if model.no_text is None and not model.remote]
            options = Chooser().ranked([await _option(runtime, model) for model in able])
    except (EngineError, TimeoutError):
        return None
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            await runtime.aclose()
    best = options[0] if options else None
    others = f" of {len(options)}" if len(options) > 1 else ""
    why = f"best expected worth{others}: {best}" if best else ""
    return Found(
        url=url,
        simulated=runtime.simulated,
        names=tuple(option.model.name for option in options),
        why=why,
    )


async def _option(runtime: Ollama, model: Model) -> Option:
    """What is expected of it for the edit: by its record, its speed where it is known, else its size."""
    forecaster = Forecaster(runtime=runtime)
    plan, totals = await forecaster.plan(_EDIT, model, 4096), None
    try:
        ledger = await forecaster.ledger()
        name = filed(model.name, forecaster.provenance)
        seen = await anyio.to_thread.run_sync(lambda: ledger.summary(model=name, kind=_EDIT.kind))
        totals = seen[0] if seen else None
    except LedgerError:
        pass  # the choice then goes by size
    forecast = await anyio.to_thread.run_sync(plan.forecast) if plan else None
    guess_s = _ANSWER_TOKENS * (model.size_bytes or 5e9) / _BYTES_PER_S
    return Option(model=model, plan=plan, forecast=forecast, totals=totals, unknown_s=guess_s)


async def pull_model(url: str, name: str, told: Callable[[str], None]) -> None:
    """Let the server get a model; `told` hears how far it is. Raises ConfigError when it cannot."""
    try:
        await pull(Address(url=url), name, told)
    except EngineError as exc:
        raise ConfigError(str(exc)) from exc
