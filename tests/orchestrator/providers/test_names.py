"""Which model a name means, and which provider opens for it."""

from __future__ import annotations

import pytest

from orchestrator.errors import ConfigError
from orchestrator.providers import Closes, Lists, open_provider, resolve, split

TABLE = {
    "anthropic:claude-3-5-sonnet": "anthropic:claude-3-5-sonnet",
    "ollama:qwen3:8b": "ollama:qwen3:8b",
    "gpt-5": "openai:gpt-5",
    "o4-mini": "openai:o4-mini",
    "claude-opus-5-5": "anthropic:claude-opus-5-5",
    "gemini-3-pro": "google:gemini-3-pro",
    "amazon.nova-pro-v1:0": "bedrock:amazon.nova-pro-v1:0",
    "us.anthropic.claude-opus-5-5-v1:0": "bedrock:us.anthropic.claude-opus-5-5-v1:0",
    "llama3.2": "ollama:llama3.2",
    "qwen3:8b": "ollama:qwen3:8b",
    "gpt-oss:20b": "ollama:gpt-oss:20b",
    "groq/llama-3.3-70b-versatile": "groq:llama-3.3-70b-versatile",
    "mistral/mistral-large-latest": "mistral:mistral-large-latest",
    "mistral:7b": "ollama:mistral:7b",
    "mistral:mistral-large-latest": "mistral:mistral-large-latest",
    "openrouter:openai/gpt-5": "openrouter:openai/gpt-5",
    "scripted:C:/demo.jsonl": "scripted:C:/demo.jsonl",
    " grok-4 ": "xai:grok-4",
    "gemini:gemini-3-pro": "google:gemini-3-pro",
    "gemini/gemini-3-pro": "google:gemini-3-pro",
    "models/gemini-3-pro": "google:gemini-3-pro",
    "google-gla:models/gemini-3-pro": "google:gemini-3-pro",
    "OpenAI:GPT-5": "openai:gpt-5",
    "Claude-Opus-5-5": "anthropic:claude-opus-5-5",
    "ANTHROPIC/claude-opus-5-5": "anthropic:claude-opus-5-5",
    "ollama_chat/qwen3:8b": "ollama:qwen3:8b",
    "Ollama:Qwen3:8b": "ollama:Qwen3:8b",
    "qwen:7b": "ollama:qwen:7b",
    "azure:my-Deployment": "azure:my-Deployment",
    "azure/my-Deployment": "azure:my-Deployment",
    "bedrock/converse/us.amazon.nova-pro-v1:0": "bedrock:us.amazon.nova-pro-v1:0",
    "aws:amazon.nova-pro-v1:0": "bedrock:amazon.nova-pro-v1:0",
    "openai/responses/gpt-5": "openai:gpt-5",
    "openai/ft:gpt-4o-mini:My-Org": "openai:ft:gpt-4o-mini:My-Org",
    "together_ai/meta-llama/Llama-3.3-70B": "together:meta-llama/Llama-3.3-70B",
    "fireworks_ai/accounts/fireworks/models/x": "fireworks:accounts/fireworks/models/x",
    "hosted_vllm/Qwen/Qwen3-8B": "vllm:Qwen/Qwen3-8B",
    "lm-studio:qwen": "lmstudio:qwen",
    "llama.cpp:any": "llamacpp:any",
    "x-ai/grok-4": "xai:grok-4",
    "grok:grok-4": "xai:grok-4",
    "mistralai:mistral-large-latest": "mistral:mistral-large-latest",
    "moonshot/kimi-k2": "moonshot:kimi-k2",
    "z.ai:glm-4.6": "zai:glm-4.6",
    "dashscope/qwen-max": "dashscope:qwen-max",
    "groq : llama-3.3-70b": "groq:llama-3.3-70b",
}


@pytest.mark.parametrize(("written", "meant"), TABLE.items())
def test_a_name_finds_its_provider(written: str, meant: str) -> None:
    assert resolve(written) == meant
    assert resolve(meant) == meant


def test_aliases_come_first_and_may_point_at_one_another() -> None:
    aliases = {"fast": "small", "small": "qwen3:8b", "gpt-4": "gpt-5"}
    assert resolve("fast", aliases=aliases) == "ollama:qwen3:8b"
    assert resolve("gpt-4", aliases=aliases) == "openai:gpt-5"


def test_providers_of_ones_own_are_known_by_name() -> None:
    assert resolve("lab:m:1", providers=["lab"]) == "lab:m:1"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("opanai:gpt-5", "no provider 'opanai'; did you mean 'openai'"),
        ("ollama", "say which of its models, as ollama:MODEL"),
        ("openai:", "say which of its models"),
        ("", "the model name is empty"),
        (
            "vertex_ai/gemini-3-pro",
            "vertex_ai is not spoken here; write google:gemini-3-pro with GEMINI_API_KEY",
        ),
        ("vertex-ai:gemini-3-pro", "write google:gemini-3-pro"),
        (
            "bedrock/eu-west-1/amazon.nova-pro-v1:0",
            "write bedrock:amazon.nova-pro-v1:0 and set AWS_REGION=eu-west-1",
        ),
        ("Gemini", "'google' is a provider; say which of its models, as google:MODEL"),
        ("my-model", "no provider is known for the model 'my-model'; write provider:model"),
    ],
)
def test_a_bad_name_says_what_would_work(written: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        resolve(written)


def test_an_alias_that_leads_back_to_itself_is_an_error() -> None:
    with pytest.raises(ConfigError, match="a -> b -> a"):
        resolve("a", aliases={"a": "b", "b": "a"})


def test_a_provider_of_ones_own_keeps_its_name_whatever_it_means_elsewhere() -> None:
    assert resolve("gemini:x", providers=["gemini"]) == "gemini:x"
    assert resolve("Lab:x", providers=["lab"]) == "lab:x"


def test_the_first_colon_splits() -> None:
    assert split("ollama:qwen3:8b") == ("ollama", "qwen3:8b")


def test_an_unknown_provider_or_setting_is_named() -> None:
    with pytest.raises(ConfigError, match="no provider 'lamma'"):
        open_provider("lamma")
    with pytest.raises(ConfigError, match="'scripted' has no setting 'speed'; it takes folder, pace"):
        open_provider("scripted", speed=2)


def test_a_missing_key_names_its_variable() -> None:
    with pytest.raises(ConfigError, match="set the environment variable GROQ_API_KEY"):
        open_provider("groq")


def test_a_provider_need_not_list_or_close() -> None:
    provider = open_provider("scripted")
    assert not isinstance(provider, Lists) and not isinstance(provider, Closes)
