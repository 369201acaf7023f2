"""Commands that let several models work on one question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...config.patterns import BY_USE, settings_of
from ...errors import ConfigError
from ...session.panels import run_pattern
from .conversation import Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A pattern as a command: models, separated by commas, then the question."""

    usage: str
    meaning: str
    wants: str
    example: str
    roles: tuple[str, ...] = ()  # what each model is, in order

    @property
    def use(self) -> str:
        return self.usage.split()[0].removeprefix("/")


PANELS = (
    Panel(
        usage="/consult M,M QUESTION",
        meaning="ask several models the same",
        wants="models and a question",
        example="ollama:a,openai:b Which is better?",
    ),
    Panel(
        usage="/vote MODEL,MODEL QUESTION",
        meaning="let them vote",
        wants="models and a question",
        example="a,b,c Is it a race?",
    ),
    Panel(
        usage="/debate MODEL,MODEL QUESTION",
        meaning="let them answer blind, then argue",
        wants="models and a question",
        example="a,b,c Which is safer?",
    ),
    Panel(
        usage="/escalate MODEL,MODEL,MODEL QUESTION",
        meaning="two first, more where they disagree",
        wants="models and a question",
        example="a,b,c Which year was it?",
    ),
    Panel(
        usage="/refine AUTHOR,CRITIC TASK",
        meaning="one writes, one reviews",
        wants="an author, a critic and a task",
        example="a,b Write a README.",
        roles=("author", "critic"),
    ),
    Panel(
        usage="/route MODEL,MODEL TASK",
        meaning="the one that suits it does it",
        wants="models and a task",
        example="a,b Speed up this query: ...",
    ),
    Panel(
        usage="/plan MANAGER,WORKER GOAL",
        meaning="one plans, others do it once you agree",
        wants="a manager, workers and a goal",
        example="a,b Document every module.",
    ),
)


async def panel(kind: Panel, talk: Conversation, rest: str) -> None:
    words, _, question = rest.partition(" ")
    wanted = f"/{kind.use} wants {kind.wants}, as /{kind.use} {kind.example}"
    if not question.strip():
        raise ConfigError(wanted)
    models = list(dict.fromkeys(word for word in words.split(",") if word))
    if kind.roles and len(models) != len(kind.roles):
        raise ConfigError(f"{wanted}; found {len(models)} models")
    given = dict(zip(kind.roles, models, strict=True)) if kind.roles else _members(kind.use, models)
    await _pattern(talk, {"use": kind.use, **given}, question)


def _members(use: str, models: list[str]) -> dict[str, Any]:
    match use:
        case "plan":
            return {"manager": models[0], "specialists": _named(models[1:] or models), "approve": True}
        case "route":
            return {"specialists": _named(models)}
        case _:
            return {"models": models}


def _named(models: Sequence[str]) -> dict[str, str]:
    return {f"worker{place}": model for place, model in enumerate(models, 1)}


async def _pattern(
    talk: Conversation, values: dict[str, Any], question: str, *, name: str | None = None
) -> None:
    async def person(asked: str) -> str:
        return await talk.reader.choose(asked, ["yes", "no"]) or "no"

    await run_pattern(talk.session, settings_of(values), question.strip(), name=name, person=person)


async def patterns(talk: Conversation, rest: str) -> None:
    name, _, question = rest.partition(" ")
    known = talk.config.patterns
    if not name:
        slashed = {one.use for one in PANELS}
        for use, kind in BY_USE.items():
            talk.say(f"{'/' if use in slashed else ''}{use}  {(kind.__doc__ or '').strip()}")
        for own, settings in known.items():
            talk.say(f"/pattern {own}  {settings.description or settings.use}")
        return
    if name not in known or not question.strip():
        raise ConfigError(f"/pattern wants a name and a question; there are {', '.join(known) or 'none'}")
    await run_pattern(talk.session, known[name], question.strip(), name=name)
