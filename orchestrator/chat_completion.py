"""One call of any model in OpenAI's words, in and out, for programs that are written that way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from .config.arguments import names, text
from .config.call_settings import call_settings
from .config.files import short
from .config.load import Config, configuration
from .errors import BadRequest, ConfigError
from .function_tools.toolbox import as_tool
from .gateway.chat_completions import CHAT_COMPLETIONS
from .patterns.typed import OutputType
from .providers import Provider, complete, split
from .providers.plain import as_provider
from .session.background_loop import Background
from .session.session import open_session
from .session.vendor_words import NAMES, in_words, kinds

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

_WIRE = ("tools", "tool_choice", "response_format", "reasoning_effort", "top_p", "seed", "stop", "n")
_NOT_HERE = {
    "stream": "an answer comes whole; CodingAgent(model=...).stream(prompt) yields one as it is written",
    "stream_options": "an answer comes whole; .usage is in it",
    "logprobs": "answers come without them; the vendor's own SDK gives them",
    "top_logprobs": "answers come without them; the vendor's own SDK gives them",
    "api_key": "it is read from the environment, such as OPENAI_API_KEY, or the variable that api_key_env names in config.yaml",
    **dict.fromkeys(
        ("base_url", "api_base", "api_version"),
        "an address belongs to a provider: give it as base_url under providers in config.yaml",
    ),
    "functions": "give them as tools=",
    "function_call": "give it as tool_choice=",
}
_KNOWN = {
    "reasoning_effort": ("none", "minimal", "low", "medium", "high", "xhigh"),
    "tool_choice": ("none", "auto", "required"),
}


def completion(
    model: str, messages: str | Iterable[Mapping[str, Any] | BaseModel], **kwargs: Any
) -> ChatCompletion:
    """The model's answer as OpenAI's ChatCompletion: `.choices[0].message.content`, `.usage`, tool calls.

    `model`: "provider:model", "provider/model" or an alias. `messages` (or the text of one) and `tools` as Chat Completions
    has them, messages of an earlier answer and functions too; tools are returned as calls, not run. `response_format`: as
    there, or a pydantic model, whose JSON is then the content. `.usage` is None where nobody counted. `fallbacks`:
    models asked in turn where the first cannot answer. `timeout` in seconds, `num_retries`, `max_tokens`,
    `temperature`; `top_p`, `stop`, `seed`, `user`, `metadata`, ... go to a vendor under its own names, further keywords as
    they are. `config`, `providers`: a configuration, and providers by name.
    Raises ConfigError for what the caller has wrong, OutOfBudget where it may cost too much, ProviderError where no model
    can answer. Safe inside a running event loop, which waits meanwhile; `acompletion` does not hold it up.
    """
    background = Background()
    try:
        return background.call(lambda: acompletion(model, messages, **kwargs))
    finally:
        background.close()


async def acompletion(
    model: str,
    messages: str | Iterable[Mapping[str, Any] | BaseModel],
    *,
    fallbacks: Sequence[str] = (),
    config: Config | None = None,
    providers: Mapping[str, Provider | Any] | None = None,
    **kwargs: Any,
) -> ChatCompletion:
    """As `completion`, for async programs."""
    from openai.types.chat import ChatCompletion

    kwargs = _answerable(kwargs)
    body = _body({key: kwargs.pop(key) for key in _WIRE if key in kwargs})
    named = {key: kwargs.pop(key) for key in NAMES if key in kwargs}
    settings = call_settings(kwargs, "completion")
    turns = _turns(messages)
    fallbacks = names(fallbacks, "fallbacks")
    try:
        asked = CHAT_COMPLETIONS.read({"model": text(model, "model"), "messages": turns, **body})
    except BadRequest as exc:
        raise ConfigError(f"completion: {exc.message}") from exc
    config = configuration(config).model_copy(update={"servers": {}})
    given_providers: Any = providers or {}
    if not isinstance(given_providers, Mapping):
        raise ConfigError(f"completion: providers: wanted {{name: provider}}, found {short(given_providers)}")
    if settings.retries is not None:
        config = config.model_copy(update={"retries": settings.retries})
    if fallbacks:
        config = config.with_fallbacks(model, fallbacks)
    async with open_session(config) as session:
        for name, given in cast("Mapping[str, Any]", given_providers).items():
            session.add_provider(name, as_provider(name, given))
        agent = session.agent(config.default_model if fallbacks else model, name="completion", system="")
        known = session.wired.names()
        named |= {key: value for key, value in asked.sampling.items() if value is not None}
        try:
            worded = in_words(named, kinds(config, split(agent.model)[0], known), agent.model)
        except ConfigError as exc:
            raise ConfigError(f"completion: {exc}") from exc
        options = {**agent.settings.get("options", {}), **worded, **settings.options}
        given = {**agent.settings, **settings.request, "options": options}
        request = replace(asked.request, **{**given, "model": agent.model})
        done = await complete(await session.provider(split(agent.model)[0]), request)
    answered = replace(asked, request=replace(asked.request, model=done.message.origin or agent.model))
    written = CHAT_COMPLETIONS.whole(answered, done)
    if done.usage.input_tokens is None and done.usage.output_tokens is None:
        del written["usage"]  # the wire wants numbers there, but 0 would be wrong: nobody counted
    return ChatCompletion.model_validate(written)


def _answerable(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What says something: None, and False where nothing else can be had, are as if left out. Raises ConfigError."""
    for name, instead in _NOT_HERE.items():
        if kwargs.get(name):
            raise ConfigError(f"completion: {name} cannot be given here: {instead}")
    return {key: value for key, value in kwargs.items() if value is not None and key not in _NOT_HERE}


def _turns(messages: object) -> list[Any]:
    """The messages as dicts. Raises ConfigError for what holds none."""
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if isinstance(messages, Mapping) or not isinstance(messages, Iterable):
        raise ConfigError(
            f"completion: messages: wanted a list of them, or a text, found {type(messages).__name__}"
        )
    return [_plain(one) for one in cast("Iterable[Any]", messages)]


def _plain(message: Any) -> Any:
    """A message of an earlier answer is an object of the SDK."""
    return message.model_dump(exclude_none=True) if isinstance(message, BaseModel) else message


def _body(given: dict[str, Any]) -> dict[str, Any]:
    """The same with functions and types as the wire has them. Raises ConfigError."""
    if isinstance(tools := given.get("tools"), list | tuple):
        given["tools"] = [
            as_tool(one).to_openai_format() if callable(one) else one for one in cast("Sequence[Any]", tools)
        ]
    if isinstance(of := given.get("response_format"), type):
        form = {"name": of.__name__, "schema": OutputType(of).schema}
        given["response_format"] = {"type": "json_schema", "json_schema": form}
    for name, known in _KNOWN.items():
        if isinstance(said := given.get(name), str) and said not in known:
            raise ConfigError(f"completion: {name}: wanted one of {', '.join(known)}, found {short(said)}")
    return given
