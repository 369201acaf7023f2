"""The memory of leads in a session: opened once for each agent, with the embeddings that are configured."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import anyio

from ..agent import Agent
from ..config.arguments import text as wanted_text
from ..config.load import Config
from ..errors import ConfigError, OrchestratorError
from ..events import Emit, Notice, ignore
from ..memory.memory import Embed, Memory, Remembered
from ..memory.tools import WithMemory, recalled
from ..providers import Embeds, Provider, close, open_provider, split
from ..store.database import Database
from ..tools import Toolbox

T = TypeVar("T")
Call = Callable[[Callable[[], Awaitable[Any]]], Any]


class Remembering:
    """The memories of one session's agents. Nothing is opened before it is asked for."""

    def __init__(self, config: Config, emit: Emit = ignore) -> None:
        self.config, self.emit = config, emit
        self._memories: dict[str | None, Memory] = {}
        self._providers: list[Provider] = []
        self._told = False

    def of(self, agent: str | None) -> Memory:
        """The memory of this agent; of all agents, to look through it, when None. Raises StoreError, ConfigError."""
        if agent not in self._memories:
            settings = self.config.memory
            path = Path(self.config.folder, settings.path).expanduser() if settings.path else None
            model = self.config.resolve(settings.embeddings) if settings.embeddings else ""
            self._memories[agent] = Memory(
                agent,
                database=Database(path),
                embed=self.embedder(model) if model else None,
                model=model,
                min_importance=settings.min_importance,
                emit=self.emit,
            )
        return self._memories[agent]

    async def at_hand(self, agent: Agent, tools: Toolbox, question: str) -> tuple[Agent, Toolbox]:
        """The agent with what it remembers of the question, and with the tools of its memory.

        A memory that cannot be used is told once and hinders nothing.
        """
        try:
            memory = self.of(agent.name)
            known = await recalled(memory, question, k) if (k := self.config.memory.recall) else ""
        except OrchestratorError as exc:
            if not self._told:
                self._told = True
                self.emit(Notice(text=f"nothing is remembered here: {exc}", level="warning"))
            return agent, tools
        if known:
            agent = replace(agent, material=f"{agent.material}\n\n{known}".strip())
        return agent, WithMemory(tools, memory)

    async def aclose(self) -> None:
        for provider in self._providers:
            with suppress(OrchestratorError):
                await close(provider)
        for memory in self._memories.values():
            memory.close()

    def embedder(self, model: str) -> Embed:
        """Texts to vectors by this "provider:model", opened when it is first asked. It raises ConfigError."""
        name, vendors = split(model)
        opened: list[Provider] = []

        async def embed(texts: Sequence[str]) -> list[list[float]]:
            if not opened:
                settings = self.config.providers.get(name)
                options = settings.open_settings() if settings else {}
                opened.append(await anyio.to_thread.run_sync(lambda: open_provider(name, **options)))
                self._providers += opened
            provider = opened[0]
            if not isinstance(provider, Embeds):
                raise ConfigError(
                    f"{name} makes no embeddings; ollama, openai, google, bedrock and servers compatible with them do"
                )
            return await provider.embed(vendors, texts)

        return embed


class AgentMemory:
    """The same for programs that are not asynchronous."""

    def __init__(self, memory: Callable[[], Memory], call: Call) -> None:
        self._memory, self._call = memory, call

    def store(
        self, text: str, *, importance: float = 1.0, metadata: Mapping[str, Any] | None = None
    ) -> str | None:
        """The memory's id, the same for the same text; None when it matters too little to be kept.

        `importance`: 0 to 1. `metadata`: what `retrieve` can filter by. Raises ConfigError, StoreError.
        """
        told = wanted_text(text, "text")
        return self._call(lambda: self._memory().store(told, importance=importance, metadata=metadata))

    def retrieve(self, query: str, k: int = 5, filter: Mapping[str, Any] | None = None) -> list[Remembered]:
        """The `k` memories that fit best, of those whose metadata has all of `filter`. Raises ConfigError, StoreError."""
        wanted_text(query, "query")
        return self._call(lambda: self._memory().retrieve(query, k, filter))

    def delete(self, id: str) -> bool:
        """Forget it; False when there was none of this id."""
        return self._call(lambda: anyio.to_thread.run_sync(lambda: self._memory().delete(id)))

    def clear(self) -> int:
        """Forget everything of this agent; how much it was."""
        return self._call(lambda: anyio.to_thread.run_sync(lambda: self._memory().clear()))
