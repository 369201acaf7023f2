"""One call of a client: which model answers it, with which settings, and what is kept of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from ..errors import ConfigError, NoSuchModel, OrchestratorError, Unsupported
from ..events import Emit, Event, ignore
from ..providers import Provider, split
from ..session.session import Session
from ..session.vendor_words import WORDS, kinds
from ..types import Completion, Delta, Message, Request, Thinking
from .conversations import Conversations
from .metrics import Metrics
from .wire import Asked, Items, Wire

MAX_TOKENS = 8192
"""The longest answer of a local model. Clients that must name a cap name one for the largest models, and the context
of a local model grows with it."""
MARKS = "<{[`"
"""What a call that a model prints as text begins with: where tools are offered, text from here on waits for the end."""

told: ContextVar[Emit] = ContextVar("told", default=ignore)
"""Who hears what happens around the call of this task: retries, fallbacks, switches."""


def tell(event: Event) -> None:
    """The session's subscriber: passes on to the call it belongs to."""
    told.get()(event)


@dataclass(slots=True, kw_only=True)
class Gateway:
    session: Session
    conversations: Conversations
    routes: Sequence[
        tuple[str, str]
    ] = ()  # (pattern of a model's name, the model that answers), the first counts
    max_tokens: int = MAX_TOKENS
    metrics: Metrics = field(default_factory=Metrics)

    def model(self, name: str, *, native: bool = False) -> str:
        """The full "provider:model" that `name` asks for. `native`: of Ollama's API. Raises NoSuchModel."""
        wanted = next((to for pattern, to in self.routes if fnmatchcase(name, pattern)), name)
        known = self.session.wired.names()
        try:
            return self.session.config.resolve(wanted, known)
        except ConfigError as exc:
            if native and wanted.strip():
                return f"ollama:{wanted}"
            raise NoSuchModel("gateway", str(exc)) from exc

    def passes_through(self, wire: Wire, model: str) -> str | None:
        """The vendor's own name of a model that this wire's vendor answers itself; None for all others."""
        provider, name = split(model)
        return name if wire.vendor and provider == wire.vendor else None

    async def stream(self, asked: Asked, model: str) -> AsyncGenerator[Delta | Completion]:
        """The answer, told to the journal as it comes. What is streamed is the beginning of what is answered."""
        request = self._request(asked, model)
        provider = await self.session.provider(split(model)[0])
        conversation, new = self.conversations.of(model, request.messages)
        told.set(conversation.emit)
        conversation.asks(model, new)
        error: str | None = "the client left"
        try:
            async with aclosing(_answered(provider, request)) as items:
                async for item in steady(items, hold=bool(request.tools)):
                    if isinstance(item, Completion):
                        conversation.answers(item)
                        self.conversations.remember(model, request.messages, conversation)
                        error = None
                    else:
                        conversation.streams(item.text, thinking=item.thinking)
                    yield item
        except OrchestratorError as exc:
            error = str(exc)
            raise
        finally:
            if error:
                conversation.ends(error)

    def _request(self, asked: Asked, model: str) -> Request:
        """The client's request with what is configured for the model where the client says nothing."""
        request, settings = asked.request, self.session.config.request_settings(model)
        spoken = kinds(self.session.config, split(model)[0], self.session.wired.names())
        kind = next(iter(spoken)) if len(spoken) == 1 else ""
        words = WORDS.get(kind, {})  # others are asked without
        sampling = {words[key]: v for key, v in asked.sampling.items() if v is not None and key in words}
        options = {**settings.pop("options", {}), **sampling, **(asked.native if kind == "ollama" else {})}
        most, messages = settings.pop("max_tokens", None), request.messages
        cap = request.max_tokens or most
        if kind == "ollama":
            most = most or self.max_tokens
            cap, messages = min(cap or most, most), tuple(_own(message, model) for message in messages)
        if kind == "ollama" and asked.unthinking:
            settings.setdefault("think", False)
        unsaid = {key: value for key, value in settings.items() if getattr(request, key) is None}
        return replace(request, **unsaid, model=model, messages=messages, max_tokens=cap, options=options)

    def names(self) -> list[str]:
        """What can be asked for besides the providers' own models: aliases and groups."""
        config = self.session.config
        groups = [name for name, provider in config.providers.items() if provider.steps]
        return [*config.aliases, *groups]


async def steady(items: Items, *, hold: bool) -> AsyncGenerator[Delta | Completion]:
    """`items` whose text never says what the completion does not: a call that a model writes as text is no text.

    `hold`: tools are offered, so text from the first mark of a call on waits for the completion.
    """
    said, held, thought = "", False, False
    async for item in items:
        if isinstance(item, Completion):
            break
        if item.thinking:
            thought = True
            yield item
        elif not held:
            marked = min((at for mark in MARKS if (at := item.text.find(mark)) >= 0), default=None)
            held = hold and marked is not None
            if text := item.text[:marked] if held else item.text:
                said += text
                yield Delta(text=text)
    else:
        return
    parts = item.message.parts
    thoughts = "".join(part.text for part in parts if isinstance(part, Thinking))
    if thoughts and not thought and not said:
        yield Delta(text=thoughts, thinking=True)
    text, begun = item.message.text, said if item.message.text.startswith(said) else said.lstrip()
    if text.startswith(begun) and len(text) > len(begun):
        yield Delta(text=text[len(begun) :])
    yield item


async def _answered(provider: Provider, request: Request) -> AsyncGenerator[Delta | Completion]:
    """Asked once more without thinking where the model cannot: clients ask every model for it."""
    try:
        async with aclosing(provider.stream(request)) as items:
            async for item in items:
                yield item
        return
    except Unsupported as exc:
        if exc.feature != "thinking" or not request.think:
            raise
    async with aclosing(provider.stream(replace(request, think=None))) as items:
        async for item in items:
            yield item


def _own(message: Message, model: str) -> Message:
    """A local model gets its own thoughts back; they carry no seal that another account made."""
    return replace(message, origin=model) if message.role == "assistant" else message
