"""Providers as they are configured: opened once, each inside its wrappers, several under one name where asked."""

from __future__ import annotations

from pathlib import Path

import anyio

from ..config.load import Config, ProviderSettings
from ..config.models import GROUP
from ..errors import ConfigError, OrchestratorError
from ..events import Emit
from ..providers import ModelInfo, Provider, close, models_of, open_provider, split
from ..providers.catalog import LOCAL, Price, context_tokens, price_of
from ..providers.wrap.balanced import Balanced
from ..providers.wrap.budgeted import Budget, Purse
from ..providers.wrap.compose import guarded, persistent
from ..providers.wrap.fallback import Fallback, Step
from ..providers.wrap.lent import Lent


class Wired:
    """The providers of one session. They share its budget."""

    def __init__(self, config: Config, emit: Emit, purse: Purse | None = None) -> None:
        self.config, self.emit = config, emit
        self.folder = Path(config.folder)
        self.prices = config.own_prices()
        self.budget = Budget(
            limit_usd=config.budget_usd,
            prices=self.prices,
            allow_unknown=config.budget_allows_unknown,
            purse=purse,
            labels=config.labels,
        )
        self._given: dict[str, Provider] = {}  # by the caller, who closes them
        self._single: dict[str, Provider] = {}  # one call in, at most one call out
        self._whole: dict[str, Provider] = {}
        self._replaced: list[Provider] = []  # what may still be in use, until the end
        self._windows: dict[str, int | None] = {}  # by model, as far as they were asked for
        self._opening: dict[str, anyio.Lock] = {}  # by name: an SDK may take seconds to import

    def add(self, name: str, provider: Provider) -> None:
        """Use `provider` under this name from now on, within what is configured for the name."""
        self._given[name] = provider
        self._replaced += [*self._single.values(), *self._whole.values()]
        self._single, self._whole = {}, {}

    def names(self) -> set[str]:
        """Of everything that is configured or was used."""
        return {*self.config.providers, *self._given, *self._single}

    async def provider(self, name: str) -> Provider:
        """The provider with everything configured around it. Raises ConfigError."""
        return await self._opened(name, ())

    async def single(self, name: str) -> Provider:
        """The same without what asks twice or spares a call: to measure it. Raises ConfigError."""
        return await self._opened_single(name, ())

    async def listed(self, name: str) -> tuple[ModelInfo, ...]:
        """Its models; of a group, its name alone. Raises OrchestratorError."""
        if self._settings(name).steps:
            return (ModelInfo(provider=name, name=GROUP),)
        return await models_of(await self.provider(name))

    async def window(self, model: str) -> int | None:
        """Tokens the context of "provider:model" holds, the smallest of a group's; None when nobody knows."""
        if model not in self._windows:
            name, own = split(model)
            settings = self._settings(name)
            if settings.steps:
                known = [
                    await self.window(self.config.resolve(step, self.names())) for step in settings.steps
                ]
                self._windows[model] = min((tokens for tokens in known if tokens), default=None)
            elif isinstance(given := settings.options.get("num_ctx"), int):
                self._windows[model] = given
            else:
                self._windows[model] = await self._said_window(name, own)
        return self._windows[model]

    async def _said_window(self, name: str, own: str) -> int | None:
        vendor = self._vendor(name) or name
        elsewhere = name in self._given or self._settings(name).base_url or vendor in LOCAL
        if not elsewhere and (known := await _known_window(f"{vendor}:{own}")):
            return known  # without asking anybody
        try:
            listed = await self.listed(name)
        except OrchestratorError:
            listed = ()
        for info in listed:
            if info.name in (own, f"{own}:latest") and info.context_tokens:
                return info.context_tokens
        return await _known_window(f"{vendor}:{own}")

    def price(self, model: str) -> Price | None:
        """Of a "provider:model"; None when it is not known. Reads the data on first use: call it in a thread."""
        return price_of(model, self.prices, vendor=self._vendor(split(model)[0]))

    async def aclose(self) -> None:
        for provider in (*self._whole.values(), *self._single.values(), *self._replaced):
            await close(provider)

    def _settings(self, name: str) -> ProviderSettings:
        settings = self.config.providers.get(name) or ProviderSettings()
        if settings.steps:
            return settings
        general = {"retries": self.config.retries, "cache": self.config.cache}
        missing = general.keys() - settings.model_fields_set
        return settings.model_copy(
            update={key: value for key, value in general.items() if key in missing and value is not None}
        )

    def _vendor(self, name: str) -> str | None:
        """Whose prices a provider of another name has: its kind's, unless it is somewhere else."""
        settings = self._settings(name)
        return settings.kind if settings.kind == "ollama" or not settings.base_url else None

    async def _opened(self, name: str, within: tuple[str, ...]) -> Provider:
        if name not in self._whole:
            single, settings = await self._opened_single(name, within), self._settings(name)
            if settings.fallback and "retries" not in settings.model_fields_set:
                settings = settings.model_copy(update={"retries": 0})  # each of its models has its own
            made = persistent(single, settings, folder=self.folder, emit=self.emit)
            self._whole.setdefault(name, made)  # somebody may have been faster meanwhile
        return self._whole[name]

    async def _opened_single(self, name: str, within: tuple[str, ...]) -> Provider:
        if name not in self._single:
            settings, budget = self._settings(name), self.budget
            if settings.steps:
                opened = await self._group(name, settings, (*within, name))
                if "breaker_failures" not in settings.model_fields_set:
                    settings = settings.model_copy(update={"breaker_failures": None})
                budget = None  # every model of it pays for itself
            elif name in self._given:
                opened = Lent(self._given[name])
            else:
                options = settings.open_settings()
                async with self._opening.setdefault(name, anyio.Lock()):
                    if name in self._single:
                        return self._single[name]
                    opened = await anyio.to_thread.run_sync(
                        lambda: open_provider(name, emit=self.emit, **options)
                    )
                    self._single[name] = self._guarded(opened, settings, budget, name)
            self._single.setdefault(name, self._guarded(opened, settings, budget, name))
        return self._single[name]

    def _guarded(
        self, opened: Provider, settings: ProviderSettings, budget: Budget | None, name: str
    ) -> Provider:
        vendor = self._vendor(name)
        return guarded(opened, settings, budget=budget, vendor=vendor, folder=self.folder, emit=self.emit)

    async def _group(self, name: str, settings: ProviderSettings, within: tuple[str, ...]) -> Provider:
        if settings.fallback:
            steps = [await self._step(name, model, within, retried=True) for model in settings.fallback]
            return Fallback(*steps, name=name, emit=self.emit)
        steps = [await self._step(name, model, within, retried=False) for model in settings.balanced or ()]
        return Balanced(*steps, name=name, emit=self.emit)

    async def _step(self, group: str, model: str, within: tuple[str, ...], *, retried: bool) -> Step:
        """One model of a group. Only one layer asks again: a fallback's models themselves, else the group."""
        try:
            full = self.config.resolve(model, self.names())
        except ConfigError as exc:
            raise ConfigError(f"the provider {group!r} names {model!r}: {exc}") from exc
        name, _ = split(full)
        if name in within:
            raise ConfigError(f"the provider {group!r} leads back to itself: {' -> '.join([*within, name])}")
        provider = await (self._opened if retried else self._opened_single)(name, within)
        return Step(provider=Lent(provider), model=full, settings=self.config.model_settings(full))


async def _known_window(model: str) -> int | None:
    return await anyio.to_thread.run_sync(context_tokens, model)
