"""OpenAI, and every server that speaks its wire: Responses at OpenAI itself, Chat Completions elsewhere.

OpenAI's newer models take tools together with reasoning only on Responses; Chat Completions is what every
other server has first. `api` overrides the choice.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import openai
from anyio import to_thread
from openai import AsyncOpenAI, AsyncStream

from ..errors import AuthFailed, BadRequest, ConfigError, ProviderError
from ..types import Completion, Delta, Request
from . import ModelInfo, openai_chat, openai_responses
from .assembler import Assembly
from .connection import PerLoop, checked, hosted_at, reaching, spoken, timeouts, told
from .dialects import Dialect, corrected, credential_in, dialect_of, learn
from .error_mapping import failure, unreachable, vendor_words
from .openai_address import place_of
from .openai_chat_stream import Reading, read
from .portable_history import portable
from .sanitize import vectors


class OpenAI:
    def __init__(
        self,
        name: str = "openai",
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api: Literal["responses", "chat"] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        if api not in (None, "responses", "chat"):
            raise ConfigError(f"provider {name!r}: api is 'responses' or 'chat', found {api!r}")
        from_env = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
        self.name = name
        self.place = place_of(base_url or from_env or "https://api.openai.com/v1")
        self.base_url = self.place.url
        self.hosted = self.place.azure or hosted_at(self.base_url, "openai.com")
        self.api = api or ("responses" if self.hosted and not self.place.deployment else "chat")
        self.timeout_s = timeout_s
        # Our key goes to its own vendor, or where the same environment points; servers of another name get none.
        key = api_key or (os.environ.get("OPENAI_API_KEY") if name == "openai" else None)
        self._key = key or (None if self.hosted else "not-needed")
        self._clients = PerLoop(self._client, lambda client: client.close())
        self._dialects: dict[str, Dialect] = {}  # by model; "": what all of the endpoint share

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        return spoken(
            self.name,
            self.base_url,
            self._speak(request),
            self._translate,
            request=request,
            native=self.hosted,
        )

    async def models(self) -> tuple[ModelInfo, ...]:
        try:
            client = await self._clients.get()

            async def listed(headers: dict[str, str]) -> tuple[ModelInfo, ...]:
                return tuple([self._info(one) async for one in client.models.list(extra_headers=headers)])

            return await self._authorised(listed)
        except Exception as exc:
            raise told(self.name, self.base_url, exc, self._translate) from exc

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        try:
            client = await self._clients.get()
            made = await self._authorised(
                lambda headers: client.embeddings.create(
                    model=model, input=list(texts), encoding_format="float", extra_headers=headers
                )
            )
            return vectors(len(texts), [one.embedding for one in made.data])
        except Exception as exc:
            raise told(self.name, self.base_url, exc, self._translate) from exc

    async def aclose(self) -> None:
        await self._clients.aclose()

    def _client(self) -> AsyncOpenAI:
        return AsyncOpenAI(
            api_key=self._key,
            base_url=self.base_url,
            max_retries=0,
            timeout=timeouts(self.timeout_s),
            default_query=self.place.query,
            default_headers={"api-key": self._key} if self.place.azure and self._key else None,
            http_client=openai.DefaultAsyncHttpxClient(**reaching(self.base_url)),
        )

    async def _speak(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        parts = Assembly(self.name, checked(request, self.name))
        client = await self._clients.get()
        sent, timeout = portable(request, parts.origin), timeouts(request.timeout_s or self.timeout_s)
        if self.api == "responses":
            body = openai_responses.body_of(sent, hosted=self.hosted)
            async with await client.responses.create(**body, timeout=timeout) as events:
                async for item in openai_responses.read(parts, events):
                    yield item
        else:
            async with aclosing(self._chat(client, sent, parts, timeout)) as items:
                async for item in items:
                    yield item

    async def _chat(
        self, client: AsyncOpenAI, request: Request, parts: Assembly, timeout: Any
    ) -> AsyncGenerator[Delta | Completion]:
        """As the endpoint takes it: what it refuses of the wire is left out, and remembered."""
        model = request.model_name
        known = dialect = await self._dialect(model)
        tried = [dialect]
        while True:
            body = openai_chat.body_of(request, dialect=dialect, hosted=self.hosted)
            try:
                answer = await self._authorised(partial(_posted, client, body, timeout))
                break
            except (openai.BadRequestError, openai.UnprocessableEntityError) as exc:
                dialect = self._corrected(dialect, exc, request)
                if dialect is None or dialect in tried:
                    raise
                tried.append(dialect)
        if dialect != known:
            await self._learn(model, dialect)
        if (said := await _unstreamed(answer)) is not None:
            reading = Reading(parts)
            for delta in reading.take(said):
                yield delta
            yield reading.done()
            return
        async with answer as chunks:
            async for item in read(parts, chunks):
                yield item

    async def _authorised(self, call: Callable[[dict[str, str]], Awaitable[Any]]) -> Any:
        """`call` with the headers in which this endpoint wants the key: where it refuses and names one, that is learned."""
        known = await self._dialect("")
        try:
            return await call(self._headers(known.credential))
        except (openai.AuthenticationError, openai.PermissionDeniedError) as exc:
            wanted = credential_in(f"{exc.message} {exc.body}")
            if wanted in ("", known.credential) or not self._key:
                raise
            answer = await call(self._headers(wanted))
        await self._learn("", replace(known, credential=wanted))
        return answer

    async def _dialect(self, model: str) -> Dialect:
        """Read once: a file read in a thread takes longer than all else of ours before a request."""
        if model not in self._dialects:
            self._dialects[model] = await to_thread.run_sync(dialect_of, self.base_url, model)
        return self._dialects[model]

    async def _learn(self, model: str, dialect: Dialect) -> None:
        self._dialects[model] = dialect
        await to_thread.run_sync(learn, self.base_url, model, dialect)

    def _headers(self, credential: str) -> dict[str, str]:
        return {credential: self._key} if credential and self._key else {}

    def _corrected(self, dialect: Dialect, exc: openai.APIStatusError, request: Request) -> Dialect | None:
        if (changed := corrected(dialect, f"{exc.message} {exc.body}")) is not None:
            return changed
        words = vendor_words(exc.body, exc.message)[0]
        vague = len(words) < 60 and not re.search(r"['\"`_]|tool|function|schema", words)
        told = isinstance(self._translate(exc), BadRequest) and len(request.messages) > 1
        return dialect.plain if vague and told else None

    def _info(self, model: Any) -> ModelInfo:
        """Hosted models say nothing about limits; vLLM gives `max_model_len`, llama.cpp `meta`."""
        extra: dict[str, Any] = model.model_extra or {}
        meta: dict[str, Any] = extra.get("meta") or {}
        context = extra.get("max_model_len") or meta.get("n_ctx") or extra.get("context_length")
        return ModelInfo(
            provider=self.name, name=model.id, context_tokens=context, size_bytes=meta.get("size")
        )

    def _translate(self, exc: Exception) -> ProviderError | None:
        match exc:
            case openai.APIConnectionError():
                return unreachable(self.name, exc.__cause__ or exc, self.base_url)
            case openai.APIStatusError():
                message, code = vendor_words(exc.body, exc.message)
                return failure(self.name, exc.status_code, message, code=code, headers=exc.response.headers)
            case openai.APIError():  # inside the stream
                message, code = vendor_words(exc.body, exc.message)
                return failure(self.name, None, message, code=code)
            case openai.OpenAIError() if "api_key" in str(exc):
                return AuthFailed(self.name, "no key: set the environment variable OPENAI_API_KEY")
            case _:
                return None


async def _posted(client: AsyncOpenAI, body: dict[str, Any], timeout: Any, headers: dict[str, str]) -> Any:
    """What the endpoint answers, as JSON has it. `create` would walk the body and each chunk once more, to give them
    types that nobody here looks at: a third of the time of a call.
    """
    return await client.post(
        "/chat/completions",
        body=body,
        options={"headers": headers, "timeout": timeout},
        cast_to=object,
        stream=body.get("stream", False),
        stream_cls=AsyncStream[object],
    )


async def _unstreamed(answer: Any) -> dict[str, Any] | None:
    """The answer that came whole, though a stream was asked for or not; None where a stream comes."""
    if not isinstance(answer, AsyncStream):
        return answer if isinstance(answer, dict) else {}
    if "json" not in answer.response.headers.get("content-type", "").lower():
        return None
    try:
        said = json.loads(await answer.response.aread())
    finally:
        await answer.close()
    return said if isinstance(said, dict) else {}
