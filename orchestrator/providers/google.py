"""Google's Gemini models through generate_content, with our own HTTP client.

The SDK would switch to aiohttp wherever that is installed: other exceptions, and a hidden retry after
seconds of sleep. Its timeouts bound the whole answer; ours bound the silence.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator, Sequence
from secrets import token_hex
from typing import Any

import httpx2
from google import genai
from google.genai import errors as google_errors
from google.genai import types as gt

from ..errors import AuthFailed, ProviderError, Refused
from ..types import Completion, Delta, Request, Usage
from . import ModelInfo
from .assembler import Assembly
from .connection import PerLoop, checked, reaching, spoken, timeouts, told
from .error_mapping import failure, vendor_words
from .google_wire import MALFORMED, STOPS, Reader, config_of, contents_of, usage_of
from .portable_history import portable
from .sanitize import vectors

_MARK = "x-understudy-stream"
"""Tells our client which stream a request belongs to, and is taken off before it is sent."""


class Google:
    def __init__(
        self,
        name: str = "google",
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.name = name
        self.base_url = (
            base_url
            or os.environ.get("GOOGLE_GEMINI_BASE_URL")
            or "https://generativelanguage.googleapis.com"
        )
        self.api_version = api_version
        self.timeout_s = timeout_s
        own = (
            os.environ.get("GOOGLE_API_KEY") or os.environ.get("GEMINI_API_KEY") if name == "google" else None
        )
        self._key = api_key or own or ("not-needed" if base_url else None)
        self._given_url = base_url
        self._clients = PerLoop(self._client, lambda pair: _end(*pair))
        self._silences: dict[str, float | None] = {}  # by stream
        self._responses: dict[str, httpx2.Response] = {}  # by stream

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        return spoken(
            self.name,
            self.base_url,
            self._speak(request),
            self._translate,
            request=request,
            native=self._given_url is None,
        )

    async def models(self) -> tuple[ModelInfo, ...]:
        try:
            client, _ = await self._clients.get()
            pages = await client.aio.models.list(config={"page_size": 1000})
            return tuple([info async for model in pages if (info := self._info(model))])
        except Exception as exc:
            raise told(self.name, self.base_url, exc, self._translate) from exc

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        try:
            client, _ = await self._clients.get()
            contents: Any = [gt.Content(parts=[gt.Part(text=text)]) for text in texts]  # one vector for each
            made = await client.aio.models.embed_content(model=model, contents=contents)
            return vectors(len(texts), [one.values or () for one in made.embeddings or ()])
        except Exception as exc:
            raise told(self.name, self.base_url, exc, self._translate) from exc

    async def aclose(self) -> None:
        await self._clients.aclose()

    def _client(self) -> tuple[genai.Client, httpx2.AsyncClient]:
        async def bound_silence(request: httpx2.Request) -> None:
            mark = request.headers.pop(_MARK, "")
            request.extensions["timeout"] = timeouts(self._silences.get(mark) or self.timeout_s).as_dict()
            request.extensions["stream"] = mark

        async def remember(response: httpx2.Response) -> None:
            if mark := response.request.extensions["stream"]:
                self._responses[mark] = response

        hooks = {"request": [bound_silence], "response": [remember]}
        http = httpx2.AsyncClient(event_hooks=hooks, **reaching(self.base_url))
        options = gt.HttpOptions(
            base_url=self._given_url,
            api_version=self.api_version,
            httpx_async_client=http,
            httpx_client=httpx2.Client(
                **reaching(self.base_url)
            ),  # never used; the SDK would make one, at 50 ms
        )
        return genai.Client(api_key=self._key, http_options=options), http

    async def _speak(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        parts = Assembly(self.name, checked(request, self.name))
        client, _ = await self._clients.get()
        sent, mark = portable(request, parts.origin), token_hex(8)
        config = config_of(sent)
        config.http_options = gt.HttpOptions(
            headers={_MARK: mark}, extra_body=config.http_options.extra_body if config.http_options else None
        )
        self._silences[mark] = request.timeout_s
        usage, reason, reader = Usage(), None, Reader(parts)
        try:
            stream: Any = await client.aio.models.generate_content_stream(
                model=request.model_name, contents=contents_of(sent), config=config
            )
            async for chunk in stream:
                usage = usage_of(chunk.usage_metadata) or usage
                for candidate in chunk.candidates or ():
                    for part in (candidate.content.parts or ()) if candidate.content else ():
                        if delta := reader.read(part):
                            yield delta
                    reason = candidate.finish_reason or reason
                if not chunk.candidates and (feedback := chunk.prompt_feedback) and feedback.block_reason:
                    raise Refused(self.name, f"the prompt was blocked: {feedback.block_reason.value}")
        finally:
            del self._silences[mark]
            # The SDK leaves the connection open when its stream is left early.
            if response := self._responses.pop(mark, None):
                await response.aclose()
        if reason is None:
            parts.cut()
        if reason.value in MALFORMED:
            raise ProviderError(self.name, f"the model gave no usable answer: {reason.value}", retryable=True)
        yield Completion(message=parts.message(), usage=usage, stop=parts.stop(reason.value, STOPS))

    def _info(self, model: gt.Model) -> ModelInfo | None:
        if model.supported_actions and "generateContent" not in model.supported_actions:
            return None
        return ModelInfo(
            provider=self.name,
            name=(model.name or "").removeprefix("models/"),
            context_tokens=model.input_token_limit,
            max_output_tokens=model.output_token_limit,
            capabilities=None
            if model.thinking is None
            else frozenset({"tools"} | ({"thinking"} if model.thinking else set())),
        )

    def _translate(self, exc: Exception) -> ProviderError | None:
        match exc:
            case google_errors.APIError():
                message, code = vendor_words(exc.details, str(exc.message or exc))
                headers = getattr(exc.response, "headers", None) or {}
                return failure(
                    self.name,
                    exc.code,
                    message,
                    code=code,
                    headers=headers,
                    retry_after_s=_delay(exc.details),
                )
            case ValueError() if re.search("api.?key|key inputs", str(exc), re.IGNORECASE):
                return AuthFailed(
                    self.name, "no key: set the environment variable GEMINI_API_KEY or GOOGLE_API_KEY"
                )
            case _:
                return None


async def _end(client: genai.Client, http: httpx2.AsyncClient) -> None:
    await client.aio.aclose()
    await http.aclose()


def _delay(body: Any) -> float | None:
    """The RetryInfo among the details of an error, in seconds."""
    error: Any = body.get("error", body) if isinstance(body, dict) else {}
    for detail in error.get("details") or () if isinstance(error, dict) else ():
        written = str(detail.get("retryDelay") or "") if isinstance(detail, dict) else ""
        if written.removesuffix("s").replace(".", "", 1).isdigit():
            return float(written.removesuffix("s"))
    return None
