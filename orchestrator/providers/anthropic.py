"""Anthropic's Messages API, and servers that speak it at another address."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncGenerator
from typing import Any

import anthropic
from anthropic import AsyncAnthropic

from ..errors import AuthFailed, ProviderError
from ..types import Completion, Delta, Request, Usage
from . import ModelInfo
from .anthropic_wire import STOPS, begin, body_of, grow, usage_of
from .assembler import Assembly
from .connection import PerLoop, checked, hosted_at, reaching, spoken, timeouts, told
from .error_mapping import failure, unreachable, vendor_words
from .portable_history import portable

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


class Anthropic:
    def __init__(
        self,
        name: str = "anthropic",
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.name = name
        self.base_url = base_url or os.environ.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
        self.timeout_s = timeout_s
        self.hosted = hosted_at(self.base_url, "anthropic.com")
        # Our key goes to its own vendor, or where the same environment points; servers of another name get none.
        own = name == "anthropic" and (self.hosted or any(os.environ.get(variable) for variable in KEYS))
        self._key = api_key or (None if own else "not-needed")
        self._clients = PerLoop(self._client, lambda client: client.close())

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
            return tuple([self._info(model) async for model in client.models.list(limit=1000)])
        except Exception as exc:
            raise told(self.name, self.base_url, exc, self._translate) from exc

    async def aclose(self) -> None:
        await self._clients.aclose()

    def _client(self) -> AsyncAnthropic:
        key = self._key or os.environ.get("ANTHROPIC_API_KEY")
        # The SDK sends a bearer token; many compatible servers read only the older header.
        headers = {"x-api-key": key} if key and not self.hosted else {}
        return AsyncAnthropic(
            api_key=self._key,
            base_url=self.base_url,
            max_retries=0,
            timeout=timeouts(self.timeout_s),
            default_headers=headers,
            http_client=anthropic.DefaultAsyncHttpxClient(**reaching(self.base_url)),
        )

    async def _speak(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        parts = Assembly(self.name, checked(request, self.name))
        client = await self._clients.get()
        body = body_of(portable(request, parts.origin), hosted=self.hosted)
        body["timeout"] = timeouts(request.timeout_s or self.timeout_s)
        usage, stop, ended = Usage(), None, False
        async with await client.messages.create(**body) as events:
            async for event in events:
                match event.type:
                    case "message_start":
                        usage = usage_of(usage, event.message.usage)
                    case "content_block_start":
                        if delta := begin(parts, event.index, event.content_block):
                            yield delta
                    case "content_block_delta":
                        if delta := grow(parts, event.index, event.delta):
                            yield delta
                    case "message_delta":
                        stop = event.delta.stop_reason or stop
                        usage = usage_of(usage, event.usage)
                    case "message_stop":
                        ended = True
                    case _:  # newer kinds of events
                        pass
        if not ended:
            parts.cut()
        yield Completion(message=parts.message(), usage=usage, stop=parts.stop(stop, STOPS))

    def _info(self, model: Any) -> ModelInfo:
        said = model.capabilities.model_dump() if model.capabilities else {}
        names = {"thinking": "thinking", "image_input": "images"}
        able = {ours for theirs, ours in names.items() if (said.get(theirs) or {}).get("supported")}
        return ModelInfo(
            provider=self.name,
            name=model.id,
            context_tokens=model.max_input_tokens,
            max_output_tokens=model.max_tokens,
            capabilities=frozenset({"tools"} | able) if said else None,
        )

    def _translate(self, exc: Exception) -> ProviderError | None:
        match exc:
            case anthropic.APITimeoutError() | anthropic.APIConnectionError():
                return unreachable(self.name, exc.__cause__ or exc, self.base_url)
            case anthropic.APIStatusError():
                status = (
                    exc.status_code if exc.status_code != 200 else None
                )  # 200: an error inside the stream
                message, code = vendor_words(exc.body, exc.message)
                return failure(
                    self.name,
                    status,
                    message,
                    code=f"{code} {exc.error_code or ''}",
                    headers=exc.response.headers,
                )
            case TypeError() if re.search("authentication", str(exc)):
                return AuthFailed(self.name, "no key: set the environment variable ANTHROPIC_API_KEY")
            case _:
                return None
