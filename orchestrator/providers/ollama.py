"""Ollama over its own HTTP API: the only one whose last line carries the timings of a local run.

What the server says of itself is read by the module that delegation uses too; runs are posted here, for their tools,
images and thoughts. The context is sized for each request: what is loaded is used if it suffices, for every other size
reloads the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import anyio
import httpx2

from servers.ollama.engines.address import Address, address_of
from servers.ollama.engines.http import Refusal, ask, objects
from servers.ollama.engines.ollama_api import (
    Entry,
    OllamaApi,
    loaded_context,
    model_of,
    take,
    trained_context,
)
from servers.ollama.engines.threads import threads_for
from servers.ollama.forecast.context_size import context_for
from servers.ollama.ledger.profile import overflow_numbers, overflow_text

from ..errors import BadRequest, ConfigError, ContextTooLong, NoSuchModel, ProviderError
from ..events import Emit, ignore
from ..types import Completion, Delta, Message, Request, Stop, Thinking, Usage
from . import ModelInfo
from .assembler import Assembly
from .connection import PerLoop, checked, reaching, spoken, timeouts, told
from .error_mapping import failure, readable, vendor_words
from .estimate import tokens_at_least, tokens_at_most
from .ollama_ledger import Calls
from .ollama_wire import body_of, read, usage_of
from .portable_history import portable
from .sanitize import count, sane, vectors

ANSWER_TOKENS = 4096
"""Room for the answer where the request sets no cap; Ollama's own default is ten contexts."""
LEAST_ANSWER_TOKENS = 1024
"""Less room than this, and the model is loaded anew with a larger context."""
STOPS: dict[str, Stop] = {"stop": "end", "length": "length"}


class Ollama:
    """`num_ctx` fixes the context; None sizes it by need. `keep_alive` as Ollama takes it: "10m", -1, 0."""

    def __init__(
        self,
        name: str = "ollama",
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float | None = None,
        num_ctx: int | None = None,
        keep_alive: str | int | None = None,
        emit: Emit = ignore,
    ) -> None:
        self.name = name
        where = address(name, base_url, api_key)
        self.base_url = where.url
        self.timeout_s = timeout_s
        self.num_ctx = num_ctx
        self.keep_alive = keep_alive
        self._http = PerLoop(
            lambda: httpx2.AsyncClient(
                base_url=where.url,
                headers=dict(where.headers),
                timeout=timeouts(timeout_s),
                **reaching(where.url),
            ),
            lambda client: client.aclose(),
        )
        self._api = OllamaApi(self._ask)
        self._known = OllamaApi(self._asked_if_known)
        self._calls = Calls(self.base_url, self._known, emit)
        self._cold: dict[str, bool] = {}  # whether a model had to be loaded when it was last looked at
        self._trained: dict[str, int | None] = {}  # context length by model

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        return spoken(
            self.name, self.base_url, self._speak(request), _translate, request=request, native=False
        )

    async def models(self) -> tuple[ModelInfo, ...]:
        try:
            entries = await self._api.installed()
            found: list[ModelInfo | None] = [None] * len(entries)
            limiter = anyio.CapacityLimiter(8)

            async def look(index: int, entry: Entry) -> None:
                async with limiter:
                    found[index] = await self._info(entry)

            async with anyio.create_task_group() as group:
                for index, entry in enumerate(entries):
                    group.start_soon(look, index, entry)
        except Exception as exc:
            raise told(self.name, self.base_url, exc, _translate) from exc
        return tuple(info for info in found if info)

    async def memory_bytes(self, model: str) -> int | None:
        try:
            running = await self._known.loaded_entry(model)
        except Exception as exc:
            raise told(self.name, self.base_url, exc, _translate) from exc
        return None if running is None else count(running.get("size"))

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        try:
            return vectors(len(texts), await self._api.embed(model, list(texts)))
        except Exception as exc:
            raise told(self.name, self.base_url, exc, _translate) from exc

    async def aclose(self) -> None:
        self._calls.close()
        await self._http.aclose()

    async def _speak(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        asked, spent, wanted = checked(request, self.name), Usage(), request.max_tokens
        counted, last = 0, False  # tokens of the prompt, once a server counted more than its context holds
        while True:
            parts = Assembly(self.name, asked)
            request = portable(asked, parts.origin)
            num_ctx, room = await self._size(request, wanted, counted)
            threads = await anyio.to_thread.run_sync(threads_for, self.base_url, request.model_name)
            body = body_of(
                request, num_ctx=num_ctx, room=room, keep_alive=self.keep_alive, num_thread=threads
            )
            try:
                async with (
                    self._calls.heard(request, body, cold=self._cold.get(request.model_name)) as heard,
                    aclosing(self._lines(body, request.timeout_s)) as lines,
                ):
                    arriving = heard.arriving
                    async for line in lines:
                        take(arriving, line)
                        for delta in read(parts, line):
                            yield delta
                    if not arriving.final:
                        arriving.outcome = "aborted"
                        parts.cut()
                    usage = usage_of(arriving.final)
                    _demand_whole_prompt(self.name, request, usage, num_ctx)
            except ContextTooLong as exc:
                if counted or not exc.tokens or not self._may_grow(request, exc.tokens):
                    raise
                counted = exc.tokens
                continue
            final = arriving.final
            spent += usage
            message = parts.message()
            stop = parts.stop(final.get("done_reason"), STOPS)
            if last or stop != "length" or not _only_thought(message) or request.max_tokens is not None:
                break  # what the person capped stays capped
            wanted, last = room * 4, True  # a thinking model spent its whole budget before the first word
        pretends = self._calls.simulated
        yield Completion(
            message=message, usage=spent, stop=stop, raw=sane(final), recorded=pretends, simulated=pretends
        )

    def _may_grow(self, request: Request, tokens: int) -> bool:
        """Whether a context for a prompt of so many tokens can be had: where we choose its size, and it was trained."""
        trained = self._trained.get(request.model_name)
        chosen = self.num_ctx is None and "num_ctx" not in request.options
        return chosen and (trained is None or tokens < trained)

    async def _size(self, request: Request, wanted: int | None, counted: int = 0) -> tuple[int, int]:
        """(context, room for the answer): what is loaded if it suffices, else the next size up, at most the trained one.

        `wanted` caps the answer; None leaves its room to what the context has, up to ANSWER_TOKENS. `counted`: the
        tokens of the prompt, where a server said so.
        """
        prompt = max(tokens_at_most(request), counted)
        if self.num_ctx is not None:
            return self.num_ctx, wanted or ANSWER_TOKENS
        name = request.model_name
        if name not in self._trained:
            self._trained[name] = trained_context(await self._known.show(name))
        loaded = loaded_context(await self._known.loaded_entry(name)) or 0
        trained = self._trained[name]
        fits = loaded and (loaded >= prompt + (wanted or LEAST_ANSWER_TOKENS) or loaded == trained)
        self._cold[name] = not fits
        if fits:
            return loaded, wanted or max(min(loaded - prompt, ANSWER_TOKENS), LEAST_ANSWER_TOKENS)
        room = wanted or ANSWER_TOKENS
        return context_for(prompt + room, trained), room

    async def _ask(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        try:
            return await ask(await self._http.get(), method, path, body)
        except Refusal as exc:
            raise _refusal(self.name, exc.body, exc.status, exc.headers) from exc

    async def _asked_if_known(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        """As `_ask`, but empty where a server of another make does not know the path."""
        try:
            return await self._ask(method, path, body)
        except NoSuchModel:
            raise
        except BadRequest:
            return {}

    async def _lines(self, body: dict[str, Any], silence_s: float | None) -> AsyncGenerator[dict[str, Any]]:
        http, timeout = await self._http.get(), timeouts(silence_s or self.timeout_s)
        try:
            async with aclosing(objects(http, "/api/chat", body, timeout=timeout)) as lines:
                async for line in lines:
                    if "error" in line:
                        raise _refusal(self.name, json.dumps(line))
                    yield line
        except Refusal as exc:
            raise _refusal(self.name, exc.body, exc.status, exc.headers) from exc

    async def _info(self, entry: Entry) -> ModelInfo:
        try:
            shown = await self._known.show(str(entry["name"]))
        except ProviderError:  # listed but not readable: still installed
            shown = {}
        model = model_of(entry, None, shown)
        kinds = model.capabilities
        return ModelInfo(
            provider=self.name,
            name=model.name,
            context_tokens=model.context_length,
            capabilities=None
            if kinds is None
            else frozenset("images" if k == "vision" else k for k in kinds),
            size_bytes=model.size_bytes,
        )


def address(name: str, given: str | None, key: str | None = None) -> Address:
    """Where the server is and who asks. Raises ConfigError."""
    try:
        return address_of(given, key=key)
    except ValueError as exc:
        raise ConfigError(f"provider {name!r}: {exc}") from exc


def _only_thought(message: Message) -> bool:
    return bool(message.parts) and all(isinstance(part, Thinking) for part in message.parts)


def _demand_whole_prompt(provider: str, request: Request, usage: Usage, num_ctx: int) -> None:
    """Servers that ignore `truncate` drop the oldest messages without a word; fewer tokens than words tells.

    A low count alone does not: some versions leave cached tokens out of it.
    """
    fewest, read = tokens_at_least(request), usage.input_tokens or 0
    if fewest > num_ctx or (0 < read < 0.9 * fewest and tokens_at_most(request) > num_ctx):
        raise ContextTooLong(
            provider,
            f"the server dropped the beginning: at least {fewest:,} tokens were sent, {read:,} were read "
            f"with num_ctx {num_ctx:,}; raise num_ctx or send less",
        )


def _translate(exc: Exception) -> ProviderError | None:
    """Nothing of its own: the network's errors are the shared ones."""
    return None


def _refusal(
    provider: str, body: str, status: int | None = None, headers: Mapping[str, str] | None = None
) -> ProviderError:
    try:
        message, _ = vendor_words(json.loads(body), body)
    except ValueError:
        message = body
    if numbers := overflow_numbers(message):
        known = ContextTooLong(provider, overflow_text(numbers))
        known.tokens = numbers[0]
        return known
    if status == 404 and (name := re.search(r"model '?([^'\s]+)'? not found", message)):
        return NoSuchModel(
            provider, f"the model {name[1]!r} is not installed; `ollama pull {name[1]}` gets it"
        )
    if re.search(r'option "|invalid (format|options)', message):
        return BadRequest(provider, readable(message))
    if re.search(r"requires more system memory|unable to allocate|out of memory", message):
        return ProviderError(provider, readable(message), retryable=False)
    return failure(provider, status, message, headers=headers)
