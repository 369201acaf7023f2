"""What the arguments of a call that are not ours are named, by how the asked provider speaks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..config.load import Config
from ..errors import ConfigError
from ..providers import split
from ..providers.names import COMPATIBLE

_BOTH = {"top_p": "top_p", "top_k": "top_k"}
_PENALTIES = {"presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty"}
WORDS: Mapping[str, Mapping[str, str]] = {
    "anthropic": {**_BOTH, "stop": "stop_sequences", "metadata": "metadata", "user": "metadata"},
    "bedrock": {"top_p": "topP", "stop": "stopSequences"},
    "google": {**_BOTH, **_PENALTIES, "stop": "stop_sequences", "seed": "seed"},
    "ollama": {**_BOTH, **_PENALTIES, "stop": "stop", "seed": "seed"},
    "openai": {
        **_PENALTIES,
        **{name: name for name in ("top_p", "stop", "seed", "metadata", "user")},
        **{name: name for name in ("logit_bias", "parallel_tool_calls")},
    },
}
NAMES = frozenset(name for words in WORDS.values() for name in words)


def kinds(config: Config, provider: str, known: Collection[str]) -> frozenset[str]:
    """How a provider speaks; of a group, how each of its models does. `known`: the providers there are."""
    settings = config.providers.get(provider)
    if settings and settings.steps:
        full = [config.resolve(step, known) for step in settings.steps]
        others = {split(model)[0] for model in full} - {provider}
        return frozenset[str]().union(*(kinds(config, other, known) for other in others))
    if settings and settings.kind:
        return frozenset({settings.kind})
    return frozenset({COMPATIBLE[provider].kind if provider in COMPATIBLE else provider})


def in_words(given: Mapping[str, Any], spoken: Collection[str], model: str) -> dict[str, Any]:
    """`given`, named as OpenAI does, as options of a request to providers that speak so. Raises ConfigError for what one of
    them has no word for. Providers of a kind nobody knows get the names as they are.
    """
    options: dict[str, Any] = {}
    for name, value in given.items():
        words = {WORDS[kind].get(name) if kind in WORDS else name for kind in spoken}
        if None in words or len(words) != 1:
            lacking = sorted(kind for kind in spoken if kind in WORDS and name not in WORDS[kind])
            why = f"{lacking[0]} has nothing like it" if lacking else "the models asked name it differently"
            raise ConfigError(f"{name}: cannot be sent to {model}, since {why}; leave it out")
        (word,) = words
        if name == "user" and word == "metadata":
            options[word] = {**options.get(word, {}), "user_id": value}
        elif word == "metadata" and isinstance(value, Mapping):
            options[word] = {**value, **options.get(word, {})}
        else:
            options[str(word)] = value
    return options
