"""Vendors' words for the same things: a prompt that does not fit, a wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from orchestrator.errors import ContextTooLong, RateLimited
from orchestrator.providers.error_mapping import failure
from orchestrator.providers.waits import retry_after

TOO_LONG = {
    "OpenAI": "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
    "OpenAI Responses": "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Anthropic": "prompt is too long: 214315 tokens > 200000 maximum",
    "Anthropic with its cap": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
    "Google": "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
    "Bedrock": "Input is too long for requested model.",
    "Nova": "Input Tokens Exceeded: Number of input tokens exceeds maximum length. Please update the input to try again.",
    "Titan": "Malformed input request: expected maxLength: 50000, actual: 60000, please reformat your input and try again.",
    "xAI": "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
    "Moonshot": "Invalid request: Your request exceeded model token limit: 8192",
    "Moonshot in other words": "Input token length too long",
    "z.ai": "Prompt exceeds max length",
    "Zhipu": "Prompt 超长",
    "DashScope": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
    "Together": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens",
    "TGI": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
    "Copilot": "prompt token count of 140000 exceeds the limit of 128000",
    "GitHub Models": "Request body too large for gpt-4o model. Max size: 8000 tokens.",
    "watsonx": "the number of input tokens 9000 cannot exceed the total tokens limit 8192 for this model",
    "Cohere": "too many tokens: size limit exceeded by 1234 tokens. Try using shorter or fewer inputs.",
    "Cohere, older": "total number of tokens (prompt and prediction) cannot exceed 4081 - received 5000",
    "Mistral": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "Groq": "Please reduce the length of the messages or completion.",
    "Cerebras": "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
    "DeepSeek": "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens.",
    "MiniMax": "invalid params, context window exceeds limit",
    "Volcengine": "Total tokens of image and text exceed max message tokens.",
    "Baidu": "prompt tokens too long",
    "vLLM": "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    "SGLang": "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "llama.cpp": "the request exceeds the available context size, try increasing it",
    "LM Studio": "The number of tokens to keep from the initial prompt is greater than the context length.",
    "Ollama": "the input length exceeds the context length",
    "OpenRouter": "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens",
    "Fireworks": "The prompt is too long: 140000, model maximum context length: 131071",
}


@pytest.mark.parametrize("vendor", TOO_LONG)
def test_every_vendors_words_for_a_prompt_that_does_not_fit_are_understood(vendor: str) -> None:
    assert isinstance(failure("p", 400, TOO_LONG[vendor]), ContextTooLong)


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-haiku",
        "max_tokens is too large: 200000. This model supports at most 16384 completion tokens",
        "`max_new_tokens` must be at most 4096",
        "Invalid 'tools[0].function.description': string too long. Expected a string with maximum length 1024",
        "temperature must be less than 2",
        "Unsupported value: 'reasoning_effort' does not support 'none' with this model.",
        "messages: text content blocks must be non-empty",
    ],
)
def test_what_a_shorter_prompt_does_not_cure_is_not_taken_for_one(words: str) -> None:
    assert not isinstance(failure("p", 400, words), ContextTooLong)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 6m0s.", 360),
        ("Please try again in 1h3m2s. Visit the console", 3782),
        ("Rate limit reached. Please try again in 20s.", 20),
        ("Please try again in 1.5 seconds", 1.5),
        ("try again in 322ms", 0.322),
        ("Please retry after 2 minutes.", 120),
        ("Please retry in 34.074824224s.", 34.074824224),
        ("You may retry your request in 1 minute and 5 seconds", 65),
        ("Wait 30 seconds before the next request", 30),
        ("The limit resets in 2 hours, 3 minutes.", 7380),
        ("Quota will be available again in 1 day", 86400),
        ("Please try again after 60 seconds", 60),
        ("retry_after: 12", 12),
        ('{"retry_after": 0.5}', 0.5),
        ("Try again in about 3 min", 180),
        ("The model was busy for 20 s", None),
        ("Your limit is 6000 tokens per minute", None),
        ("", None),
    ],
)
def test_a_wait_is_read_from_words(words: str, seconds: float | None) -> None:
    assert retry_after({}, words) == (None if seconds is None else pytest.approx(seconds))
    error = failure("p", 429, f"Rate limit: {words}")
    assert isinstance(error, RateLimited) and error.retry_after_s == retry_after({}, words)


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (lambda: {"Retry-After": "7"}, 7),
        (lambda: {"retry-after": "1m30s"}, 90),
        (lambda: {"retry-after": format_datetime(later(100), usegmt=True)}, 100),
        (lambda: {"retry-after-ms": "250"}, 0.25),
        (lambda: {"x-ratelimit-reset-requests": "6m0s"}, 360),
        (lambda: {"x-ratelimit-reset-tokens": "1h3m2s", "x-ratelimit-reset-requests": "2s"}, 2),
        (
            lambda: {
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "12s",
                "x-ratelimit-remaining-requests": "99",
                "x-ratelimit-reset-requests": "1s",
            },
            12,
        ),
        (lambda: {"anthropic-ratelimit-tokens-reset": later(50).isoformat().replace("+00:00", "Z")}, 50),
        (lambda: {"x-ratelimit-reset": str(later(40).timestamp())}, 40),
        (lambda: {"X-RateLimit-Reset": str(int(later(40).timestamp() * 1000))}, 40),
        (lambda: {"ratelimit-reset": "9"}, 9),
        (lambda: {"retry-after": "soon", "x-ratelimit-reset": "-1"}, None),
        (lambda: {"retry-after": format_datetime(later(-100), usegmt=True)}, 0),
    ],
)
def test_a_wait_is_read_from_headers(headers: Callable[[], dict[str, str]], seconds: float | None) -> None:
    found = retry_after(headers())
    assert found == (None if seconds is None else pytest.approx(seconds, abs=20 if seconds >= 40 else 0.001))
