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

    base_url: str  # with ${NAME} where a variable says it
    api_key_env: str | None = None  # None: it needs no key
    kind: str = "openai"


COMPATIBLE: dict[str, Compatible] = {
    "azure": Compatible("${AZURE_OPENAI_ENDPOINT}", "AZURE_OPENAI_API_KEY"),
    "cerebras": Compatible("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "cohere": Compatible("https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    "dashscope": Compatible("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    "deepinfra": Compatible("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "deepseek": Compatible("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "fireworks": Compatible("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "groq": Compatible("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "huggingface": Compatible("https://router.huggingface.co/v1", "HF_TOKEN"),
    "llamacpp": Compatible("http://127.0.0.1:8080/v1"),
    "lmstudio": Compatible("http://127.0.0.1:1234/v1"),
    "mistral": Compatible("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "moonshot": Compatible("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "nvidia": Compatible("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    "openrouter": Compatible("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "perplexity": Compatible("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    "sambanova": Compatible("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "together": Compatible("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "vllm": Compatible("http://127.0.0.1:8000/v1"),
    "xai": Compatible("https://api.x.ai/v1", "XAI_API_KEY"),
    "zai": Compatible("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
}

SPELLINGS = {
    "aistudio": "google",
    "amazon": "bedrock",
    "amazon_bedrock": "bedrock",
    "anthropic_text": "anthropic",
    "aws": "bedrock",
    "azure_ai": "azure",
    "azure_openai": "azure",
    "bedrock_converse": "bedrock",
    "chatgpt": "openai",
    "claude": "anthropic",
    "cohere_chat": "cohere",
    "deepseek_ai": "deepseek",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "google_ai_studio": "google",
    "google_genai": "google",
    "google_gla": "google",
    "googleai": "google",
    "grok": "xai",
    "groq_chat": "groq",
    "hf": "huggingface",
    "hosted_vllm": "vllm",
    "kimi": "moonshot",
    "llama.cpp": "llamacpp",
    "llama_cpp": "llamacpp",
    "llama_server": "llamacpp",
    "lm_studio": "lmstudio",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshotai": "moonshot",
    "nvidia_nim": "nvidia",
    "ollama_chat": "ollama",
    "ollama_cloud": "ollama",
    "open_router": "openrouter",
    "openai_chat": "openai",
    "openai_like": "openai",
    "openai_responses": "openai",
    "text_completion_openai": "openai",
    "together_ai": "together",
    "togetherai": "together",
    "x_ai": "xai",
    "z_ai": "zai",
    "z.ai": "zai",
    "zhipu": "zai",
}
"""How LiteLLM, pydantic-ai, LangChain, aider and people write our names, with - as _."""

_ORGANISATIONS = {"deepseek_ai", "mistralai", "moonshotai"}
"""Spellings that before a slash are whose model it is, and not where it runs."""

_OTHERS = {
    "vertex_ai": "google:{model} with GEMINI_API_KEY",
    "vertex_ai_beta": "google:{model} with GEMINI_API_KEY",
    "vertex": "google:{model} with GEMINI_API_KEY",
    "google_vertex": "google:{model} with GEMINI_API_KEY",
    "google_vertexai": "google:{model} with GEMINI_API_KEY",
    "sagemaker": "bedrock:MODEL",
    "github_copilot": "openai:{model} with OPENAI_API_KEY",
}
"""Services whose wire or whose sign-in we do not speak, and what works in their place."""
_WRAPPED = re.compile(r"^(converse|converse_like|invoke|responses|chat|models|route)/(?=.)", re.IGNORECASE)
"""What LiteLLM writes between a provider and a model."""

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


_LOWER = {"openai", "anthropic", "google", "xai"}
"""Whose models have no capitals in their names."""
_TAKEN_OFF = {"bedrock", "openai", "google", "azure"}


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
    if re.match(r"mistral:(latest|v?\d)", spec):  # a vendor and a local model share the name; tags tell
        return f"ollama:{spec}"
    for mark in (":", "/"):
        given, found, name = spec.partition(mark)
        if found and given in known:  # as it is: people give their own providers any name
            return _whole(given, name)
    for mark in (":", "/"):
        given, found, name = spec.partition(mark)
        whose = mark == "/" and given.lower().replace("-", "_") in _ORGANISATIONS
        if found and not whose and (provider := _meant(given, known)):
            return _whole(provider, name)
    for owner, pattern in _FAMILIES.items():
        if re.match(pattern, spec, re.IGNORECASE):
            return f"{owner}:{spec.lower() if owner in _LOWER else spec}"
    if spec.startswith("models/"):
        return f"google:{spec.removeprefix('models/')}"
    raise ConfigError(_unknown(spec, ":" if ":" in spec else "", known, aliases))


def meant(provider: str) -> str:
    """The built-in provider that a name in any spelling means; the name itself where it means none."""
    return _meant(provider, {*KINDS, *COMPATIBLE}) or provider


def _meant(given: str, known: Collection[str]) -> str | None:
    """The provider in `known` that a name in another spelling means. Raises ConfigError for one that cannot be."""
    plain = given.strip().lower().replace("-", "_")
    for name in (plain, SPELLINGS.get(plain, ""), plain.replace("_", "-")):
        if name in known:
            return name
    return next((name for name in known if name.lower() == given.strip().lower()), None)


def _whole(provider: str, name: str) -> str:
    name = _WRAPPED.sub("", name.strip()) if provider in _TAKEN_OFF else name.strip()
    if re.match(r"[a-z]{2}(-gov)?-[a-z]+-\d/", name) and provider == "bedrock":
        region, _, bare = name.partition("/")
        raise ConfigError(f"write bedrock:{bare} and set AWS_REGION={region}")
    if provider in _LOWER and re.match(_FAMILIES[provider], name, re.IGNORECASE):
        name = name.lower()
    return f"{provider}:{name}" if name else _incomplete(provider)


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
    if provider := _meant(spec, known):
        return _incomplete(provider)
    for mark in (":", "/"):
        given, found, name = spec.partition(mark)
        if found and (instead := _OTHERS.get(given.strip().lower().replace("-", "_"))):
            return f"{given} is not spoken here; write {instead.format(model=name or 'MODEL')}"
    if colon:
        return unknown_provider(spec.partition(":")[0], known)
    near = get_close_matches(spec, aliases, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return (
        f"no provider is known for the model {spec!r}{hint}; write provider:model, for example ollama:{spec}"
    )
