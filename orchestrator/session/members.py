"""The agents of a pattern, by the names of models or of configured agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..agent import Agent
from ..config.patterns import PlanSettings, RefineSettings, RouteSettings, SpecialistSettings
from ..errors import ConfigError
from ..patterns import Ask, Meaning, Specialist, by_embedding, by_judge, by_words
from ..reply import Reply
from ..types import Message
from .session import Session


class Members:
    """The agents of one pattern. A member of a panel whose name means nothing fails when it is asked, alone."""

    def __init__(self, session: Session, words: Mapping[str, str] | None = None) -> None:
        self.session, self.words = session, words or {}  # words: for the parameters of its stages
        self._unknown: dict[str, str] = {}  # model: why it cannot be asked

    async def ask(self, agent: Agent, prompt: str, *, history: Sequence[Message] = ()) -> Reply:
        if agent.model in self._unknown:
            raise ConfigError(self._unknown[agent.model])
        return await self.session.ask(agent, prompt, history=history)

    def one(self, spec: str | None, name: str, *, system: str | None = None) -> Agent:
        """A model, or an agent of the configuration by its name. Raises ConfigError."""
        if spec is not None and spec in self.session.config.agents:
            return self.session.agent(name=spec, system=system)
        agent = self.session.agent(spec, name=name, system="" if system is None else system)
        return agent if name in self.session.config.agents else replace(agent, tools=())

    def maybe(self, spec: str | None, name: str, *, tools: tuple[str, ...] | None = ()) -> Agent | None:
        if spec is None:
            return None
        agent = self.one(spec, name)
        return agent if spec in self.session.config.agents else replace(agent, tools=tools)

    def panel(self, specs: Sequence[str] | None, name: str) -> list[Agent]:
        """Raises ConfigError where nobody is named."""
        found = specs or self.session.config.panel
        if not found:
            raise ConfigError(
                "no models are named: give --models a,b, or `panel: [a, b]` in config.yaml, as provider:model"
            )
        return [self.member(spec, name) for spec in found]

    def pair(self, settings: RefineSettings) -> tuple[Agent, Agent]:
        """Author and critic. Raises ConfigError."""
        author = self.one(settings.author, "author")
        return author, self.one(settings.critic or self.other(author), "critic")

    def other(self, author: Agent) -> str | None:
        """Of the panel, the first that is another model than the author's; None: there is none."""
        others = (self.member(spec, "critic").model for spec in self.session.config.panel or ())
        return next((model for model in others if model != author.model), None)

    def meaning(self, judge: str | None, embed: str | None = None) -> Callable[[Ask], Meaning]:
        """How answers are compared: by a judge, by an embedding, else by words. Raises ConfigError for both."""
        if embed is not None:
            if judge is not None:
                raise ConfigError("answers are compared by a judge or by an embedding; give one of them")
            model = self.session.config.resolve(embed, self.session.wired.names())
            vectors = by_embedding(self.session.remembering.embedder(model), model=model)
            return lambda ask: vectors
        if judge is None:
            return lambda ask: by_words
        agent = self.one(judge, "judge")
        return lambda ask: by_judge(ask, agent)

    def specialists(self, settings: RouteSettings) -> list[Specialist]:
        if settings.specialists:
            return [
                Specialist(
                    agent=self._specialist(name, one), description=one.description or name, odds=one.odds
                )
                for name, one in settings.specialists.items()
            ]
        return [Specialist(agent=agent) for agent in self.panel(None, "specialist")]

    def workers(self, settings: PlanSettings) -> dict[str, Agent]:
        if settings.specialists:
            return {
                name: self._specialist(name, one if one.tools != () else _with_tools(one, settings.tools))
                for name, one in settings.specialists.items()
            }
        return {"worker": self.one(settings.manager, "worker")}

    def _specialist(self, name: str, one: SpecialistSettings) -> Agent:
        agent = self.member(one.model, name)
        if one.model in self.session.config.agents:
            return replace(agent, name=name, system=one.system or agent.system)
        return replace(agent, system=one.system or one.description, tools=one.tools)

    def member(self, spec: str, name: str) -> Agent:
        """One whose name may mean nothing: it fails when it is asked, and nobody else does."""
        try:
            return self.one(spec, name)
        except ConfigError as exc:
            self._unknown[spec] = str(exc)
            return Agent(name=name, model=spec)


def _with_tools(one: SpecialistSettings, tools: tuple[str, ...] | None) -> SpecialistSettings:
    return one.model_copy(update={"tools": tools})
