"""What each command prints with --json, as types: the source of docs/json.md and of the schemas in docs/schemas.

Only scripts/reference and the tests load this module; commands print plain dictionaries, which start faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from servers.ollama.delegate.estimate import Estimate
from servers.ollama.forecast.thread_choice import Pace
from servers.ollama.ledger.receipt import Receipt
from servers.ollama.reports.overview import Models, ProfileSeen

from ..config.pattern_meanings import MEANINGS
from ..config.shown import Setting
from ..demo.run import Worker
from ..memory.episodes import Action
from ..memory.memory import Remembered
from ..providers.bench import Summary, Trial
from ..reply import MadeCall
from ..store.costs import Spent
from ..store.records import Found, Kept
from ..types import Message, Provenance, ToolSpec, Usage
from .doctor import Finding


class Described(BaseModel):
    """An object whose fields say what they mean."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Result(Described):
    """What every object holds."""

    ok: bool
    """Whether the command did what it was asked for; the exit code says the same."""


class Failure(Result):
    """What any command prints that could not begin, or was broken off."""

    error: str
    """One sentence for the person."""
    kind: str
    """The class of the error."""


class AuditFile(Described):
    file: str
    ok: bool
    first_break: int | None
    """The line that does not follow from the one before it, counted from 1; null: the file is whole."""


class AuditVerified(Result):
    files: list[AuditFile]


class BatchEnded(Result):
    batch: str
    """Its id, for status, cancel and retry."""
    out: str
    stopped: str | None
    """Why it ended before its orders did."""
    counts: dict[str, int]
    """Orders by state: waiting, running, done, failed, cancelled."""
    seconds: float


class BatchFailure(Described):
    line: int
    key: str
    reason: str | None


class BatchLeft(Described):
    about: float
    low: float
    """`low` and `high` hold the end in nine of ten cases."""
    high: float


class BatchKept(Described):
    id: str
    source: str = Field(alias="in")
    out: str
    made: float
    """Seconds since 1970."""
    counts: dict[str, int]
    changed: int | None
    """Orders that cancel or retry changed; null for status."""
    failures: list[BatchFailure]
    """The newest five."""
    process: str | None = None
    """The number of the process that runs it on this machine; null: none does."""
    left_s: BatchLeft | None = None
    """Until it is done; null while too few have ended to tell, or none runs it."""


class Batches(Result):
    batches: list[BatchKept]


class BatchStands(Described):
    id: str
    source: str = Field(alias="in")
    out: str
    made: float
    """Seconds since 1970."""
    counts: dict[str, int]
    """Orders by state."""


class Benched(Result):
    prompt: str
    models: list[Summary]
    trials: list[Trial]


class Probed(Described):
    tokens_in: int | None
    tokens_out: int | None
    outcome: str
    load_s: float | None
    prefill_s: float | None
    decode_s: float | None
    total_s: float | None
    simulated: bool
    forecast_s: float | None
    """Said before the probe; null: the speed model knew nothing yet."""
    forecast_error: float | None
    """As a share of what was forecast."""


class Calibration(Described):
    model: str
    engine: str
    probes: list[Probed]
    skipped: list[int]
    """Prompt tokens of probes that fit neither the context nor the time."""
    reads_tokens_per_s: float | None
    writes_tokens_per_s: float | None
    error: str | None
    """Why it ended early."""
    note: str | None


class Calibrated(Result):
    calibrations: list[Calibration]
    """One for each host that has the model."""


class ThreadsCalibrated(Result):
    paces: list[Pace]
    num_thread: int | None
    """What runs of this model send from now on; null: the engine decides."""


class Called(Result):
    text: str
    content: Any
    """The text, where it is JSON."""


class ConfigShown(Result):
    folder: str
    settings: list[Setting]
    notices: list[str]


class Saved(Described):
    delegations: int
    failed: int
    would_have_cost_usd: float
    spent_usd: float
    unknown: int
    """Delegations without known tokens or prices; no part of the sums."""
    net_usd: float
    """May be negative."""


class Spendings(Result):
    by: Literal["model", "agent", "label", "day", "session"]
    lines: list[Spent]
    total: Spent
    savings: Saved | None
    """What delegating saved the leads; null where --label asks for a part."""


class Delegated(Receipt, Result):
    """The receipt; `ok`: accepted, or answered or written with nothing to check it."""


class Demonstrated(Result):
    worker: Worker
    accepted: bool
    text: str
    said: list[str]
    tool_calls: list[str]
    diff: str
    commit: str
    tests: str
    ledger: str


class Examined(Result):
    findings: list[Finding]


class Estimated(Estimate, Result):
    pass


class MemoriesFound(Result):
    memories: list[Remembered]


class MemoryStored(Result):
    id: str | None
    kept: bool
    """False: less important than what is kept."""


class MemoriesDeleted(Result):
    deleted: list[str]


class MemoriesCleared(Result):
    deleted: int


class EpisodeShown(Described):
    session: str
    run: str
    at: float
    """Seconds since 1970."""
    agent: str
    role: str
    model: str
    task: str
    actions: list[Action]
    outcome: str
    """The answer, or why there is none."""
    success: bool
    seconds: float | None
    """Null: the run never ended."""
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    pattern: str
    """How it was done: the tools used, in the order of their first use."""


class Episodes(Result):
    episodes: list[EpisodeShown]


class RateShown(Described):
    key: str
    """A model, an agent or a pattern."""
    runs: int
    successes: int
    share: float
    """By Laplace's rule, so that one lucky run does not count as certainty."""


class Rates(Result):
    rates: list[RateShown]


class Metrics(Result):
    models: list[Spent]


class ModelsHere(Models, Result):
    pass


class ModelOffered(Described):
    id: str
    """provider:model"""
    provider: str
    name: str
    context_tokens: int | None
    max_output_tokens: int | None
    capabilities: list[str] | None
    size_bytes: int | None
    input_usd: float | None
    """US dollars for a million tokens."""
    output_usd: float | None


class ModelsEverywhere(Result):
    providers: dict[str, list[ModelOffered]]
    silent: list[str]
    """Why a provider could not list its models."""


class OwnPattern(Described):
    use: str
    description: str
    parameters: dict[str, str]


class Unfinished(Described):
    session: str | None
    """The conversation; null for a run of the team's, which is gone on with by its `run`."""
    run: str
    pattern: str
    question: str
    waits_for: str | None
    """The decision it waits for; null: it was broken off."""


class PatternsListed(Result):
    built_in: dict[str, str]
    patterns: dict[str, OwnPattern]
    unfinished: list[Unfinished]


class ResponseShown(Described):
    agent: str
    model: str
    step: str
    """What it was asked for: "answer", "draft", "review 1", the id of a task, the name of a stage."""
    text: str
    error: str | None
    usage: Usage
    seconds: float
    provenance: Provenance
    """Of the seconds in `usage`."""
    ok: bool


class PatternEnded(Result):
    pattern: str
    question: str
    text: str
    """The result; "" when there is none."""
    error: str | None
    """Why there is none."""
    reason: str
    """How the result was found."""
    responses: list[ResponseShown]
    agreement: float | None
    """0 to 1, the share of valid answers that say the same."""
    seconds: float
    details: Mapping[str, Any]
    """What only this pattern has to say."""
    warnings: list[str]
    run: str
    usage: Usage
    provenance: Provenance
    cost_usd: float | None
    models: list[str]
    session: str | None
    notices: list[str]


class PatternWaits(Failure):
    """Exit code 3: a decision is asked for, and nobody could be asked."""

    question: str
    session: str | None


class Previewed(Result):
    least_calls: int
    most_calls: int
    least_s: float | None
    most_s: float | None
    least_usd: float | None
    most_usd: float | None
    unknown: list[str]
    """Models without known seconds or price."""
    warnings: list[str]


class Profiled(ProfileSeen, Result):
    pass


class TeamTotal(Described):
    machine: str
    """That asked."""
    host: str
    """That the model ran on."""
    model: str
    kind: str
    runs: int
    done: int
    judged: int
    """Runs with a gate."""
    passed: int
    good: int
    """Rated good by their callers."""
    rejected: int
    median_s: float | None
    writes: float | None
    """Tokens a second."""
    tokens_in: int
    tokens_out: int
    last: float
    """When the newest ran, in seconds since 1970."""


class TeamProfiled(Result):
    totals: list[TeamTotal]


class Reported(Result):
    forecasts: list[dict[str, Any]]
    coverage: list[dict[str, Any]]
    speeds: list[dict[str, Any]]
    advice: dict[str, dict[str, Any]]
    odds: list[dict[str, Any]]
    batches: list[BatchStands]
    """The newest first."""
    cost: list[Spent]
    savings: Saved
    timeline: dict[str, Any] | None


class Ran(Result):
    model: str
    answered_by: str
    text: str
    stop: str
    rounds: int
    seconds: float
    recorded: bool
    provenance: Provenance
    """Of the seconds in `usage`."""
    usage: Usage
    cost_usd: float | None
    notices: list[str]
    tool_calls: list[MadeCall]
    spent_usd: float | None
    """By every model, failed tries too."""
    session: str | None


class RunFailed(Ran, Failure):
    """A run that failed after it had begun."""

    messages: list[Message]


class SessionsListed(Result):
    sessions: list[Kept]


class SessionShown(Result):
    session: Kept
    messages: list[Message]


class SessionsFound(Result):
    found: list[Found]


class SessionExported(Result):
    session: str
    file: str


class SessionForked(Result):
    session: Kept


class SessionsDeleted(Result):
    deleted: list[str]


class SessionsRepaired(Result):
    repaired: bool
    """False: the file is sound and stays as it is."""
    sessions: int | None
    """Saved."""
    messages: int | None
    old: str | None
    """Where the damaged file is now."""


class Simulated(Result):
    url: str
    models: list[str]
    simulated: Literal[True]


class ToolsListed(Result):
    tools: list[ToolSpec]
    notices: list[str]
    """Why a server's tools are missing."""


_PATTERN = PatternEnded | PatternWaits | Previewed

RESULTS: Mapping[str, Any] = {
    "audit verify": AuditVerified,
    "batch": BatchEnded | Batches,
    "bench": Benched,
    "calibrate": Calibrated | ThreadsCalibrated,
    "call": Called,
    "config show": ConfigShown,
    **dict.fromkeys((use for use in MEANINGS if use != "ask"), _PATTERN),
    "cost": Spendings,
    "delegate": Delegated,
    "demo": Demonstrated,
    "doctor": Examined,
    "estimate": Estimated,
    "memory": MemoriesFound,
    "memory store": MemoryStored,
    "memory delete": MemoriesDeleted,
    "memory clear": MemoriesCleared,
    "memory episodes": Episodes,
    "memory rates": Rates,
    "metrics": Metrics,
    "models": ModelsHere | ModelsEverywhere,
    "patterns": PatternsListed | _PATTERN,
    "profile": Profiled | TeamProfiled,
    "report": Reported,
    "run": Ran | RunFailed | _PATTERN,
    "sessions": SessionsListed,
    "sessions show": SessionShown,
    "sessions search": SessionsFound,
    "sessions export": SessionExported,
    "sessions import": SessionsListed,
    "sessions fork": SessionForked,
    "sessions delete": SessionsDeleted,
    "sessions repair": SessionsRepaired,
    "simulate": Simulated,
    "tools": ToolsListed,
}
"""By command, or command and action; alternatives where options decide. `Failure` goes for all of them."""


def schema_of(command: str) -> dict[str, Any]:
    """The JSON Schema of what `command` prints with --json. What nobody knows is null or left out."""
    printed: Any = RESULTS[command] | Failure
    schema = TypeAdapter(printed).json_schema()
    for name, one in schema["$defs"].items():
        fields: Mapping[str, Any] = one.get("properties", {})
        said = ["ok"] if name in _OF_TOOLS else one.get("required", ())
        if required := [field for field in said if field in fields and not _may_be_null(fields[field])]:
            one["required"] = required
        else:
            one.pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"understudy {command} --json",
        **schema,
    }


def _may_be_null(field: Mapping[str, Any]) -> bool:
    return {"type": "null"} in field.get("anyOf", ())


_TOOLS: Any = Delegated | Estimated | ModelsHere | Profiled
_OF_TOOLS = TypeAdapter(_TOOLS).json_schema()["$defs"].keys()
"""Records of the ollama server's tools, which leave out what is empty too: models pay for every word of them."""
