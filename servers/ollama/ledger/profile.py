"""What one local run measured: pure arithmetic on the durations and counts a server reported.

Sources: Ollama's `api.Metrics` (nanoseconds, `omitempty`: an absent field was 0 or never known) and the
`timings` object of llama.cpp's server (milliseconds). None always means "not reported or not knowable".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from .number import Number

Outcome = Literal["done", "length", "aborted", "error", "cancelled", "overflow"]
"""How a run ended: answered, cut by its cap, stream broken off, failed, stopped by us, did not fit."""

FRESH_LOAD_S = 0.2
"""A load this long started a new engine, with an empty cache: Ollama polls a starting one every 250 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The measured facts of one run. Seconds, tokens, shares from 0 to 1."""

    model: str
    outcome: Outcome
    load_s: Number = None
    """Until the engine was ready: milliseconds when the model was in memory."""
    prefill_s: Number = None
    """Reading the uncached part of the prompt, up to the first token."""
    decode_s: Number = None
    """First token to last token: tokens_out - 1 steps."""
    queue_s: Number = None
    """Total less load, prefill and decode: waiting for the slot, plus a few idle milliseconds."""
    total_s: Number = None
    """By the server's clock; for a server without a total, ours."""
    wall_s: Number = None
    first_token_s: Number = None
    tokens_in: int | None = None
    """Whole prompt, cached tokens included."""
    tokens_cached: int | None = None
    tokens_out: int | None = None
    """Every sampled token: thinking, tool calls and the end token included."""
    chars_out: Annotated[SkipJsonSchema[int | None], Field(exclude=True)] = None
    """Characters that arrived, thinking included: all an unfinished run tells of its output."""
    num_ctx: int | None = None
    prefill_tokens_per_s: Number = None
    """Over uncached tokens only."""
    decode_tokens_per_s: Number = None
    context_used: Number = None
    gpu_share: Number = None
    """Share of the model in GPU memory; 0 is CPU alone."""
    thinking_share: Number = None
    """Share of the written characters that were thinking."""
    simulated: bool = False
    """A simulated server made these numbers up."""
    recorded: bool = False
    """Replayed from a recording: measured once, not now."""

    @property
    def tokens_new(self) -> int | None:
        """Prompt tokens that had to be read; None when the cached count is unknown."""
        if self.tokens_in is None or self.tokens_cached is None:
            return None
        return max(self.tokens_in - self.tokens_cached, 0)


def from_ollama(
    final: Mapping[str, object],
    *,
    model: str | None = None,
    outcome: Outcome | None = None,
    wall_s: float | None = None,
    first_token_s: float | None = None,
    num_ctx: int | None = None,
    ps: Mapping[str, object] | None = None,
    expected_cached: int | None = None,
    expected_prefill_s: float | None = None,
    thinking_chars: int | None = None,
    answer_chars: int | None = None,
    two_passes: bool = False,
    simulated: bool = False,
    recorded: bool = False,
) -> Profile:
    """The profile of one `/api/chat` or `/api/generate` run, from the last object of its answer.

    `final` may also be an `{"error": ...}` object, or empty when the stream broke off. `ps` is the model's
    entry of `/api/ps`. `expected_cached`: prompt tokens we know may come from the prompt cache, 0 when we
    know it is empty. `expected_prefill_s`: what the speed model says for this prompt without a cache. Both matter
    only for servers before 0.33.3, which do not report cached tokens. `two_passes`: the request had both
    think and format, which servers before 0.34.4 answer in two runs while timing only the second.
    """
    asked = outcome or outcome_of(final)
    load_s, total_s = _scaled(final, "load_duration", 1e-9), _scaled(final, "total_duration", 1e-9)
    prefill_s, decode_s = _scaled(final, "prompt_eval_duration", 1e-9), _scaled(final, "eval_duration", 1e-9)
    tokens_in, tokens_out = _count(final, "prompt_eval_count"), _count(final, "eval_count")
    cached = _count(final, "prompt_eval_cached_count")
    if tokens_in is not None and cached is not None and cached > tokens_in:
        cached = None
    if final.get("done_reason") == "load" and load_s is None:
        load_s = wall_s  # a load alone reports no durations, however long it took
    entry = ps or {}
    num_ctx = num_ctx or _count(entry, "context_length")
    if refused := overflow_numbers(final.get("error")):
        tokens_in, num_ctx = refused
    if cached is None and expected_cached is None and load_s is not None and load_s >= FRESH_LOAD_S:
        expected_cached = 0
    chars_out, thinking_share = _written(thinking_chars, answer_chars)
    return Profile(
        model=model or _text(final, "model") or "unknown",
        outcome=asked,
        load_s=load_s,
        prefill_s=prefill_s,
        decode_s=decode_s,
        queue_s=None if two_passes else _rest(total_s, load_s, prefill_s, decode_s, tokens_out),
        total_s=total_s,
        wall_s=wall_s,
        first_token_s=first_token_s,
        tokens_in=tokens_in,
        tokens_cached=cached,
        tokens_out=tokens_out,
        chars_out=chars_out,
        num_ctx=num_ctx,
        prefill_tokens_per_s=_prefill_rate(
            tokens_in,
            cached,
            prefill_s,
            step_s=_step_s(decode_s, tokens_out),
            expected_cached=expected_cached,
            expected_prefill_s=expected_prefill_s,
        ),
        decode_tokens_per_s=_decode_rate(decode_s, tokens_out),
        context_used=None if refused else _used(tokens_in, tokens_out, num_ctx),
        gpu_share=_share(_number(entry, "size_vram"), _number(entry, "size")),
        thinking_share=thinking_share,
        simulated=simulated,
        recorded=recorded,
    )


def from_llamacpp(
    timings: Mapping[str, object],
    *,
    model: str,
    outcome: Outcome = "done",
    wall_s: float | None = None,
    first_token_s: float | None = None,
    load_s: float | None = None,
    num_ctx: int | None = None,
    thinking_chars: int | None = None,
    answer_chars: int | None = None,
) -> Profile:
    """The profile of one run of llama.cpp's server, from the `timings` object of its last chunk.

    That server times only its two phases: the total is our clock's, the queue what the phases leave of it.
    """
    new, cached, tokens_out = (
        _count(timings, "prompt_n"),
        _count(timings, "cache_n"),
        _count(timings, "predicted_n"),
    )
    prefill_s = _scaled(timings, "prompt_ms", 1e-3)
    decode_s = _scaled(timings, "predicted_ms", 1e-3)
    tokens_in = None if new is None or cached is None else new + cached
    chars_out, thinking_share = _written(thinking_chars, answer_chars)
    return Profile(
        model=model,
        outcome=outcome,
        load_s=load_s,
        prefill_s=prefill_s,
        decode_s=decode_s,
        queue_s=_rest(wall_s, load_s or 0.0, prefill_s, decode_s, tokens_out),
        total_s=wall_s,
        wall_s=wall_s,
        first_token_s=first_token_s,
        tokens_in=tokens_in,
        tokens_cached=cached,
        tokens_out=tokens_out,
        chars_out=chars_out,
        num_ctx=num_ctx,
        prefill_tokens_per_s=new / prefill_s if new and prefill_s else None,
        decode_tokens_per_s=_decode_rate(decode_s, tokens_out),
        context_used=_used(tokens_in, tokens_out, num_ctx),
        thinking_share=thinking_share,
    )


def outcome_of(final: Mapping[str, object]) -> Outcome:
    """How the run ended, from the last object of the answer alone."""
    if "error" in final:
        return "overflow" if overflow_numbers(final["error"]) else "error"
    if final.get("done") is not True:
        return "aborted"
    return "length" if final.get("done_reason") == "length" else "done"


def overflow_numbers(error: object) -> tuple[int, int] | None:
    """(prompt tokens, context size) of an "exceeds the available context" error; None for any other.

    Ollama passes the engine's own JSON on inside its error text, so it is looked for at both depths.
    """
    found = error
    for _ in range(3):
        if isinstance(found, str):
            if plain := _EXCEEDS.search(found):
                return int(plain[1]), int(plain[2])
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                return None
        if not isinstance(found, Mapping):
            return None
        asked, room = _count(found, "n_prompt_tokens"), _count(found, "n_ctx")
        if asked is not None and room is not None:
            return asked, room
        found = found.get("error")
    return None


def overflow_text(numbers: tuple[int, int]) -> str:
    return f"the prompt has {numbers[0]:,} tokens, the context {numbers[1]:,}"


_EXCEEDS = re.compile(
    r"request \((\d{1,12}) tokens\) exceeds the available context size \((\d{1,12}) tokens\)"
)

_FASTEST = 100.0
"""Hardly any machine reads tokens this many times faster than it writes; a few GPUs with f16 weights do."""


def _prefill_rate(
    tokens_in: int | None,
    cached: int | None,
    prefill_s: float | None,
    *,
    step_s: float | None,
    expected_cached: int | None,
    expected_prefill_s: float | None,
) -> float | None:
    """Uncached prompt tokens per second, or None when a cache hit of unknown size may stand behind the count.

    A hit takes about one decode step whatever the count says: 3,164 tokens "in" 55 ms. Without a reported
    count the rate stands only if the time is within two of the speed model's, or, without a speed model, if a prompt without
    hits could not have been read much faster.
    """
    if tokens_in is None or not prefill_s:
        return None
    if cached is not None:
        return (tokens_in - cached) / prefill_s if tokens_in > cached else None
    if expected_prefill_s is not None:
        return tokens_in / prefill_s if prefill_s > expected_prefill_s / 2 else None
    if expected_cached:
        return None
    if step_s is None:
        return tokens_in / prefill_s if expected_cached == 0 else None
    return tokens_in / prefill_s if could_be_whole(tokens_in, prefill_s, step_s) else None


def could_be_whole(tokens_in: int, prefill_s: float, step_s: float) -> bool:
    """Whether so long a prompt can have been read whole in this time, `step_s` being one written token's."""
    return prefill_s > step_s * (1.5 + tokens_in / _FASTEST)


def _rest(
    total_s: float | None,
    load_s: float | None,
    prefill_s: float | None,
    decode_s: float | None,
    tokens_out: int | None,
) -> float | None:
    """What the phases leave of the total: the only trace a wait for the slot leaves."""
    if decode_s is None and tokens_out is not None and tokens_out <= 1:
        decode_s = 0.0
    if total_s is None or load_s is None or prefill_s is None or decode_s is None:
        return None
    rest = total_s - load_s - prefill_s - decode_s
    if rest < -0.05 * total_s:  # the parts do not belong to this total
        return None
    return max(rest, 0.0)


def _step_s(decode_s: float | None, tokens_out: int | None) -> float | None:
    return decode_s / (tokens_out - 1) if decode_s and tokens_out is not None and tokens_out > 1 else None


def _decode_rate(decode_s: float | None, tokens_out: int | None) -> float | None:
    step_s = _step_s(decode_s, tokens_out)
    return 1 / step_s if step_s else None


def _used(tokens_in: int | None, tokens_out: int | None, num_ctx: int | None) -> float | None:
    if tokens_in is None or not num_ctx:
        return None
    return min((tokens_in + (tokens_out or 0)) / num_ctx, 1.0)


def _share(part: float | None, whole: float | None) -> float | None:
    return min(part / whole, 1.0) if part is not None and whole else None


def _written(thinking_chars: int | None, answer_chars: int | None) -> tuple[int | None, float | None]:
    """All characters, and the share of them that was thinking."""
    if thinking_chars is None or answer_chars is None:
        return None, None
    chars = thinking_chars + answer_chars
    return chars, thinking_chars / chars if chars else None


def _scaled(source: Mapping[str, object], key: str, unit: float) -> float | None:
    value = _number(source, key)
    return None if value is None else value * unit


def _number(source: Mapping[str, object], key: str) -> float | None:
    """A finite number of at least 0; anything else a server sends is as good as nothing."""
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) and value >= 0 else None
    except OverflowError:
        return None


def _count(source: Mapping[str, object], key: str) -> int | None:
    value = _number(source, key)
    return int(value) if value is not None and value < 2**53 else None


def _text(source: Mapping[str, object], key: str) -> str | None:
    value = source.get(key)
    return value if isinstance(value, str) and value else None
