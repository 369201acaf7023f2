"""Patterns as they are written down: in config.yaml, on the command line, in a tool call. One model for each."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from ..errors import ConfigError
from .files import short
from .names import Model, Models, Name, Seconds
from .wanted import wanted


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"wanted a regular expression, found {short(text)}: {exc}") from None
    return text


Regex = Annotated[str, AfterValidator(_regex)]
FREE = ("question", "input")
"""What every prompt may name, besides its parameters and the stages before it."""


class _Pattern(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    description: str = ""
    prompt: str = "{question}"  # what is asked; in a stage {input} is what the stage before gave
    parameters: dict[Name, str] = {}  # further words in braces, with their defaults
    when: Regex | None = None  # of a stage: it is passed over unless this is found in its input
    unless: Regex | None = None  # of a stage: it is passed over where this is found
    valid: Regex | None = None  # of a stage: must be found in its output; "json": must be JSON
    tries: int = Field(default=1, ge=1, le=10)  # of a stage: how often until it is valid


class AskSettings(_Pattern):
    """One model, asked once."""

    use: Literal["ask"] = "ask"
    model: Model | None = None  # None: default_model
    system: str = ""
    role: Literal["adviser", "worker"] = "adviser"


class ConsultSettings(_Pattern):
    """The same question to several models at once; with a judge, one answer that cites them."""

    use: Literal["consult"] = "consult"
    models: Models | None = None  # None: `panel`
    judge: Model | None = None


def _two_or_none(choices: tuple[str, ...]) -> tuple[str, ...]:
    if len(choices) == 1:
        raise ValueError(f"wanted two choices or more, or none at all, found only {choices[0]!r}")
    return choices


class VoteSettings(_Pattern):
    """What most models say."""

    use: Literal["vote"] = "vote"
    models: Models | None = None
    samples: int = Field(default=1, ge=1, le=50)  # ballots of each model
    choices: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_two_or_none)] = ()
    judge: Model | None = None  # says which ballots mean the same; None: the same words do
    embed: Model | None = None  # the same by the vectors of this model, without a judge
    stop_early: bool = False


class RefineSettings(_Pattern):
    """A draft, reviewed and revised until the critic approves."""

    use: Literal["refine"] = "refine"
    author: Model | None = None  # None: default_model
    critic: Model | None = None  # None: the first of `panel` that is another model
    iterations: int = Field(default=2, ge=1, le=20)
    token: str = Field(default="<OK>", min_length=1)
    implement: Model | None = None


class DebateSettings(_Pattern):
    """Blind answers, then rounds until they agree; the minority is reported."""

    use: Literal["debate"] = "debate"
    models: Models | None = None
    rounds: int = Field(default=2, ge=1, le=10)
    judge: Model | None = None  # decides a tie
    embed: Model | None = None  # positions are the same by the vectors of this model; None: by their words
    implement: Model | None = None


class EscalateSettings(_Pattern):
    """Two models, more only where they disagree."""

    use: Literal["escalate"] = "escalate"
    models: Models | None = None
    judge: Model | None = None  # says which answers mean the same; None: the same words do
    embed: Model | None = None  # the same by the vectors of this model, without a judge


class HandoffSettings(_Pattern):
    """One begins, another goes on, the first ends it after a review."""

    use: Literal["handoff"] = "handoff"
    first: Model
    second: Model
    reviewer: Model | None = None


class SpecialistSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    model: Model
    description: str = ""
    system: str = ""
    tools: Annotated[tuple[str, ...], Field(strict=False)] | None = ()  # servers; null: all of them
    odds: float | None = Field(default=None, ge=0, le=1)


def _of_model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


Specialists = dict[Name, Annotated[SpecialistSettings, BeforeValidator(_of_model)]]


class RouteSettings(_Pattern):
    """One task to the specialist that suits it best."""

    use: Literal["route"] = "route"
    specialists: Specialists = {}  # {}: the models of `panel`
    router: Model | None = None
    min_odds: float = Field(default=0.7, ge=0, le=1)


class PlanSettings(_Pattern):
    """Tasks for specialists, in the order of their dependencies."""

    use: Literal["plan"] = "plan"
    manager: Model | None = None  # None: default_model
    specialists: Specialists = {}  # {}: one called worker, the manager's own model
    approve: bool = False  # a person is asked before the first task is begun
    max_concurrent: int = Field(default=4, ge=1, le=64)
    timeout_s: Seconds | None = None  # of each task
    synthesis: bool = True


class PipelineSettings(_Pattern):
    """Stages one behind the other; each is a question to a model or a pattern."""

    use: Literal["pipeline"] = "pipeline"
    stages: dict[Name, StageSettings] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _no_stage_is_called_as_what_is_there(self) -> Self:
        if strange := [name for name in self.stages if name in FREE or name in self.parameters]:
            raise ValueError(f"a stage may not be called {strange[0]!r}: that word stands for something else")
        return self


def _use(value: Any) -> str:
    found = value.get("use", "ask") if isinstance(value, dict) else getattr(value, "use", "ask")
    return str(found)


_KINDS: tuple[type[_Pattern], ...] = (
    AskSettings,
    ConsultSettings,
    VoteSettings,
    RefineSettings,
    DebateSettings,
    EscalateSettings,
    HandoffSettings,
    RouteSettings,
    PlanSettings,
    PipelineSettings,
)
BY_USE: dict[str, type[_Pattern]] = {kind.model_fields["use"].default: kind for kind in _KINDS}

PatternSettings = Annotated[
    Annotated[AskSettings, Tag("ask")]
    | Annotated[ConsultSettings, Tag("consult")]
    | Annotated[VoteSettings, Tag("vote")]
    | Annotated[RefineSettings, Tag("refine")]
    | Annotated[DebateSettings, Tag("debate")]
    | Annotated[EscalateSettings, Tag("escalate")]
    | Annotated[HandoffSettings, Tag("handoff")]
    | Annotated[RouteSettings, Tag("route")]
    | Annotated[PlanSettings, Tag("plan")]
    | Annotated[PipelineSettings, Tag("pipeline")],
    Discriminator(_use),
]
StageSettings = PatternSettings
PipelineSettings.model_rebuild()


def written_place(place: tuple[str, ...]) -> tuple[str, ...]:
    """A place as validation names it without the kinds it puts behind the names of patterns and stages."""
    kept = list[str]()
    for part in place:
        named = len(kept) >= 2 and kept[-2] in ("patterns", "stages")
        if not (named and part in BY_USE):
            kept.append(part)
    return tuple(kept)


def fields_at(place: tuple[str, ...], use: str) -> list[str]:
    """The keys there may be at the place of a pattern or stage of this kind, or of one of its specialists."""
    if len(place) >= 2 and place[-2] == "specialists":
        return list(SpecialistSettings.model_fields)
    return list(BY_USE.get(use, AskSettings).model_fields)


_OPTIONS = {"timeout_s": "task-timeout"}
"""Settings that the command line calls otherwise: there --timeout is that of every model call."""


def settings_of(values: dict[str, Any], form: str = "{}") -> PatternSettings:
    """A pattern as it was typed. Raises ConfigError naming the setting in this form: "--{}" is an option."""
    if (use := _use(values)) not in BY_USE:
        raise ConfigError(
            f"there is no pattern {use!r}; there are {', '.join(BY_USE)}, and those of config.yaml"
        )
    try:
        return TypeAdapter[PatternSettings](PatternSettings).validate_json(json.dumps(values))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        if first["type"] == "extra_forbidden":
            known = ", ".join(fields_at(tuple(place.split("."))[:-1], use))
            raise ConfigError(f"there is no setting {place!r} of {use}; there are {known}") from exc
        found = "" if first["type"] == "value_error" else f", found {short(first['input'])}"
        said = _OPTIONS.get(place, place).replace("_", "-") if form.startswith("-") else place
        raise ConfigError(f"{form.format(said)}: {wanted(first)}{found}") from exc
