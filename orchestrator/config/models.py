"""The settings: what can be configured, its limits, and what it means to the rest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..providers.catalog import Price
from ..providers.names import resolve, split
from ..providers.wrap.wrapping import Cache, Wrapping
from .arguments import names, text
from .files import Layer, short
from .names import Dollars, Label, LabelKey, LabelValue, Model, Models, Name, Names, Seconds
from .patterns import PatternSettings

GROUP = "auto"
"""The model of a group's own name: NAME:auto, or NAME alone."""


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:  # a bracket without the other one
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"wanted an address such as http://127.0.0.1:11434, found {short(text)}")
    return text


_OF_CALLS = {"max_tokens", "temperature", "timeout_s"}
_OF_ONE = {"kind", "base_url", "api_key_env", "options", "default_model", *_OF_CALLS}


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DisplaySettings(_Settings):
    """What is drawn, and how."""

    format: Literal["rich", "plain", "json", "markdown"] = "rich"
    quiet: bool = False  # the answer and nothing else
    color_code_models: bool = True
    show_delegations: bool = True
    show_model_switches: bool = True
    show_thoughts: bool = True  # what models think before they answer; False: that they did, and how long
    theme: Literal["auto", "light", "dark"] = "auto"  # the background; auto: what COLORFGBG says, else dark


class ProviderSettings(Wrapping):
    """One provider and what stands around it; or, with `fallback` or `balanced`, several models under one name."""

    kind: str | None = None  # how it speaks, where its name does not say: "openai" for a compatible server
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    api_key_env: str | None = None  # the variable that holds the key; None: the SDK's own
    options: dict[str, Any] = Field(default={})  # further keyword arguments of the adapter
    default_model: Model | None = None  # what the provider's name alone means
    max_tokens: int | None = Field(default=None, ge=1)  # of each call of its models, as the two below
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    timeout_s: Seconds | None = None
    fallback: Models | None = None  # asked in turn until one answers
    balanced: Models | None = None  # each request goes where it should be answered soonest

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if self.fallback is not None and self.balanced is not None:
            raise ValueError("wanted fallback or balanced, found both")
        if self.steps and (strange := sorted(self.model_fields_set & _OF_ONE)):
            raise ValueError(
                f"{strange[0]} belongs to each of its models' own provider, not to a group of models"
            )
        return self

    @property
    def steps(self) -> tuple[str, ...]:
        """The models of a group; () for a provider of its own."""
        return self.fallback or self.balanced or ()

    def open_settings(self) -> dict[str, Any]:
        """The keyword arguments `open_provider` takes."""
        given = {"kind": self.kind, "base_url": self.base_url, "api_key_env": self.api_key_env}
        return {key: value for key, value in given.items() if value is not None} | self.options


class PriceSettings(_Settings):
    """US dollars for a million tokens, where the known prices are not one's own."""

    input_usd: float = Field(ge=0, allow_inf_nan=False)
    output_usd: float = Field(ge=0, allow_inf_nan=False)
    cached_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)  # None: as other input


class ModelSettings(_Settings):
    """Of each call of one model, or of all whose names fit a pattern such as "ollama:*"."""

    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    timeout_s: Seconds | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    options: dict[str, Any] = {}  # sent as they are
    price: PriceSettings | None = None  # None: what is known of it


class AgentSettings(_Settings):
    model: Model | None = None  # None: default_model
    system: str = ""
    tools: Names | None = None  # servers and "module:function"; None: all there are


class OAuthSettings(_Settings):
    """Who we are to a server that registers no clients by itself."""

    client_id: str
    client_secret: str | None = None
    scope: str | None = None  # None: what the server says


class ServerSettings(_Settings):
    """A server that is a program, or one at an address."""

    command: str | None = Field(default=None, min_length=1)
    args: Annotated[tuple[str, ...], Field(strict=False)] = ()
    env: dict[str, str] = {}
    cwd: str = "."
    url: Annotated[str, AfterValidator(_base_url)] | None = None
    headers: dict[str, str] = {}  # with each request to the address
    oauth: OAuthSettings | None = None  # where a server at an address wants a sign-in and knows us already
    transport: Literal["http", "sse"] | None = None  # None: HTTP, and where that is not understood SSE
    disabled: bool = False
    tools: Names | None = None  # names or patterns of those that are offered; None: all
    without_tools: Names = ()  # names or patterns of those that are not
    start_timeout_s: Seconds = 30.0  # longest time from start to tool list
    call_timeout_s: Seconds | None = (
        120.0  # longest silence in a call; None: no limit. Not of our own servers
    )

    @model_validator(mode="after")
    def _program_or_address(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError("wanted either command, for a program, or url, for a server at an address")
        if self.command is None and (strange := sorted(self.model_fields_set & {"args", "env", "cwd"})):
            raise ValueError(f"{strange[0]} belongs to a program, and this server is at an address")
        return self

    def launch(self) -> dict[str, Any]:
        """How to start it: everything but whether."""
        return self.model_dump(exclude={"disabled"})


class MemorySettings(_Settings):
    """What leads remember from one conversation to the next."""

    enabled: bool = False  # what fits goes along with each question, and the lead may store and search
    embeddings: Model | None = (
        None  # finds by meaning too, for example ollama:nomic-embed-text; None: by words
    )
    recall: int = Field(default=5, ge=0, le=50)  # memories that go along with a question
    min_importance: float = Field(default=0.7, ge=0, le=1)
    path: str | None = None  # of an SQLite file of its own; None: with the conversations


class HostSettings(_Settings):
    """A machine that runs models."""

    address: str  # as --host takes it: http://gpu1:11434, llamacpp:URL, embedded:FILE.gguf
    slots: int = Field(default=1, ge=1, le=64)  # runs of one model it takes at once
    tags: Annotated[tuple[str, ...], Field(strict=False)] = ()  # what orders may ask for
    usd_per_hour: float | None = Field(default=None, ge=0, allow_inf_nan=False)  # None: not counted
    api_key_env: str | None = None  # the variable that holds its key, sent as a bearer token


class Config(_Settings):
    """Every setting, checked and immutable; `load_config` makes one. Seconds end in `_s`, US dollars hold `usd`."""

    default_model: Model | None = None  # None: not chosen yet
    fast_model: Model | None = None  # called `fast`; writes summaries where summary_model is not set
    max_rounds: int = Field(default=15, ge=1, le=1000)
    retries: int | None = Field(
        default=None, ge=0, le=20
    )  # of providers that say nothing themselves; None: 3
    cache: Cache | None = None  # of providers that say nothing themselves; None: nothing is cached
    max_tokens: int | None = Field(default=None, ge=1)  # of one answer; None: the vendor's own limit
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    timeout_s: Seconds | None = None  # longest silence of a model; None: the provider's default
    run_timeout_s: Seconds | None = 300.0  # of one run with all its rounds; None: no limit
    history_tokens: int | None = Field(
        default=None, ge=100
    )  # of the conversation in a request; None: no limit
    summary_model: Model | None = None  # summarises what history_tokens leaves out; None: nothing does
    budget_usd: Dollars | None = None  # of one run of the program; None: no limit
    budget_allows_unknown: bool = False  # call models without a known price although there is a budget
    budget_usd_per_day: Dollars | None = None  # of all sessions of this person together, as the two below
    budget_usd_per_conversation: Dollars | None = None
    budget_usd_per_label: dict[Label, Dollars] = {}  # by key=value, over all time
    labels: dict[LabelKey, LabelValue] = {}  # on every call that is paid, for `understudy cost --by label`
    telemetry: Annotated[str, AfterValidator(_base_url)] | None = (
        None  # OTLP endpoint for traces and metrics, as http://127.0.0.1:4318
    )
    aliases: dict[str, Model] = {}
    models: dict[
        str, ModelSettings
    ] = {}  # by "provider:model" or a pattern; of several that fit the last counts
    providers: dict[Name, ProviderSettings] = {}
    agents: dict[Name, AgentSettings] = {}
    tools: Names = ()  # Python functions beside the servers: "module:function", "module" with a dot, "file.py:function"
    tools_by_need: bool = (
        True  # leave tools out that a question does not seem to need; False: offer all, always
    )
    panel: Models | None = None  # who is asked where a pattern names nobody; None: it must name them
    patterns: dict[Name, PatternSettings] = {}
    servers: dict[Name, ServerSettings] = {}
    hosts: dict[Name, HostSettings] = {}
    display: DisplaySettings = DisplaySettings()
    memory: MemorySettings = MemorySettings()
    folder: str = "."  # the workspace, absolute
    with_keys: frozenset[str] = Field(default=frozenset(), repr=False)  # providers whose key was found
    notices: tuple[str, ...] = ()  # what was passed over, for the person
    written: Layer = Field(default_factory=Layer, exclude=True, repr=False)  # what was set, and where

    def request_settings(self, model: str = "") -> dict[str, Any]:
        """The fields of every call of `model` that are set."""
        return _fields(self) | self.model_settings(model)

    def model_settings(self, model: str) -> dict[str, Any]:
        """Those that are set for `model`, for a pattern it fits, or for its provider, alone."""
        provider = self.providers.get(split(model)[0])
        given = _fields(provider, _OF_CALLS) if provider else {}
        for pattern, own in self.models.items():
            given |= _fields(own) if fnmatchcase(model, pattern) else {}
        return given

    def resolve(self, model: str, also: Collection[str] = ()) -> str:
        """The full "provider:model" of a name, an alias, `fast`, a group, or a provider with a model of its own.

        `also`: providers there are besides the configured ones. Raises ConfigError.
        """
        groups = {name: f"{name}:{GROUP}" for name, provider in self.providers.items() if provider.steps}
        default = {
            name: f"{name}:{provider.default_model.removeprefix(f'{name}:')}"
            for name, provider in self.providers.items()
            if provider.default_model
        }
        fast = {"fast": self.fast_model} if self.fast_model else {}
        return resolve(
            model, aliases={**groups, **default, **fast, **self.aliases}, providers={*self.providers, *also}
        )

    def with_fallbacks(self, primary: str, others: Sequence[str]) -> Config:
        """This configuration with `primary` as its model and `others` asked in turn where it cannot answer.

        Raises ConfigError for what is no text.
        """
        chain = ProviderSettings(fallback=(text(primary, "primary"), *names(others, "others")))
        return self.model_copy(
            update={"default_model": "chain", "providers": {**self.providers, "chain": chain}}
        )

    def own_prices(self) -> dict[str, Price]:
        """What the models cost that have a price here."""
        return {model: Price(**own.price.model_dump()) for model, own in self.models.items() if own.price}

    def usable_providers(self) -> list[str]:
        """Providers worth asking for their models: configured, with a key, or local."""
        return sorted({"ollama", *self.providers, *self.with_keys})


def _fields(
    layer: Config | ModelSettings | ProviderSettings,
    names: Collection[str] = (*_OF_CALLS, "think", "options"),
) -> dict[str, Any]:
    chosen = layer.model_dump(include=set(names))
    return {key: value for key, value in chosen.items() if value is not None and value != {}}
