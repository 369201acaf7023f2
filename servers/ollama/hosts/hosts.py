"""All hosts of a server as one: their models, who has which, and who does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio

from ..engines.protocol import EngineError, Model, Runtime, valid_name
from ..ledger.ledger import Ledger
from .host import Host, hosts_on

AT = "@"
"""Between a model and the host it is meant to run on: "qwen3:8b@gpu1"."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """At least one."""

    all: Sequence[Host]

    @classmethod
    def single(cls, runtime: Runtime) -> Hosts:
        return cls(hosts_on([("", runtime, 1, None)]))

    @property
    def first(self) -> Host:
        return self.all[0]

    @property
    def are_several(self) -> bool:
        return len(self.all) > 1

    @property
    def name(self) -> str:
        """Kind and place of each, as shown."""
        if not self.are_several:
            return self.first.runtime.name
        return "; ".join(f"{host.name}: {host.runtime.name}" for host in self.all)

    @property
    def note(self) -> str | None:
        """What every reader must know, of whichever host."""
        return "; ".join(dict.fromkeys(host.runtime.note for host in self.all if host.runtime.note)) or None

    @property
    def silent(self) -> str | None:
        """Which hosts do not answer, and why; None when all do."""
        told = [
            f"{host.name} does not answer ({host.availability.why})"
            for host in self.all
            if self._is_silent(host)
        ]
        return "; ".join(told) or None

    def _is_silent(self, host: Host) -> bool:
        return self.are_several and host.availability.why is not None

    def of(self, model: Model) -> Host:
        """Where this model is."""
        return next((host for host in self.all if host.name == model.host), self.first)

    async def ledger(self) -> Ledger:
        """The ledger all share. Raises LedgerError."""
        return await self.first.forecaster.ledger()

    async def models(self) -> list[Model]:
        """Of every host that answers, host after host. Raises EngineError when none does."""
        asked = [host for host in self.all if host.availability.is_up] or self.all
        found: dict[str, list[Model]] = {}
        why: list[str] = []

        async def ask(host: Host) -> None:
            try:
                found[host.name] = await host.models()
            except EngineError as exc:
                why.append(f"{host.name}: {exc}" if self.are_several else str(exc))

        async with anyio.create_task_group() as group:
            for host in asked:
                group.start_soon(ask, host)
        if not found:
            raise EngineError("; ".join(why))
        return [model for host in self.all for model in found.get(host.name, ())]

    async def named(self, name: str) -> list[Model]:
        """What may be meant by a name: all models by "auto", one on every host that has it, or on the host after "@".

        Raises EngineError when there is none.
        """
        if name == "auto":
            return await self.models()
        plain, at, place = name.rpartition(AT)
        only = next((host for host in self.all if at and host.name and host.name == place), None)
        if only is None and not self.are_several:
            only, plain = self.first, name
        if only is not None:
            return [await _asked(only, plain)]
        valid_name(name)
        every = await self.models()
        found = [model for model in every if is_called(name, model.name)]
        if len(found) == 1:
            return [await _asked(self.of(found[0]), found[0].name)]
        if not found:
            there = ", ".join(sorted({model.name for model in every})) or "none"
            silent = f"; {self.silent}" if self.silent else ""
            raise EngineError(f"no host has the model {name!r}; there are: {there}{silent}")
        return found

    async def has_died(self, model: Model) -> str | None:
        """Why the host of this model does not answer; None when it does, or is the only one."""
        if not self.are_several:
            return None
        try:
            await self.of(model).models()
        except EngineError as exc:
            return str(exc)
        return None

    async def aclose(self) -> None:
        async with anyio.create_task_group() as group:
            for host in self.all:
                group.start_soon(host.runtime.aclose)

    def close(self) -> None:
        for host in self.all:
            host.runtime.close()


def is_called(asked: str, name: str) -> bool:
    """Whether a caller who says `asked` means the model `name`; Ollama adds a tag where there is none."""
    return name in (asked, f"{asked}:latest")


async def _asked(host: Host, name: str) -> Model:
    return replace(await host.runtime.model(name), host=host.name)
