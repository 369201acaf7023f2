"""Providers of the simple shape, `chat(messages, model) -> str`, as providers of ours; and what to say of others."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, cast

from ..errors import ConfigError, ProviderError, ends_more, reason
from ..in_thread import in_thread
from ..types import Completion, Delta, Request, Usage, assistant
from . import ModelInfo, Provider
from .dialects import Dialect
from .openai_chat import messages_of


class Plain:
    """`inner` has chat(messages, model), sync or async, and perhaps list_models(); tools are not its own."""

    def __init__(self, name: str, inner: Any) -> None:
        self.name, self.inner = name, inner

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        messages = messages_of(request, Dialect())
        text = await self._called(self.inner.chat, messages, request.model_name)
        if not isinstance(text, str):
            raise ProviderError(self.name, f"its chat returned {type(text).__name__}, not text")
        yield Delta(text=text)
        yield Completion(message=assistant(text, origin=f"{self.name}:{request.model_name}"), usage=Usage())

    async def models(self) -> tuple[ModelInfo, ...]:
        listed = await self._called(self.inner.list_models) if hasattr(self.inner, "list_models") else ()
        if isinstance(listed, str) or not isinstance(listed, Iterable):
            raise ProviderError(self.name, f"its list_models returned {type(listed).__name__}, not a list")
        names = cast("Iterable[object]", listed)
        return tuple(ModelInfo(provider=self.name, name=str(one)) for one in names)

    async def _called(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            found = await in_thread(function, *args)
            return await found if inspect.isawaitable(found) else found
        except BaseException as exc:
            if ends_more(exc):
                raise
            raise ProviderError(self.name, reason(exc)) from exc


def as_provider(name: str, given: Any) -> Provider:
    """`given` itself, or what makes it a provider. Raises ConfigError saying what is missing."""
    called: Any = name
    if not isinstance(called, str) or not called or ":" in called:
        raise ConfigError(f"a provider's name is text without a colon, found {called!r}")
    if not isinstance(given, type):
        if callable(getattr(given, "stream", None)):
            if not isinstance(getattr(given, "name", None), str):
                raise ConfigError(
                    f"{type(given).__name__} is no provider: beside stream(request) it needs a name, a text"
                )
            return given
        if callable(getattr(given, "chat", None)):
            return Plain(name, given)
    kind = given.__name__ if isinstance(given, type) else type(given).__name__
    raise ConfigError(
        f"{kind} is no provider: it needs stream(request), or chat(messages, model) -> str"
        + ("; give an object of it, not the class" if isinstance(given, type) else "")
    )
