"""Model names: "provider:model", split at the first colon; well-known bare names find their provider.

Three tables say everything: KINDS (how to speak), COMPATIBLE (who else speaks that way, and where),
_FAMILIES (whose a bare name is).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ..errors import ConfigError

KINDS: dict[str, tuple[str, str]] = {
    "anthropic": ("anthropic", "Anthropic"),
    "bedrock": ("bedrock", "Bedrock"),
    "google": ("google", "Google"),
    "ollama": ("ollama", "Ollama"),
    "openai": ("openai", "OpenAI"),
    "scripted": ("scripted", "ScriptFiles"),
}
"""kind: (module in this package, class or function that makes the provider)."""


@dataclass(frozen=True, slots=True)
class Compatible:
    """A service that speaks a kind's wire at its own address."""

    base_url: str
    api_key_env: str | None = None  # None: it needs no key
    kind: str = "openai"


COMPATIBLE: dict[str, Compatible] = {
    "cerebras": Compatible("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepseek": Compatible("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks": Compatible("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "groq": Compatible("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "llamacpp": Compatible("http://127.0.0.1:8080/v1"),
    "lmstudio": Compatible("http://127.0.0.1:1234/v1"),
    "mistral": Compatible("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "openrouter": Compatible("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": Compatible("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "vllm": Compatible("http://127.0.0.1:8000/v1"),
    "xai": Compatible("https://api.x.ai/v1", "XAI_API_KEY"),
}

_FAMILIES = {
    "openai": r"gpt-(?!oss)|chatgpt-|o[1-9](-|$)|codex-",
    "anthropic": r"claude-",
    "google": r"gemini-",
    "bedrock": r"((us|eu|apac|jp|au|ca|sa|global|us-gov)\.)?(amazon|anthropic|meta|mistral|cohere|ai21|deepseek|openai"
    r"|qwen|writer|stability|twelvelabs|luma)\.|arn:aws[\w-]*:bedrock:",
    "xai": r"grok-",
    "ollama": r"(llama|codellama|tinyllama|qwen|qwq|gemma|codegemma|phi|mistral|mixtral|devstral|codestral|ministral"
    r"|deepseek-(r1|coder|v\d)|gpt-oss|granite|smollm|starcoder|command-r|falcon|olmo|yi|nemotron|hermes"
    r"|nomic-embed|mxbai-embed|all-minilm|bge-|hf\.co/)",
}


def split(model: str) -> tuple[str, str]:
    """(provider, name) of a resolved "provider:model"."""
    provider, _, name = model.partition(":")
    return provider, name


def resolve(
    model: str, *, aliases: Mapping[str, str] | None = None, providers: Collection[str] | None = None
) -> str:
    """The full "provider:model" that `model` means. Raises ConfigError with what would work.

    `aliases` are tried first and may point at one another; `providers` are the names opened or configured
    besides the built-in ones. "provider/model" is understood where `provider` is known.
    """
    aliases = aliases or {}
    known = {*KINDS, *COMPATIBLE, *(providers or ())}
    spec, seen = model.strip(), [model.strip()]
    while spec in aliases:
        spec = aliases[spec].strip()
        if spec in seen:
            raise ConfigError(f"the alias {model!r} leads back to itself: {' -> '.join([*seen, spec])}")
        seen.append(spec)
    provider, colon, name = spec.partition(":")
    if re.match(r"mistral:(latest|v?\d)", spec):  # a vendor and a local model share the name; tags tell
        return f"ollama:{spec}"
    if colon and provider in known:
        return spec if name.strip() else _incomplete(provider)
    first, slash, rest = spec.partition("/")
    if slash and first in known and rest:
        return f"{first}:{rest}"
    for owner, pattern in _FAMILIES.items():
        if re.match(pattern, spec):
            return f"{owner}:{spec}"
    raise ConfigError(_unknown(spec, colon, known, aliases))


def unknown_provider(name: str, known: Collection[str]) -> str:
    """One sentence for a provider nobody knows."""
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"no provider {name!r}; {hint}there are {', '.join(sorted(known))}"


def _incomplete(provider: str) -> str:
    raise ConfigError(f"{provider!r} is a provider; say which of its models, as {provider}:MODEL")


def _unknown(spec: str, colon: str, known: Collection[str], aliases: Mapping[str, str]) -> str:
    if not spec:
        return "the model name is empty; write provider:model, for example ollama:qwen3:8b"
    if spec in known:
        return _incomplete(spec)
    if colon:
        return unknown_provider(spec.partition(":")[0], known)
    near = get_close_matches(spec, aliases, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return (
        f"no provider is known for the model {spec!r}{hint}; write provider:model, for example ollama:{spec}"
    )
