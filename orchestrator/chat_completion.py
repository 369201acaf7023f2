"""One call of any model in OpenAI's words, in and out, for programs that are written that way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .config.arguments import names, text
from .config.call_settings import call_settings
from .config.load import Config, load_config
from .errors import BadRequest, ConfigError
from .gateway.chat_completions import CHAT_COMPLETIONS
from .providers import Provider, complete, split
from .providers.plain import as_provider
from .session.background_loop import Background
from .session.session import open_session

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

_WIRE = ("tools", "tool_choice", "response_format", "reasoning_effort")


def completion(model: str, messages: str | Sequence[Mapping[str, Any]], **kwargs: Any) -> ChatCompletion:
    """The model's answer as OpenAI's ChatCompletion: `.choices[0].message.content`, `.usage`, tool calls.

    `model`: "provider:model", "provider/model" or an alias. `messages` (or the text of one) and `tools` as Chat Completions has
    them; tools are returned as calls, not run. `.usage` is None where nobody counted. `fallbacks`: models asked in turn where the first cannot answer. `timeout` in
    seconds, `num_retries`, `max_tokens`, `temperature`; further keywords go to the vendor. `config`, `providers`: a
    configuration, and providers by name. Raises ConfigError for what the caller has wrong, ProviderError otherwise.
    Safe inside a running event loop, which waits meanwhile; `acompletion` does not hold it up.
    """
    background = Background()
    try:
        return background.call(lambda: acompletion(model, messages, **kwargs))
    finally:
        background.close()


async def acompletion(
    model: str,
    messages: str | Sequence[Mapping[str, Any]],
    *,
    fallbacks: Sequence[str] = (),
    config: Config | None = None,
    providers: Mapping[str, Provider | Any] | None = None,
    **kwargs: Any,
) -> ChatCompletion:
    """As `completion`, for async programs."""
    from openai.types.chat import ChatCompletion

    body = {key: kwargs.pop(key) for key in _WIRE if key in kwargs}
    settings = call_settings(kwargs, "completion")
    turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
    fallbacks = names(fallbacks, "fallbacks")
    try:
        asked = CHAT_COMPLETIONS.read({"model": text(model, "model"), "messages": turns, **body})
    except BadRequest as exc:
        raise ConfigError(f"completion: {exc.message}") from exc
    config = (config or load_config()).model_copy(update={"servers": {}})
    if settings.retries is not None:
        config = config.model_copy(update={"retries": settings.retries})
    if fallbacks:
        config = config.with_fallbacks(model, fallbacks)
    async with open_session(config) as session:
        for name, given in (providers or {}).items():
            session.add_provider(name, as_provider(name, given))
        agent = session.agent(config.default_model if fallbacks else model, name="completion", system="")
        options = {**agent.settings.get("options", {}), **settings.options}
        given = {**agent.settings, **settings.request, "options": options}
        request = replace(asked.request, **{**given, "model": agent.model})
        done = await complete(await session.provider(split(agent.model)[0]), request)
    answered = replace(asked, request=replace(asked.request, model=done.message.origin or agent.model))
    written = CHAT_COMPLETIONS.whole(answered, done)
    if done.usage.input_tokens is None and done.usage.output_tokens is None:
        del written["usage"]  # the wire wants numbers there, but 0 would be wrong: nobody counted
    return ChatCompletion.model_validate(written)
