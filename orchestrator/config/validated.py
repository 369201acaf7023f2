"""From merged layers to the configuration, or one sentence: which setting, in which file, and what would work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from servers.protocol.registry import SERVER_COMMANDS

from ..errors import ConfigError
from ..providers.names import COMPATIBLE
from .files import (
    Layer,
    Place,
    short,
)
from .models import (
    AgentSettings,
    Config,
    DisplaySettings,
    HostSettings,
    MemorySettings,
    ModelSettings,
    PriceSettings,
    ProviderSettings,
    ServerSettings,
)
from .patterns import BY_USE, fields_at, written_place

KEYS = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "openai": ("OPENAI_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE"),
} | {name: (service.api_key_env,) for name, service in COMPATIBLE.items() if service.api_key_env}
"""Any of these variables makes a provider usable."""
OWN = {"folder", "with_keys", "notices", "written"}
"""Fields that are found out, not written."""
OTHER_WORDS = {
    "model": "default_model",
    "max_iterations": "max_rounds",
    "timeout": "timeout_s",
    "timeout_seconds": "run_timeout_s",
    "max_budget": "budget_usd",
    "enable_tracing": "telemetry",
    "max_cost_usd": "budget_usd",
    "num_retries": "retries",
    "redis_url": "cache",
    "vector_path": "memory",
    "fallbacks": "fallback",
    "mcpServers": "servers",
    "system_prompt": "system",
    "url": "base_url",
    "host": "base_url",
}
_PARTS: dict[Place, type[BaseModel]] = {
    (): Config,
    ("display",): DisplaySettings,
    ("memory",): MemorySettings,
    ("models", "*"): ModelSettings,
    ("models", "*", "price"): PriceSettings,
    ("providers", "*"): ProviderSettings,
    ("agents", "*"): AgentSettings,
    ("servers", "*"): ServerSettings,
    ("hosts", "*"): HostSettings,
}


def validated(whole: Layer, folder: Path, variables: Mapping[str, str], notices: Sequence[str]) -> Config:
    found = {
        "folder": str(folder),
        "with_keys": frozenset(
            name for name, keys in KEYS.items() if any(variables.get(key) for key in keys)
        ),
        "notices": tuple(notices),
    }
    try:
        config = Config.model_validate(whole.values | found)
    except ValidationError as exc:
        raise ConfigError(_sentence(exc.errors(include_url=False)[0], whole)) from exc
    return config.model_copy(update={"servers": _placed(config, folder), "written": whole})


def _placed(config: Config, folder: Path) -> dict[str, ServerSettings]:
    """The servers in use, each in its folder; ours for Ollama knows the configured address."""
    ollama = config.providers.get("ollama")
    traced = {"UNDERSTUDY_TELEMETRY": config.telemetry} if config.telemetry else {}
    told = {"OLLAMA_BASE_URL": ollama.base_url} if ollama and ollama.base_url else {}
    return {
        name: server.model_copy(
            update={
                "cwd": str(folder / Path(server.cwd).expanduser()),
                "env": {
                    **(told if server.command == SERVER_COMMANDS["ollama"] else {}),
                    **(traced if server.command in SERVER_COMMANDS.values() else {}),
                    **server.env,
                },
            }
        )
        for name, server in config.servers.items()
        if not server.disabled
    }


def _sentence(error: ErrorDetails, whole: Layer) -> str:
    """Where, which key, what was wanted and found, and what would work."""
    place = written_place(tuple(str(part) for part in error["loc"] if part != "[key]"))
    origin, key = whole.origin(place), ".".join(place)
    start = f"{origin}: {key}: " if origin else f"{key}: "
    if error["type"] == "extra_forbidden":
        return start + _unknown(place, _use_at(place[:-1], whole))
    if error["type"] == "union_tag_invalid":
        found, known = str(error.get("ctx", {}).get("tag")), list(BY_USE)
        near = get_close_matches(found, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        at = whole.origin((*place, "use"))
        return f"{at or origin}: {key}.use: wanted one of {', '.join(known)}, found {short(found)}{hint}"
    found = "" if error["type"] in ("missing", "value_error") else f", found {short(error['input'])}"
    wanted = error["msg"].removeprefix("Value error, ").replace("Input should be", "wanted")
    if error["type"] == "missing":
        wanted = "is missing"
    elif error["type"] == "literal_error" and isinstance(error["input"], str):
        near = get_close_matches(
            error["input"], error.get("ctx", {}).get("expected", "").replace("'", " ").split(), n=1
        )
        found += f"; did you mean {near[0]!r}?" if near else ""
    return f"{start}{wanted}{found}"


def _use_at(place: Place, whole: Layer) -> str:
    """Of what kind the pattern or stage at this place is."""
    found: Any = whole.values
    for part in place:
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return str(found.get("use", "ask")) if isinstance(found, dict) else "ask"


def _unknown(place: Place, use: str) -> str:
    known = fields_at(place[:-1], use) if place[0] == "patterns" else _known(place[:-1])
    wrong = place[-1]
    if "api_key" in wrong or wrong in ("key", "token"):
        return "keys do not stand in this file; put the key into the environment or .env, or name its variable with api_key_env"
    other = OTHER_WORDS.get(wrong)
    near = [other] if other in known else get_close_matches(wrong, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown key; {hint}there are {', '.join(known)}"


def _known(place: Place) -> list[str]:
    model = _PARTS.get(place) or _PARTS.get((place[0], "*", *place[2:]), Config)
    return [name for name in model.model_fields if not (model is Config and name in OWN)]
