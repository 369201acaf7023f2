"""One line of the ledger: a run, what it is filed under, and how it lies in a row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

from .number import Number
from .profile import Profile
from .schema import RUN_COLUMNS

Verdict = Literal["good", "revised", "rejected"]
DELIVERED = ("accepted", "answered", "written")
"""Outcomes of a delegation that brought what was asked for, checked or not."""
VERDICTS: tuple[Verdict, ...] = ("good", "revised", "rejected")

MAX_RAW_CHARS = 20_000
CALIBRATION = "calibration"
"""The kind of task that only measures: it has no odds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a speed model belongs to: runs with equal keys should be equally fast."""

    host: str
    """The machine that runs the engine."""
    processor: str = "unknown"
    """cpu, gpu, split or unknown; see `processor_of`."""
    digest: str
    """Of the model's bytes, or its name where no digest is known."""
    settings: str = "{}"
    """Runner options that reload the model, as canonical JSON; see `settings_of`."""
    server: str = "unknown"
    """Engine name and version, to the minor number."""

    def __str__(self) -> str:
        return f"{self.host}|{self.processor}|{self.digest}|{self.settings}|{self.server}"


def processor_of(gpu_share: float | None) -> str:
    """The processor class of a share of the model in GPU memory."""
    if gpu_share is None:
        return "unknown"
    return "cpu" if gpu_share == 0 else "gpu" if gpu_share >= 1 else "split"


Provenance = Literal["measured", "simulated", "recorded"]
"""Where durations come from. Runs of one say nothing about models of the same name in another."""


def provenance_of(*, simulated: bool, recorded: bool) -> Provenance:
    return "simulated" if simulated else "recorded" if recorded else "measured"


def filed(model: str, provenance: Provenance) -> str:
    """The name under which a model's runs lie in the ledger."""
    return model if provenance == "measured" else f"{model} ({provenance})"


def plain(model: str) -> str:
    """The model's own name again: no engine takes one with a parenthesis."""
    return model.partition(" (")[0]


def settings_of(options: Mapping[str, object]) -> str:
    """Canonical JSON of the options that make a different engine; per-request options are left out."""
    kept = {name: options[name] for name in sorted(RUNNER_OPTIONS & options.keys())}
    return json.dumps(kept, separators=(",", ":"))


RUNNER_OPTIONS = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict", "shift"}
)
"""A change of any of these reloads the model in Ollama."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One line of the ledger. None is "not known" throughout."""

    key: Key
    profile: Profile
    kind: str = "other"
    """Task kind: summary, edit, extract, ..."""
    think: bool = False
    format: str | None = None
    """None, "json" or "schema"."""
    cap: int | None = None
    """num_predict as sent."""
    chars_in: int | None = None
    """Characters of the prompt as sent: the ledger learns tokens per character from them."""
    expected_cached: int | None = None
    """Prompt tokens expected from the cache; believed where the server does not report them."""
    overlapped: bool = False
    """Another run shared the engine: not fit to learn a speed from."""
    busy_cores: float | None = None
    """CPU cores everything else on the machine used meanwhile."""
    asked_by: str | None = None
    gate: str | None = None
    gate_passed: bool | None = None
    """None when no gate looked at the result."""
    forecast_s: float | None = None
    forecast_low_s: float | None = None
    forecast_high_s: float | None = None
    """The 90 % interval of forecast_s."""
    forecast_given_s: float | None = None
    """The same forecast with the tokens in and out as they came: what is off in it is the speed, not the length."""
    advice: Sequence[Mapping[str, object]] = ()
    """Given to the caller after this run, for the next like it: {action, saves_s, then_s, change}."""
    tokens_without: int | None = None
    """Tokens the caller would have spent doing the work itself."""
    tokens_spent: int | None = None
    """Tokens the caller did spend on this delegation."""
    raw: Mapping[str, object] | None = None
    """The server's last object; text and token arrays are left out when it is stored."""
    at: float = 0.0
    """Seconds since 1970; 0 means now."""
    id: int = 0
    """0 until recorded."""
    verdict: Verdict | None = None
    """The caller's latest rating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What one earlier run wrote."""

    tokens: int
    cut: bool
    """The cap ended it: it would have been longer."""
    tokens_in: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Everything recorded about one model and task kind. Sums cover the runs that reported the value."""

    model: str
    kind: str
    runs: int = 0
    done: int = 0
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    gate_passed: int = 0
    gate_failed: int = 0
    unchecked: int = 0
    """Delivered, and no gate saw whether rightly; counted for one form alone, 0 in what a ledger adds up."""
    good: int = 0
    revised: int = 0
    rejected: int = 0
    tokens_counted: int = 0
    """Runs where both token figures are known; the saving is theirs alone."""
    tokens_saved: int = 0
    """Without less spent: negative when delegating cost more than it saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How forecasts did: the median of |forecast - actual| / actual, and the share inside the interval."""

    runs: int
    median_error: Number
    median_error_given_length: Number
    """Of the seconds forecast for the tokens that came: the speed's part of the error."""
    coverage: Number


_PROFILE_COLUMNS = tuple(f.name for f in fields(Profile))


def row_of(run: Run) -> dict[str, object]:
    row: dict[str, object] = {**asdict(run.profile), **asdict(run.key), "key": str(run.key)}
    row |= {c: getattr(run, c) for c in RUN_COLUMNS if c not in row and c not in ("advice", "raw")}
    provenance = provenance_of(simulated=run.profile.simulated, recorded=run.profile.recorded)
    row["model"] = filed(run.profile.model, provenance)
    row["advice"] = json.dumps(list(run.advice)) if run.advice else None
    row["raw"] = _slim(run.raw)
    return {name: int(value) if isinstance(value, bool) else value for name, value in row.items()}


def _slim(raw: Mapping[str, object] | None) -> str | None:
    """The numbers and short words of a final object; no answer and no token ids belong in a ledger."""
    if raw is None:
        return None
    kept = {
        key: value
        for key, value in raw.items()
        if key != "response" and (value is None or isinstance(value, bool | int | float | str))
    }
    return json.dumps(kept)[:MAX_RAW_CHARS]


def run_of(row: Sequence[object]) -> Run:
    cell = dict(zip(("id", *RUN_COLUMNS, "verdict"), row, strict=True))
    for name in ("simulated", "recorded", "think", "overlapped"):
        cell[name] = bool(cell[name])
    cell["model"] = plain(str(cell["model"]))
    profile = Profile(**{name: cell.pop(name) for name in _PROFILE_COLUMNS})  # type: ignore[arg-type]
    key = Key(**{f.name: cell.pop(f.name) for f in fields(Key)})  # type: ignore[arg-type]
    passed, advice, raw = cell.pop("gate_passed"), cell.pop("advice"), cell.pop("raw")
    cell.pop("key")
    return Run(
        key=key,
        profile=profile,
        gate_passed=None if passed is None else bool(passed),
        advice=json.loads(advice) if isinstance(advice, str) else (),
        raw=_parsed(raw),
        **cell,  # type: ignore[arg-type]
    )


def _parsed(raw: object) -> Mapping[str, object] | None:
    if not isinstance(raw, str):
        return None
    try:
        return json.loads(raw)
    except ValueError:  # longer than MAX_RAW_CHARS when it was stored
        return None
