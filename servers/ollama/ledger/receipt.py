"""What the tools return, and what their readers get: one record each, every unknown a null."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, field_serializer
from pydantic.json_schema import SkipJsonSchema

from .number import Number
from .profile import Profile

NOISE_S = 0.05
"""A shorter wait or load is left out of a receipt."""


Ended = Literal[
    "accepted",
    "answered",
    "written",
    "partial",
    "escalate",
    "refused",
    "running",
    "cancelled",
    "failed",
    "interrupted",
]
"""accepted: a gate has seen that it is right. answered, written: none could tell. escalate: every rung failed. refused: never ran.
interrupted: its server ended."""


class Checked(BaseModel):
    gate: str
    passed: bool | None = None
    """Null: there was nothing to check."""
    note: str
    took_s: Number = None


class Gated(BaseModel):
    """The gate's verdict. Null: nothing could be checked, so nothing is claimed."""

    passed: bool | None = None
    checks: list[Checked] = []
    unchecked: Annotated[SkipJsonSchema[str | None], Field(exclude=True)] = "no gate could judge it"
    """What the gates could not tell, for the receipt's reason; None where they have seen that the task is done."""


class FileChanged(BaseModel):
    path: str
    added: int | None = None
    removed: int | None = None


class Forecasted(BaseModel):
    """What the speed model said before the run; `error` is (forecast - measured) / measured.

    `error_given_length`: the same for the tokens that came: the speed's part of the error.
    """

    total_s: Number = None
    low_s: Number = None
    high_s: Number = None
    runs: int
    cold: bool | None = None
    cap_s: Number = None
    error: Number = None
    error_given_length: Number = None


class Advised(BaseModel):
    """One way to a better result. `call`: the arguments to send then; `then_s` and `odds`: what is expected of it."""

    action: str
    say: str
    call: dict[str, object] = {}
    then_s: Number = None
    odds: Number = None


class Tried(BaseModel):
    """One rung of the ladder."""

    model: str
    source: str | None = None
    """Of a map: the chunk."""
    outcome: str
    why: str | None = None
    run: int | None = None
    total_s: Number = None
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    """For programs that sum up."""


class Receipt(BaseModel):
    """What a delegation returns."""

    outcome: Ended
    reason: str | None = None
    delegation: str | None = None
    run: int | None = None
    model: str | None = None
    host: str | None = None
    """Of several, the one it ran on."""
    chosen: str | None = None
    answer: str | None = None
    data: object = None
    rejected: str | None = None
    """How a rejected answer begins, or the change it would have made."""
    files: list[FileChanged] = []
    op: str | None = None
    diff: str | None = None
    gate: Gated | None = None
    profile: Profile | None = None
    """Told briefly, see `_where_time_went`."""
    waited_s: Number = None
    busy_cores: Number = None
    """Used by other programs meanwhile, where they are enough to slow a model down."""
    forecast: Forecasted | None = None
    advice: list[Advised] = []
    tried: list[Tried] = []
    tokens_saved: int | None = None
    cost_usd: float | None = None
    """What vendors took, where the lead's ladder ends with one of their models; None: nobody knows, or none was asked."""
    note: str | None = None

    @field_serializer("profile", mode="wrap")
    def _where_time_went(self, profile: Profile | None, whole: SerializerFunctionWrapHandler) -> object:
        """The rest of a profile is a matter of the tool `profile`."""
        if profile is None:
            return None
        left_out = {"first_token_s", "num_ctx", "context_used", "gpu_share"}
        if profile.outcome in ("done", "length") and profile.total_s is not None:
            left_out.add("wall_s")
        left_out |= {name for name in ("load_s", "queue_s") if (getattr(profile, name) or 0) < NOISE_S}
        left_out |= {n for n in ("thinking_share", "simulated", "recorded") if not getattr(profile, n)}
        told = cast("dict[str, object]", whole(profile))
        return {name: value for name, value in told.items() if name not in left_out}


class Mapped(Receipt):
    """What a map returns. `done` chunks have a good answer; of those, `empty` found nothing, in `empty_files` all over."""

    chunks: int
    done: int
    empty: int
    empty_files: list[str] = []
    reused: int
    """Chunks whose answer was kept from an earlier call."""
    left_out: list[str]
    tokens_in: int
    tokens_out: int
    total_s: Number


class Seen(BaseModel):
    """A delegation as its status shows it."""

    delegation: str
    state: str
    task: str
    took_s: Number
    doing: str | None = None
    tokens: int | None = None
    tokens_per_s: Number = None
    remaining_s: Number = None
    receipt: dict[str, Any] | None = None
    """What it came to, once it has ended and is asked after by its id."""
    reason: str | None = None
    """Why there is none."""


class Delegations(BaseModel):
    delegations: list[Seen]


class Rated(BaseModel):
    run: int
    verdict: str


def told(record: BaseModel) -> str:
    """A record as its reader gets it, in JSON."""
    return json.dumps(known(record.model_dump(mode="json")), ensure_ascii=False)


_VERBATIM = ("data", "call")
"""What a schema asked for, and arguments to send: there a null or an empty list means something."""


def known(value: object) -> object:
    """`value` without the nulls and empty lists a reader would pay for."""
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return {
            key: item if key in _VERBATIM else known(item)
            for key, item in pairs
            if item is not None and (key == "data" or item not in ([], {}))
        }
    return [known(item) for item in cast("list[object]", value)] if isinstance(value, list) else value
