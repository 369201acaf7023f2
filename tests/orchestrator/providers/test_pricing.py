"""What models cost, and what is not known is not made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.providers.catalog import Price, context_tokens, cost_usd, is_local
from orchestrator.types import Usage

MILLION = Usage(input_tokens=1_000_000, output_tokens=1_000_000)


@pytest.mark.parametrize(
    "model",
    [
        "anthropic:claude-opus-5-5",
        "openai:gpt-5",
        "bedrock:amazon.nova-pro-v1:0",
        "groq:llama-3.3-70b-versatile",
    ],
)
def test_models_of_every_vendor_have_a_price(model: str) -> None:
    cost = cost_usd(model, MILLION)
    assert cost is not None and cost > 0


def test_what_came_from_the_cache_is_cheaper() -> None:
    cached = Usage(input_tokens=1_000_000, cached_tokens=1_000_000, output_tokens=0)
    fresh = Usage(input_tokens=1_000_000, output_tokens=0)
    cheap, full = cost_usd("openai:gpt-5", cached), cost_usd("openai:gpt-5", fresh)
    assert cheap is not None and full is not None and cheap < full / 2


@pytest.mark.parametrize("model", ["openai:no-such-model", "lab:mystery", "ollama:gpt-oss:120b-cloud"])
def test_an_unknown_price_is_none(model: str) -> None:
    assert cost_usd(model, MILLION) is None


def test_unreported_tokens_have_no_price() -> None:
    assert cost_usd("openai:gpt-5", Usage(output_tokens=5)) is None


@pytest.mark.parametrize("model", ["ollama:qwen3:8b", "llamacpp:any", "scripted:demo.jsonl"])
def test_ones_own_machine_sends_no_bill(model: str) -> None:
    assert is_local(model) and cost_usd(model, Usage()) == 0.0


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_ones_own_price_is_used_and_the_cache_never_costs_more(fresh: int, cached: int, out: int) -> None:
    own = {"lab:m": Price(input_usd=2.0, output_usd=10.0, cached_usd=0.5)}
    usage = Usage(input_tokens=fresh + cached, cached_tokens=cached, output_tokens=out)
    assert cost_usd("lab:m", usage, own) == pytest.approx((fresh * 2 + cached * 0.5 + out * 10) / 1e6)


def test_context_sizes_are_known_where_vendors_do_not_list_them() -> None:
    assert context_tokens("openai:gpt-5") == 400_000
    assert context_tokens("openai:no-such-model") is None
