"""Profiles of a real server's recorded answers, and of anything a server might send."""

from __future__ import annotations

import math
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.ollama.ledger.profile import Profile, from_llamacpp, from_ollama, overflow_numbers
from tests.recorded import exchange


def profile_of(name: str, **known: object) -> Profile:
    seen = exchange(name)
    num_ctx = seen.request["body"].get("options", {}).get("num_ctx")
    return from_ollama(seen.final, wall_s=seen.wall_s, num_ctx=num_ctx, **known)  # type: ignore[arg-type]


def test_a_warm_run_reads_as_the_server_measured_it() -> None:
    got = profile_of("chat_long_prompt")
    assert (got.model, got.outcome, got.tokens_in, got.tokens_out) == ("small", "length", 3164, 24)
    assert got.load_s == pytest.approx(0.002816357) and got.total_s == pytest.approx(12.620158023)
    assert got.prefill_tokens_per_s == pytest.approx(3164 / 11.5514)
    assert got.decode_tokens_per_s == pytest.approx(23 / 1.056021999)
    assert got.context_used == pytest.approx(3188 / 4096)
    assert got.queue_s == pytest.approx(0.00992, abs=1e-4)


def test_a_repeated_long_prompt_never_reads_as_58000_tokens_a_second() -> None:
    again = profile_of("chat_long_prompt_again")
    assert again.tokens_in == 3164 and again.tokens_cached is None and again.prefill_tokens_per_s is None
    assert profile_of("chat_long_prompt_again", expected_prefill_s=11.5).prefill_tokens_per_s is None
    assert profile_of("chat_long_prompt_again", expected_cached=3000).prefill_tokens_per_s is None
    assert profile_of("chat_stream_repeat").prefill_tokens_per_s is None


def test_a_law_vouches_for_a_rate_the_server_does_not_explain() -> None:
    assert profile_of("chat_one_token").prefill_tokens_per_s is None
    told = profile_of("chat_one_token", expected_prefill_s=0.012)
    assert told.prefill_tokens_per_s == pytest.approx(15 / 0.012644)
    assert profile_of("chat_one_token", expected_cached=0).prefill_tokens_per_s == pytest.approx(
        15 / 0.012644
    )


def test_a_reported_cache_hit_is_taken_out_of_the_rate() -> None:
    final = {**exchange("chat_long_prompt_again").final, "prompt_eval_cached_count": 3100}
    got = from_ollama(final)
    assert got.tokens_cached == 3100 and got.tokens_new == 64
    assert got.prefill_tokens_per_s == pytest.approx(64 / 0.054826)
    assert from_ollama(final | {"prompt_eval_cached_count": 0}).tokens_cached == 0
    assert from_ollama(final | {"prompt_eval_cached_count": 9999}).tokens_cached is None


def test_one_token_has_no_decode_rate() -> None:
    one = profile_of("chat_one_token")
    assert one.tokens_out == 1 and one.decode_tokens_per_s is None
    assert one.queue_s == pytest.approx(0.0037, abs=2e-4)
    absent = {k: v for k, v in exchange("chat_one_token").final.items() if k != "eval_duration"}
    assert from_ollama(absent).queue_s == pytest.approx(0.0037, abs=2e-4)


@pytest.mark.parametrize(("name", "wait_s"), [("1", 0.0114), ("2", 27.634), ("3", 53.127)])
def test_the_wait_for_the_slot_is_what_the_phases_leave(name: str, wait_s: float) -> None:
    assert profile_of(f"chat_queued_{name}").queue_s == pytest.approx(wait_s, abs=1e-3)


def test_two_hidden_passes_do_not_pass_for_a_wait() -> None:
    assert profile_of("chat_queued_2", two_passes=True).queue_s is None


def test_a_cold_run_shows_its_load_and_a_load_alone_is_timed_by_our_clock() -> None:
    cold = profile_of("chat_stream_warm")
    assert cold.load_s == pytest.approx(0.515843749)
    assert cold.prefill_tokens_per_s == pytest.approx(25 / 0.044726)
    alone = profile_of("chat_load_only")
    assert alone.load_s == alone.wall_s == 1.2865
    assert (alone.total_s, alone.queue_s, alone.tokens_in, alone.context_used) == (None, None, None, None)


def test_a_refused_prompt_tells_its_exact_size() -> None:
    got = profile_of("chat_overflow_single")
    assert (got.outcome, got.tokens_in, got.num_ctx) == ("overflow", 25214, 4096)
    assert got.total_s is None and got.context_used is None
    assert overflow_numbers("request (25214 tokens) exceeds the available context size (4096 tokens)") == (
        25214,
        4096,
    )
    assert overflow_numbers("no luck") is None and overflow_numbers("[" * 100_000) is None


@pytest.mark.parametrize(
    "name", ["chat_bad_format", "chat_missing_model", "chat_tools_unsupported", "chat_no_model"]
)
def test_a_failing_run_knows_nothing_but_that(name: str) -> None:
    got = profile_of(name)
    assert got.outcome == "error"
    assert {v for k, v in asdict(got).items() if k.endswith("_s") and k != "wall_s"} == {None}


def test_a_stream_that_ends_without_done_is_aborted() -> None:
    partial = exchange("chat_stream_warm").objects[3]
    assert from_ollama(partial).outcome == "aborted"
    assert from_ollama({}).outcome == "aborted" and from_ollama({}).model == "unknown"
    assert from_ollama(partial, outcome="cancelled").outcome == "cancelled"


def test_thinking_and_processor_shares_come_from_what_the_caller_counted() -> None:
    entry = exchange("ps_one").final["models"][0]
    got = profile_of("chat_thinking", ps=entry, thinking_chars=30, answer_chars=10)
    assert got.thinking_share == 0.75 and got.gpu_share == 0.0
    assert profile_of("chat_thinking").thinking_share is None
    assert profile_of(
        "chat_thinking", ps={**entry, "size_vram": entry["size"] // 2}
    ).gpu_share == pytest.approx(0.5)
    assert profile_of("chat_thinking", ps={"size": 0, "size_vram": 0}).gpu_share is None
    assert from_ollama(exchange("chat_thinking").final, ps=entry).num_ctx == 4096


def test_llamacpp_timings_make_the_same_profile() -> None:
    timings = {"cache_n": 1000, "prompt_n": 24, "prompt_ms": 120.0, "predicted_n": 11, "predicted_ms": 500.0}
    got = from_llamacpp(timings, model="m", wall_s=0.7, num_ctx=2048)
    assert (got.tokens_in, got.tokens_cached, got.tokens_new, got.tokens_out) == (1024, 1000, 24, 11)
    assert got.prefill_tokens_per_s == pytest.approx(200) and got.decode_tokens_per_s == pytest.approx(20)
    assert got.queue_s == pytest.approx(0.08) and got.total_s == 0.7
    assert from_llamacpp({}, model="m").tokens_in is None


METRICS = [
    "total_duration",
    "load_duration",
    "prompt_eval_duration",
    "eval_duration",
    "prompt_eval_count",
    "eval_count",
    "prompt_eval_cached_count",
]
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "12", "x"]),
    st.lists(st.integers(), max_size=2),
)


@settings(deadline=None)
@given(
    final=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(METRICS, anything) | {"done": anything, "error": anything}
    ),
    ps=st.fixed_dictionaries({}, optional=dict.fromkeys(("size", "size_vram", "context_length"), anything)),
)
def test_whatever_a_server_sends_gives_sane_numbers_or_none(
    final: dict[str, object], ps: dict[str, object]
) -> None:
    got = from_ollama(final, ps=ps, wall_s=1.0)
    for name, value in asdict(got).items():
        if isinstance(value, float):
            assert math.isfinite(value) and value >= 0, name
    for share in (got.context_used, got.gpu_share):
        assert share is None or 0 <= share <= 1
    if got.tokens_cached is not None and got.tokens_in is not None:
        assert got.tokens_cached <= got.tokens_in


@settings(deadline=None)
@given(count=st.integers(1, 100_000), new=st.integers(1, 64), step_us=st.integers(100, 500_000))
def test_a_full_cache_hit_is_never_a_rate(count: int, new: int, step_us: int) -> None:
    """A hit reads a token or a few in about one decode step, whatever the prompt's length."""
    final = {
        "done": True,
        "load_duration": 10**6,
        "prompt_eval_count": count + new,
        "prompt_eval_duration": int(step_us * 1.2e3),
        "eval_count": 11,
        "eval_duration": step_us * 10_000,
    }
    assert from_ollama(final).prefill_tokens_per_s is None
