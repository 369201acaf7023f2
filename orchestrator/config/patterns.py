"""The patterns, each defined once: its parameters here are its keys in config.yaml, its options on the command line, its
words in a chat and the schema of its tool."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from .files import short
from .names import Model, Models, Name, Names, Seconds, Servers, Title


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        raise ValueError(f"wanted a regular expression, found {short(text)}: {exc}") from None
    return text


def _two_or_none(choices: tuple[str, ...]) -> tuple[str, ...]:
    if len(choices) == 1:
        raise ValueError(f"wanted two choices or more, or none at all, found only {choices[0]!r}")
    return choices


def _of_model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


Regex = Annotated[str, AfterValidator(_regex)]
FREE = ("question", "input")
"""What every prompt may name, besides its parameters and the stages before it."""
JUDGE = "says which answers mean the same; else their words do"
EMBED = "the same by the vectors of this model, without a judge"
PANEL = "who is asked, as provider:model (default: `panel`)"
IMPLEMENT = "carries out what was agreed on, with all tools"


class Pattern(BaseModel):
    """What any pattern or stage may say in config.yaml. A subclass adds what the command line, a chat and tools take too."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    asks: ClassVar[str] = "question"  # what its text is called
    members: ClassVar[tuple[str, ...]] = (
        "models",
    )  # what a list of models fills, in order; the last takes the rest
    note: ClassVar[str] = ""  # what --help says besides
    examples: ClassVar[tuple[str, ...]] = ()  # command lines, without "understudy"

    description: str = ""
    prompt: str = "{question}"  # what is asked; in a stage {input} is what the stage before gave
    parameters: dict[Name, str] = {}  # further words in braces, with their defaults
    when: Regex | None = None  # of a stage: it is passed over unless this is found in its input
    unless: Regex | None = None  # of a stage: it is passed over where this is found
    valid: Regex | None = None  # of a stage: must be found in its output; "json": must be JSON
    tries: int = Field(default=1, ge=1, le=10)  # of a stage: how often until it is valid

    @field_validator("parameters")
    @classmethod
    def _no_parameter_is_called_as_what_is_there(cls, parameters: dict[str, str]) -> dict[str, str]:
        if strange := [name for name in parameters if name in FREE]:
            raise ValueError(f"a parameter may not be called {strange[0]!r}: that word stands for the text")
        return parameters


class AskSettings(Pattern):
    asks: ClassVar[str] = "prompt"
    members: ClassVar[tuple[str, ...]] = ("model",)

    use: Literal["ask"] = "ask"
    model: Model | None = Field(default=None, description="who is asked (default: default_model)")
    system: str = Field(default="", description="its instructions")
    role: Literal["adviser", "worker"] = "adviser"


class ConsultSettings(Pattern):
    examples: ClassVar[tuple[str, ...]] = (
        'consult --models ollama:qwen3:8b,openai:gpt-6 "Is this schema in third normal form?"',
        'consult --models a,b,c --judge anthropic:claude-opus-5-5 --json "..."',
        'git diff | understudy consult --models a,b "Review this." -',
    )

    use: Literal["consult"] = "consult"
    models: Models | None = Field(default=None, description=PANEL)
    judge: Model | None = Field(
        default=None, description="writes one answer that cites the others as [1], [2]"
    )


class VoteSettings(Pattern):
    note: ClassVar[str] = "A tie has no result. `agreement` is the share of valid ballots for the winner."
    examples: ClassVar[tuple[str, ...]] = (
        'vote --models a,b,c --choices yes,no "Is 2027 a prime?"',
        'vote --models ollama:qwen3:8b --samples 5 --stop-early "How many r are in strawberry?"',
        'vote --models a,b,c --judge a --json "What broke the build?"',
    )

    use: Literal["vote"] = "vote"
    models: Models | None = Field(default=None, description=PANEL)
    choices: Annotated[Names, AfterValidator(_two_or_none)] = Field(
        default=(), description="the only valid ballots"
    )
    samples: int = Field(default=1, ge=1, le=50, description="ballots of each model")
    judge: Model | None = Field(default=None, description=JUDGE)
    embed: Model | None = Field(default=None, description=EMBED)
    stop_early: bool = Field(
        default=False, description="call off ballots that cannot change the winner any more"
    )


class RefineSettings(Pattern):
    asks: ClassVar[str] = "task"
    members: ClassVar[tuple[str, ...]] = ("author", "critic")
    note: ClassVar[str] = (
        "A model does not approve its own text: with one model for both, the result is never called approved."
    )
    examples: ClassVar[tuple[str, ...]] = (
        'refine --author ollama:qwen3:8b --critic openai:gpt-6 "Write release notes for 0.1.0."',
        'refine --author a --critic b --implement a --iterations 3 --json "Fix the flaky test."',
    )

    use: Literal["refine"] = "refine"
    author: Model | None = Field(default=None, description="who writes (default: default_model)")
    critic: Model | None = Field(default=None, description="who reviews (default: another one of `panel`)")
    iterations: int = Field(default=2, ge=1, le=20, description="at most so many reviews")
    token: str = Field(default="<OK>", min_length=1, description="what the critic says to approve")
    implement: Model | None = Field(default=None, description=IMPLEMENT)


class DebateSettings(Pattern):
    note: ClassVar[str] = "The minority is reported. Each round costs a call of every model."
    examples: ClassVar[tuple[str, ...]] = (
        'debate --models a,b,c "Should this service own its database?"',
        'debate --models a,b --judge c --rounds 3 --json "..."',
    )

    use: Literal["debate"] = "debate"
    models: Models | None = Field(default=None, description=PANEL)
    rounds: int = Field(default=2, ge=1, le=10, description="at most so many after the blind answers")
    judge: Model | None = Field(default=None, description="decides a tie")
    embed: Model | None = Field(default=None, description="its vectors say which answers agree")
    implement: Model | None = Field(default=None, description=IMPLEMENT)


class EscalateSettings(Pattern):
    note: ClassVar[str] = (
        "Put unlike models first: two of one kind agree on its errors. Who is not needed is not asked."
    )
    examples: ClassVar[tuple[str, ...]] = (
        'escalate --models ollama:qwen3:8b,ollama:llama3.2:3b,openai:gpt-6 "Which year was it?"',
        'escalate --models a,b,c --judge c --json "..."',
    )

    use: Literal["escalate"] = "escalate"
    models: Models | None = Field(default=None, description=PANEL)
    judge: Model | None = Field(default=None, description=JUDGE)
    embed: Model | None = Field(default=None, description=EMBED)


class HandoffSettings(Pattern):
    asks: ClassVar[str] = "task"
    members: ClassVar[tuple[str, ...]] = ("first", "second")
    examples: ClassVar[tuple[str, ...]] = (
        'handoff --first anthropic:claude-opus-5-5 --second ollama:qwen3:8b "Write the migration guide."',
        'handoff --first a --second b --reviewer c --json "..."',
    )

    use: Literal["handoff"] = "handoff"
    first: Model = Field(description="who begins, and ends it after the review")
    second: Model = Field(description="who goes on with it")
    reviewer: Model | None = Field(default=None, description="who reviews (default: who began)")


class SpecialistSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    model: Model
    description: str = ""
    system: str = ""
    tools: Servers = ()  # servers; null or [all]: all of them
    odds: float | None = Field(default=None, ge=0, le=1)


Specialists = dict[Title, Annotated[SpecialistSettings, BeforeValidator(_of_model)]]


class RouteSettings(Pattern):
    asks: ClassVar[str] = "task"
    members: ClassVar[tuple[str, ...]] = ("specialists",)
    examples: ClassVar[tuple[str, ...]] = (
        'route --to sql=ollama:qwen3:8b="databases, SQL" --to prose=a="letters, summaries" "Speed up this query: ..."',
        'route --to sql=a --to prose=b --router fast --json "..."',
    )

    use: Literal["route"] = "route"
    specialists: Specialists = Field(
        default={},
        description="by name: a model, and what it is good at (default: `panel`)",
        json_schema_extra={"option": "to", "beside": "description", "each": "worker"},
    )
    router: Model | None = Field(default=None, description="chooses (default: a rule: fit, odds, price)")
    min_odds: float = Field(default=0.7, ge=0, le=1, description="measured odds that do")


class PlanSettings(Pattern):
    asks: ClassVar[str] = "goal"
    members: ClassVar[tuple[str, ...]] = ("manager", "specialists")
    note: ClassVar[str] = (
        "Nothing that writes is offered before the plan is agreed upon. One that is to be approved where nobody can be"
        " asked waits, also over days: understudy patterns approve."
    )
    examples: ClassVar[tuple[str, ...]] = (
        'plan --manager anthropic:claude-opus-5-5 --role coder=ollama:qwen3:8b --role tester=ollama:a "..."',
        'plan --manager a --role writer=b --tools files --approve "Document every module."',
    )

    use: Literal["plan"] = "plan"
    manager: Model | None = Field(default=None, description="plans and sums up (default: default_model)")
    specialists: Specialists = Field(
        default={},
        description="by role: a model, and what it is for (default: the manager)",
        json_schema_extra={"option": "role", "beside": "description", "each": "worker"},
    )
    tools: Servers = Field(default=(), description="servers whose tools specialists have; 'all' for all")
    approve: bool = Field(default=False, description="ask a person before the first task is begun")
    max_concurrent: int = Field(default=4, ge=1, le=64, description="tasks at a time")
    timeout_s: Seconds | None = Field(
        default=None, description="seconds for each task", json_schema_extra={"option": "task-timeout"}
    )
    synthesis: bool = Field(default=True, description="let the manager sum up")


class JobSettings(BaseModel):
    """One of the prompts that are asked at once."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    model: Model
    prompt: str = "{question}"
    priority: int = 0  # higher ones start first
    timeout_s: Seconds | None = None  # None: that of all


class ParallelSettings(Pattern):
    asks: ClassVar[str] = "input"
    members: ClassVar[tuple[str, ...]] = ("jobs",)
    note: ClassVar[str] = "{input} in a job's prompt is the text. A job that fails is told beside the others."
    examples: ClassVar[tuple[str, ...]] = (
        'git diff | understudy parallel --job bugs=a="Find bugs: {input}" --job tests=b "The change:" -',
        'parallel --job a=ollama:qwen3:8b --job b=openai:gpt-6 --max-concurrent 1 --json "..."',
    )

    use: Literal["parallel"] = "parallel"
    jobs: dict[Name, Annotated[JobSettings, BeforeValidator(_of_model)]] = Field(
        min_length=1,
        max_length=50,
        description="by name: a model, and its prompt",
        json_schema_extra={"option": "job", "beside": "prompt", "each": "job"},
    )
    max_concurrent: int = Field(default=4, ge=1, le=64, description="jobs at a time")
    timeout_s: Seconds | None = Field(
        default=None, description="seconds for each job", json_schema_extra={"option": "task-timeout"}
    )


class PipelineSettings(Pattern):
    asks: ClassVar[str] = "input"
    members: ClassVar[tuple[str, ...]] = ("stages",)
    note: ClassVar[str] = (
        "{input} in a prompt is what the stage before gave, {question} the first text. A stage without a prompt is given"
        " {input} alone."
    )
    examples: ClassVar[tuple[str, ...]] = (
        'pipeline --stage draft=a="Write: {input}" --stage check=b="Mend the errors of: {input}" "A haiku"',
        'pipeline --stage facts=ollama:qwen3:8b --stage text=openai:gpt-6 --json "..."',
    )

    use: Literal["pipeline"] = "pipeline"
    stages: dict[Name, Annotated[StageSettings, BeforeValidator(_of_model)]] = Field(
        min_length=1,
        max_length=50,
        description="by name, in order: a model, and its prompt",
        json_schema_extra={"option": "stage", "beside": "prompt", "each": "stage"},
    )

    @model_validator(mode="after")
    def _no_stage_is_called_as_what_is_there(self) -> Self:
        if strange := [name for name in self.stages if name in FREE or name in self.parameters]:
            raise ValueError(f"a stage may not be called {strange[0]!r}: that word stands for something else")
        return self


def use_of(value: Any) -> str:
    """Which pattern this is, written down or read; "ask" where it does not say."""
    found = value.get("use", "ask") if isinstance(value, dict) else getattr(value, "use", "ask")
    return str(found)


PatternSettings = Annotated[
    Annotated[AskSettings, Tag("ask")]
    | Annotated[ConsultSettings, Tag("consult")]
    | Annotated[VoteSettings, Tag("vote")]
    | Annotated[RefineSettings, Tag("refine")]
    | Annotated[DebateSettings, Tag("debate")]
    | Annotated[EscalateSettings, Tag("escalate")]
    | Annotated[RouteSettings, Tag("route")]
    | Annotated[HandoffSettings, Tag("handoff")]
    | Annotated[PipelineSettings, Tag("pipeline")]
    | Annotated[ParallelSettings, Tag("parallel")]
    | Annotated[PlanSettings, Tag("plan")],
    Discriminator(use_of),
]
StageSettings = PatternSettings
PipelineSettings.model_rebuild()
BY_USE: dict[str, type[Pattern]] = {
    kind.model_fields["use"].default: kind
    for kind in (
        AskSettings,
        ConsultSettings,
        VoteSettings,
        RefineSettings,
        DebateSettings,
        EscalateSettings,
        RouteSettings,
        HandoffSettings,
        PipelineSettings,
        ParallelSettings,
        PlanSettings,
    )
}
