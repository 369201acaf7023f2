"""What the tools return: one complete record each, every unknown a null."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal, Self, cast

from pydantic import BaseModel, PlainSerializer

from .profile import Profile

if TYPE_CHECKING:
    from mcp_types import CallToolResult


def _short(value: float | None) -> float | None:
    """Four significant digits: a reader pays for every one."""
    return None if value is None else float(f"{value:.4g}")


NOISE_S = 0.05
"""A shorter wait or load is left out of a receipt."""


Number = Annotated[float | None, PlainSerializer(_short)]

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
"""accepted: its gate passed. answered, written: nothing could check it. escalate: every rung failed. refused: never ran.
interrupted: its server ended."""


class Profiled(BaseModel):
    """The profile of a run. Null: the server did not report it, or it cannot be known."""

    model: str | None
    outcome: str
    load_s: Number
    prefill_s: Number
    decode_s: Number
    queue_s: Number
    total_s: Number
    wall_s: Number
    first_token_s: Number
    tokens_in: int | None
    tokens_cached: int | None
    tokens_out: int | None
    num_ctx: int | None
    prefill_tokens_per_s: Number
    decode_tokens_per_s: Number
    context_used: Number
    gpu_share: Number
    thinking_share: Number
    simulated: bool | None
    recorded: bool | None

    @classmethod
    def of(cls, profile: Profile) -> Self:
        return cls(**asdict(profile))

    @classmethod
    def brief(cls, profile: Profile) -> Self:
        """Where the time went, for a receipt; the whole profile is a matter of `profile`."""
        ended = profile.outcome in ("done", "length")
        whole = cls.of(profile).model_dump()
        left_out = ["first_token_s", "num_ctx", "context_used", "gpu_share"]
        left_out += [name for name in ("load_s", "queue_s") if (whole[name] or 0) < NOISE_S]
        left_out += ["wall_s"] if ended and profile.total_s is not None else []
        left_out += [name for name in ("thinking_share", "simulated", "recorded") if not whole[name]]
        return cls.model_validate({**whole, **dict.fromkeys(left_out)})


class Checked(BaseModel):
    gate: str
    passed: bool | None
    """Null: there was nothing to check."""
    note: str
    took_s: Number = None


class Gated(BaseModel):
    """The gate's verdict. Null: nothing could be checked, so nothing is claimed."""

    passed: bool | None
    checks: list[Checked] = []


class FileChanged(BaseModel):
    path: str
    added: int
    removed: int


class Forecasted(BaseModel):
    """What the speed model said before the run; `error` is (forecast - measured) / measured.

    `error_given_length`: the same for the tokens that came: the speed's part of the error.
    """

    total_s: Number
    low_s: Number
    high_s: Number
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
    why: str | None
    run: int | None
    total_s: Number


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
    profile: Profiled | None = None
    waited_s: Number = None
    forecast: Forecasted | None = None
    advice: list[Advised] = []
    tried: list[Tried] = []
    tokens_saved: int | None = None
    note: str | None = None


class Mapped(Receipt):
    """What a map returns. `done` chunks have a good answer; of those, `empty` found nothing."""

    chunks: int
    done: int
    empty: int
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


class Delegations(BaseModel):
    delegations: list[Seen]


class Rated(BaseModel):
    run: int
    verdict: str


def reply(record: BaseModel, *, error: str | None = None) -> CallToolResult:
    """A record as a tool result: as structured content, and as text without what is unknown or empty.

    Of a receipt the structured part is as short: some hosts show their model only that.
    With `error` the text is that sentence and the result a tool error. Tools declare no output schema: seven of
    them would cost every host more than all their descriptions.
    """
    from mcp_types import CallToolResult, TextContent  # the SDK: showing a receipt needs none

    whole = record.model_dump(mode="json")
    short = cast("dict[str, object]", _told(whole))
    return CallToolResult(
        content=[TextContent(type="text", text=error or json.dumps(short, ensure_ascii=False))],
        structured_content=short if isinstance(record, Receipt) else whole,
        is_error=error is not None,
    )


def told(record: BaseModel) -> str:
    """A record as its reader gets it, in JSON."""
    return json.dumps(_told(record.model_dump(mode="json")), ensure_ascii=False)


def _told(value: object) -> object:
    """`value` without the nulls and empty lists a reader would pay for."""
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return {key: _told(item) for key, item in pairs if item is not None and item not in ([], {})}
    return [_told(item) for item in cast("list[object]", value)] if isinstance(value, list) else value
