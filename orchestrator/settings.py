"""The settings: what can be configured, its limits, and what it means to the rest."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .config_files import short


def _base_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"wanted an address such as http://127.0.0.1:11434, found {short(text)}")
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", text):
        raise ValueError(f"wanted a name of letters, digits, - and _, at most 40, found {short(text)}")
    return text


def _model(text: str) -> str:
    if not text.strip():
        raise ValueError("wanted a model as provider:model, for example ollama:qwen3:8b, found nothing")
    return text.strip()


Name = Annotated[str, AfterValidator(_name)]
Model = Annotated[str, AfterValidator(_model)]
Seconds = Annotated[float, Field(gt=0, le=864_000, allow_inf_nan=False)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DisplaySettings(_Settings):
    """What is drawn, and how."""

    format: Literal["rich", "plain", "json", "markdown"] = "rich"
    quiet: bool = False  # the answer and nothing else
    color_code_models: bool = True
    show_delegations: bool = True
    show_model_switches: bool = True


class ProviderSettings(_Settings):
    kind: str | None = None  # how it speaks, where its name does not say: "openai" for a compatible server
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    api_key_env: str | None = None  # the variable that holds the key; None: the SDK's own
    max_parallel: int | None = Field(default=None, ge=1, le=1000)  # None: no limit
    options: dict[str, Any] = {}  # further keyword arguments of the adapter

    def open_settings(self) -> dict[str, Any]:
        """The keyword arguments `open_provider` takes."""
        given = {"kind": self.kind, "base_url": self.base_url, "api_key_env": self.api_key_env}
        return {key: value for key, value in given.items() if value is not None} | self.options


class ModelSettings(_Settings):
    """Of each call of one model, or of all whose names fit a pattern such as "ollama:*"."""

    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    timeout_s: Seconds | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    options: dict[str, Any] = {}  # sent as they are


class AgentSettings(_Settings):
    model: Model | None = None  # None: default_model
    system: str = ""
    tools: Annotated[tuple[str, ...], Field(strict=False)] | None = None  # servers; None: all of them


class ServerSettings(_Settings):
    command: str = Field(min_length=1)
    args: Annotated[tuple[str, ...], Field(strict=False)] = ()
    env: dict[str, str] = {}
    cwd: str = "."
    disabled: bool = False

    def launch(self) -> dict[str, Any]:
        """How to start it: command, args, env, cwd."""
        return {"command": self.command, "args": self.args, "env": self.env, "cwd": self.cwd}


class Config(_Settings):
    default_model: Model | None = None  # None: not chosen yet
    fast_model: Model | None = None
    max_rounds: int = Field(default=15, ge=1, le=1000)
    max_tokens: int | None = Field(default=None, ge=1)  # of one answer; None: the vendor's own limit
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    timeout_s: Seconds | None = None  # longest silence of a model; None: the provider's default
    run_timeout_s: Seconds | None = 300.0  # of one run with all its rounds; None: no limit
    history_tokens: int | None = Field(
        default=None, ge=100
    )  # of the conversation in a request; None: no limit
    summary_model: Model | None = None  # summarises what history_tokens leaves out; None: nothing does
    aliases: dict[str, Model] = {}
    models: dict[
        str, ModelSettings
    ] = {}  # by "provider:model" or a pattern; of several that fit the last counts
    providers: dict[Name, ProviderSettings] = {}
    agents: dict[Name, AgentSettings] = {}
    servers: dict[Name, ServerSettings] = {}
    display: DisplaySettings = DisplaySettings()
    patterns: dict[Name, dict[str, Any]] = {}
    folder: str = "."  # the workspace, absolute
    with_keys: frozenset[str] = Field(default=frozenset(), repr=False)  # providers whose key was found
    notices: tuple[str, ...] = ()  # what was passed over, for the person

    def request_settings(self, model: str = "") -> dict[str, Any]:
        """The fields of every call of `model` that are set."""
        layers: list[Config | ModelSettings] = [self]
        layers += [own for pattern, own in self.models.items() if fnmatchcase(model, pattern)]
        given: dict[str, Any] = {}
        for layer in layers:
            chosen = layer.model_dump(include={"max_tokens", "temperature", "timeout_s", "think", "options"})
            given |= {key: value for key, value in chosen.items() if value is not None and value != {}}
        return given

    def usable_providers(self) -> list[str]:
        """Providers worth asking for their models: configured, with a key, or local."""
        return sorted({"ollama", *self.providers, *self.with_keys})
