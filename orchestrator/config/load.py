"""Configuration from flags, environment, .env, config.yaml and mcp.json, checked once and then trusted.

Precedence: flags, environment, .env of the folder, config.yaml of the folder, the user's own .env and
config.yaml, defaults. Keys of providers stay in the environment or in .env; no other file may hold one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import platformdirs

from servers.ollama.engines.address import normal_url
from servers.protocol.registry import SERVER_COMMANDS

from ..errors import ConfigError
from ..providers.names import COMPATIBLE
from .files import (
    Layer,
    Place,
    env_file_origins,
    read_bytes,
    read_env_file,
    read_scalar,
    read_servers,
    read_yaml,
    short,
)
from .hosts import as_variable
from .mistakes import FOUND_OUT, OTHER_WORDS, Mistakes, without_mistakes
from .models import AgentSettings, Config, DisplaySettings, MemorySettings, ProviderSettings, ServerSettings
from .references import check
from .trust import BUDGET, Approve, allowed, loopback, needs_trust

__all__ = ["AgentSettings", "Config", "DisplaySettings", "ProviderSettings", "ServerSettings", "load_config"]

KEYS = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "openai": ("OPENAI_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE"),
} | {name: (service.api_key_env,) for name, service in COMPATIBLE.items() if service.api_key_env}
"""Any of these variables makes a provider usable."""
BASE_URLS = {
    "ANTHROPIC_BASE_URL": "anthropic",
    "OPENAI_API_BASE": "openai",
    "OPENAI_BASE_URL": "openai",
    "OLLAMA_HOST": "ollama",
    "OLLAMA_BASE_URL": "ollama",
}
"""Variables that say where a provider is; of two for one provider the later wins."""
_EXPORTED = {name for names in KEYS.values() for name in names} | {
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
}
Allow = Callable[[Path, bytes, Sequence[str]], bool]
"""Whether this content of this file may do what it asks for."""
_SCALARS = (
    "default_model",
    "fast_model",
    "max_rounds",
    "max_tokens",
    "retries",
    "cache",
    "temperature",
    "timeout_s",
    "run_timeout_s",
    "history_tokens",
    "summary_model",
    "budget_usd",
    "budget_usd_per_day",
    "budget_usd_per_conversation",
    "telemetry",
    "budget_allows_unknown",
)
_FLAGS = {
    "default_model": "model",
    "run_timeout_s": "timeout",
    "display__format": "format",
    "display__quiet": "quiet",
    "labels": "label",
}
"""Settings whose option on the command line has a name of its own."""


def load_config(
    path: str | Path | None = None,
    *,
    cwd: str | Path | None = None,
    mcp: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    approve: Approve | None = None,
    **flags: Any,
) -> Config:
    """The configuration for work in `cwd`. Raises ConfigError naming file, line and key of every mistake.

    `path` is a config.yaml to use instead of the folder's and the user's own, `mcp` likewise an mcp.json.
    `flags` are fields of Config (None: not given; `display__format` reaches inside). What a workspace's file
    may only do with approval (start programs, send prompts to other machines) is left out with a notice
    unless `approve` agrees once.
    Provider keys of a .env join os.environ for the SDKs, unless `env` is given; nothing else changes it.
    """
    folder = Path(cwd or Path.cwd()).expanduser().resolve()
    own = Path(platformdirs.user_config_dir("understudy", appauthor=False))
    real = os.environ if env is None else env
    mistakes, notices = Mistakes(), list[str]()

    def gather(allow: Allow, told: list[str]) -> tuple[Layer, dict[str, str], dict[str, str], dict[str, str]]:
        return _gathered(folder, own, real, path, mcp, flags, allow, told, mistakes)

    whole, _, variables, _ = gather(_all, [])  # as if all were trusted: nobody is asked about mistakes
    tried = without_mistakes(whole.values | _found_out(folder, variables, ()), whole, mistakes)
    check(tried, whole, mistakes)
    mistakes.tell()

    def ask(file: Path, data: bytes, asked: Sequence[str]) -> bool:
        return allowed(file, data, asked, approve, notices)

    whole, dotenv, variables, origins = gather(ask, notices)
    config = without_mistakes(whole.values | _found_out(folder, variables, notices), whole, mistakes)
    mistakes.tell()  # a file may have changed meanwhile
    config = _chosen(config, whole).model_copy(
        update={"servers": _placed(config, folder, variables), "written": whole}
    )
    for provider in config.with_keys:
        key = next(name for name in KEYS[provider] if variables.get(name))
        whole.put(("keys", provider), key, origins[key])
    if env is None:
        for name in _EXPORTED & dotenv.keys():
            os.environ.setdefault(name, dotenv[name])
    return config


def _gathered(
    folder: Path,
    own: Path,
    real: Mapping[str, str],
    path: str | Path | None,
    mcp: str | Path | None,
    flags: Mapping[str, Any],
    allow: Allow,
    notices: list[str],
    mistakes: Mistakes,
) -> tuple[Layer, dict[str, str], dict[str, str], dict[str, str]]:
    """All that was set, the variables of .env files, all variables, and where each stands."""
    origins: dict[str, str] = {}
    dotenv: dict[str, str] = {}
    for file, ask in ((own / ".env", None), (folder / ".env", allow)):
        with mistakes.gathered():
            dotenv |= _env_file(file, ask, origins)
    variables = {**real, **dotenv, **{name: value for name, value in real.items() if value}}
    origins |= {name: f"the environment variable {name}" for name, value in real.items() if value}
    low = Layer()
    with mistakes.gathered():
        low = (
            _servers(folder, own, variables, allow, notices, mistakes)
            if mcp is None
            else _given(mcp, folder, variables, mistakes)
        )
    if path is not None:
        with mistakes.gathered():
            given = Path(path).expanduser()
            if (data := read_bytes(given)) is None:
                raise ConfigError(f"there is no configuration file {given}")
            low = _checked(read_yaml(data, given)).over(low)
    else:
        with mistakes.gathered():
            low = _yaml(own / "config.yaml").over(low)
        with mistakes.gathered():
            low = _workspace_yaml(folder / "config.yaml", allow, notices).over(low)
    with mistakes.gathered():
        low = _flags(flags).over(_environment(variables, origins).over(low))
    return low, dotenv, variables, origins


def _all(path: Path, data: bytes, asked: Sequence[str]) -> bool:
    return True


def _found_out(folder: Path, variables: Mapping[str, str], notices: Sequence[str]) -> dict[str, Any]:
    with_keys = frozenset(name for name, keys in KEYS.items() if any(variables.get(key) for key in keys))
    return {"folder": str(folder), "with_keys": with_keys, "notices": tuple(notices)}


def configuration(given: Any) -> Config:
    """The Config that a program gave; None: as `load_config` reads it. Raises ConfigError for anything else."""
    if given is not None and not isinstance(given, Config):
        raise ConfigError(f"config: wanted a Config, as load_config() makes it, found {short(given)}")
    return given or load_config()


def from_env(model: str | None = None, **flags: Any) -> Config:
    """The configuration of this folder and environment, with `model` as its model; None: as configured.

    `flags` are fields of Config. Raises as `load_config`.
    """
    return load_config(default_model=model, **flags)


def with_fallbacks(primary: str, others: Sequence[str], **flags: Any) -> Config:
    """The configuration of this folder and environment, where `others` are asked in turn when `primary` cannot answer.

    Models are "provider:model" or aliases; `flags` are fields of Config. Raises as `load_config`.
    """
    return load_config(**flags).with_fallbacks(primary, others)


def _yaml(path: Path) -> Layer:
    data = read_bytes(path)
    return Layer() if data is None else _checked(read_yaml(data, path))


def _checked(layer: Layer) -> Layer:
    for key in FOUND_OUT & layer.values.keys():
        raise ConfigError(f"{layer.origin((key,))}: {key} is found out, not written; take it out")
    return layer


def _workspace_yaml(path: Path, allow: Allow, notices: list[str]) -> Layer:
    """The folder's config.yaml; one that shares no key with ours belongs to another program."""
    data = read_bytes(path)
    if data is None:
        return Layer()
    layer = _checked(read_yaml(data, path))
    if layer.values and not layer.values.keys() & Config.model_fields.keys():
        near = [
            key
            for key in layer.values
            if key in OTHER_WORDS or get_close_matches(key, Config.model_fields, cutoff=0.8)
        ]
        if not near:
            notices.append(f"{path} has no key of ours and is taken for another program's")
            return Layer()
    asked = needs_trust(layer, path.parent)
    if asked and not allow(path, data, list(asked.values())):
        for place in asked:
            layer.drop(place)
    return layer


def _env_file(path: Path, allow: Allow | None, origins: dict[str, str]) -> dict[str, str]:
    """The variables of a .env file that may be used; `origins` learns where each stands. None: all of the person's own."""
    data = read_bytes(path)
    if data is None:
        return {}
    found = read_env_file(data, path)
    risky = {
        name: f"send {BASE_URLS[name]} prompts to {short(url)}"
        for name, url in found.items()
        if name in BASE_URLS and not loopback(url)
    }
    risky |= {
        name: f"set {name} to {short(found[name])}"
        for name in (f"UNDERSTUDY_{key.upper()}" for key in BUDGET)
        if name in found
    }
    if risky and allow is not None and not allow(path, data, list(risky.values())):
        found = {name: value for name, value in found.items() if name not in risky}
    origins |= {name: origin for name, origin in env_file_origins(data, path).items() if name in found}
    return found


def _servers(
    folder: Path,
    own: Path,
    variables: Mapping[str, str],
    allow: Allow,
    notices: list[str],
    mistakes: Mistakes,
) -> Layer:
    """The folder's mcp.json, else the user's own, else our four servers on the folder. An empty file means none."""
    for path in (folder / "mcp.json", own / "mcp.json"):
        if (data := read_bytes(path)) is None:
            continue
        layer, passed = read_servers(data, path, variables, folder, mistakes.gathered)
        asked = needs_trust(layer, folder) if path.parent == folder else {}
        if asked and not allow(path, data, list(asked.values())):
            for place in asked:
                layer.drop(place)
        notices += passed
        if layer.values.get("servers"):
            return layer
        if not asked:  # the file names none that can be used, which is a choice
            layer.values.setdefault("servers", {})
            return layer
    built_in = Layer()
    for name, command in SERVER_COMMANDS.items():
        built_in.put(("servers", name), {"command": command, "args": [str(folder)]}, "the built-in servers")
    return built_in


def _given(mcp: str | Path, folder: Path, variables: Mapping[str, str], mistakes: Mistakes) -> Layer:
    """The servers of the file the user named, all of them: naming it is the approval."""
    path = Path(mcp).expanduser()
    if (data := read_bytes(path)) is None:
        raise ConfigError(f"there is no server file {path}")
    return read_servers(data, path, variables, folder, mistakes.gathered)[0]


def _environment(variables: Mapping[str, str], origins: Mapping[str, str]) -> Layer:
    layer = Layer()

    def put(place: Place, variable: str, value: Any) -> None:
        layer.put(place, value, origins[variable])

    for variable, name in BASE_URLS.items():
        if value := variables.get(variable):
            put(("providers", name, "base_url"), variable, _address(value) if name == "ollama" else value)
    for field in (
        *(("display", name) for name in DisplaySettings.model_fields),
        *(("memory", name) for name in MemorySettings.model_fields),
        *((name,) for name in _SCALARS),
    ):
        names = (field[0].upper(), "UNDERSTUDY_MODEL") if field == ("default_model",) else ()
        names = ("FAST_MODEL",) if field == ("fast_model",) else names
        for variable in (*names, f"UNDERSTUDY_{'_'.join(field).upper()}"):
            if value := variables.get(variable):
                text = field[-1] in (
                    "default_model",
                    "fast_model",
                    "summary_model",
                    "telemetry",
                    "cache",
                    "format",
                    "embeddings",
                    "path",
                )
                put(field, variable, value if text else read_scalar(value))
    return layer


def _chosen(config: Config, whole: Layer) -> Config:
    """Where no model is chosen, the first provider with a model of its own is, unless its key is missing."""
    for name, provider in config.providers.items() if config.default_model is None else ():
        keyless = name not in KEYS or provider.base_url or provider.api_key_env or provider.kind
        if provider.default_model and (keyless or name in config.with_keys):
            whole.put(("default_model",), name, whole.origin(("providers", name, "default_model")))
            return config.model_copy(update={"default_model": name})
    return config


def _address(host: str) -> str:
    """What OLLAMA_HOST may be as a whole address; what is none is refused later, with its name."""
    try:
        return normal_url(host)
    except ValueError:
        return host


def _flags(flags: Mapping[str, Any]) -> Layer:
    layer = Layer()
    for flag, value in flags.items():
        if value is not None:
            place = tuple(flag.split("__"))
            layer.put(place, value, f"--{_FLAGS.get(flag, flag).replace('_', '-')}")
    return _checked(layer)


def _placed(config: Config, folder: Path, variables: Mapping[str, str]) -> dict[str, ServerSettings]:
    """The servers in use, each in its folder; ours for Ollama knows the configured address and hosts."""
    ollama = config.providers.get("ollama")
    traced = {"UNDERSTUDY_TELEMETRY": config.telemetry} if config.telemetry else {}
    told = {"OLLAMA_BASE_URL": ollama.base_url} if ollama and ollama.base_url else {}
    told |= as_variable(config.hosts, variables)
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
