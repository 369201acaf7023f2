"""Amazon Bedrock's Converse: botocore signs and reads the frames, httpx2 carries, so that cancelling is immediate.

boto3 itself would keep a thread reading (and the meter running) after a cancellation; it only lists models.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import quote

import botocore.exceptions
import botocore.session
import httpx2
from anyio import to_thread
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.eventstream import EventStreamBuffer, ParserError

from ..errors import AuthFailed, NoSuchModel, Overloaded, ProviderError, TimedOut, Unreachable
from ..types import Completion, Delta, Request, Usage
from . import ModelInfo
from .assembler import Assembly
from .bedrock_wire import MALFORMED, STOPS, body_of, grow, usage_of
from .connection import PerLoop, checked, reaching, spoken, timeouts, told
from .error_mapping import failure, off_protocol, readable, vendor_words
from .portable_history import portable
from .sanitize import vectors


class _Client(NamedTuple):
    session: Any
    http: httpx2.AsyncClient
    region: str
    url: str


class Bedrock:
    """Credentials and region as every AWS tool finds them; `profile` and `region` override."""

    def __init__(
        self,
        name: str = "bedrock",
        *,
        base_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.name = name
        self.base_url = base_url or os.environ.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
        self.region = region or os.environ.get("AWS_REGION")
        self.profile = profile
        self.timeout_s = timeout_s
        self._clients = PerLoop(self._client, lambda client: client.http.aclose())

    @property
    def where(self) -> str:
        return self.base_url or f"Bedrock in {self.region or 'the configured region'}"

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        return spoken(
            self.name, self.where, self._speak(request), self._translate, request=request, native=False
        )

    async def models(self) -> tuple[ModelInfo, ...]:
        """Foundation models and inference profiles; AWS lists neither context nor output limits."""
        try:
            return await to_thread.run_sync(self._list, abandon_on_cancel=True)
        except Exception as exc:
            raise told(self.name, self.where, exc, self._translate) from exc

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Models of Cohere take all texts at once, those of Amazon one after the other."""
        try:
            if "cohere" in model:
                made = await self._invoke(model, {"texts": list(texts), "input_type": "search_document"})
                found = made.get("embeddings")
                return vectors(len(texts), found.get("float") if isinstance(found, dict) else found)
            each = [await self._invoke(model, {"inputText": text}) for text in texts]
            return vectors(len(texts), [made.get("embedding") for made in each])
        except Exception as exc:
            raise told(self.name, self.where, exc, self._translate) from exc

    async def aclose(self) -> None:
        await self._clients.aclose()

    def _client(self) -> _Client:
        session = botocore.session.Session(profile=self.profile)
        region = self.region or session.get_config_variable("region")
        if not region:
            raise AuthFailed(self.name, "no region: set AWS_REGION, or `region` of this provider")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        url = (self.base_url or f"https://bedrock-runtime.{region}.{suffix}").rstrip("/")
        return _Client(session, httpx2.AsyncClient(**reaching(url)), region, url)

    async def _speak(self, request: Request) -> AsyncGenerator[Delta | Completion]:
        parts = Assembly(self.name, checked(request, self.name))
        body = body_of(portable(request, parts.origin))
        usage, stop = Usage(), None
        async with aclosing(self._events(request, body)) as events:
            async for kind, event in events:
                match kind:
                    case "contentBlockStart" | "contentBlockDelta":
                        if delta := grow(parts, event):
                            yield delta
                    case "messageStop":
                        stop = event["stopReason"]
                    case "metadata":
                        usage = usage_of(event.get("usage") or {})
                    case _:  # messageStart, contentBlockStop, and newer kinds of events
                        pass
        if stop is None:
            parts.cut()
        if stop in MALFORMED:
            raise ProviderError(self.name, f"the model gave no usable answer: {stop}", retryable=True)
        yield Completion(message=parts.message(), usage=usage, stop=parts.stop(stop, STOPS))

    async def _events(
        self, request: Request, body: dict[str, Any]
    ) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        client = await self._clients.get()
        url = f"{client.url}/model/{quote(request.model_name, safe='')}/converse-stream"
        data = json.dumps(body).encode()
        headers = await to_thread.run_sync(self._signed, client, url, data, abandon_on_cancel=True)
        timeout = timeouts(request.timeout_s or self.timeout_s)
        async with client.http.stream(
            "POST", url, content=data, headers=headers, timeout=timeout
        ) as response:
            if response.status_code != 200:
                text = (await response.aread()).decode("utf-8", "replace")
                kind = response.headers.get("x-amzn-errortype", "").partition(":")[0]
                raise _refusal(self.name, response.status_code, kind, text, dict(response.headers))
            frames = EventStreamBuffer()
            async with aclosing(response.aiter_bytes()) as pieces:
                async for piece in pieces:
                    frames.add_data(piece)
                    for frame in frames:
                        yield self._event(frame)

    async def _invoke(self, model: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of a model that does not converse."""
        client = await self._clients.get()
        url, data = f"{client.url}/model/{quote(model, safe='')}/invoke", json.dumps(body).encode()
        headers = await to_thread.run_sync(self._signed, client, url, data, "application/json")
        timeout = timeouts(self.timeout_s)
        response = await client.http.post(url, content=data, headers=headers, timeout=timeout)
        if response.status_code != 200:
            kind = response.headers.get("x-amzn-errortype", "").partition(":")[0]
            raise _refusal(self.name, response.status_code, kind, response.text, dict(response.headers))
        return response.json()

    def _event(self, frame: Any) -> tuple[str, dict[str, Any]]:
        payload: dict[str, Any] = json.loads(frame.payload or b"{}")
        if frame.headers.get(":message-type") != "event":
            kind = frame.headers.get(":exception-type") or frame.headers.get(":error-code") or ""
            words = payload.get("message") or frame.headers.get(":error-message") or kind
            raise _refusal(self.name, None, kind, words, {})
        return frame.headers[":event-type"], payload

    def _signed(
        self, client: _Client, url: str, data: bytes, accept: str = "application/vnd.amazon.eventstream"
    ) -> dict[str, str]:
        """Runs in a thread: credentials may have to be fetched first."""
        headers = {"content-type": "application/json", "accept": accept}
        if token := os.environ.get("AWS_BEARER_TOKEN_BEDROCK"):
            if not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
                raise AuthFailed(self.name, "AWS_BEARER_TOKEN_BEDROCK is sent over https alone")
            return headers | {"authorization": f"Bearer {token}"}
        credentials = client.session.get_credentials()
        if credentials is None:
            raise botocore.exceptions.NoCredentialsError
        request = AWSRequest("POST", url, data=data, headers=headers)
        SigV4Auth(credentials.get_frozen_credentials(), "bedrock", client.region).add_auth(request)
        return dict(request.headers)

    def _list(self) -> tuple[ModelInfo, ...]:
        import boto3  # half a second, for this alone
        from botocore.config import Config

        session = boto3.Session(profile_name=self.profile, region_name=self.region)
        config = Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 1})
        client: Any = session.client(
            "bedrock", config=config, endpoint_url=os.environ.get("AWS_ENDPOINT_URL_BEDROCK") or self.base_url
        )
        found = [
            self._info(entry["modelId"], entry)
            for entry in client.list_foundation_models()["modelSummaries"]
            if "TEXT" in entry.get("outputModalities", ("TEXT",))
        ]
        for page in client.get_paginator("list_inference_profiles").paginate():
            found += [
                self._info(entry["inferenceProfileId"], {}) for entry in page["inferenceProfileSummaries"]
            ]
        client.close()
        return tuple(found)

    def _info(self, name: str, entry: dict[str, Any]) -> ModelInfo:
        takes = entry.get("inputModalities")
        able = None if takes is None else frozenset({"images"} if "IMAGE" in takes else ())
        return ModelInfo(provider=self.name, name=name, capabilities=able)

    def _translate(self, exc: Exception) -> ProviderError | None:
        match exc:
            case botocore.exceptions.ClientError():
                error, status = exc.response["Error"], exc.response["ResponseMetadata"]["HTTPStatusCode"]
                return _refusal(self.name, status, error["Code"], error.get("Message", ""), {})
            case botocore.exceptions.EndpointConnectionError() | botocore.exceptions.ConnectTimeoutError():
                return Unreachable(self.name, readable(str(exc)))
            case botocore.exceptions.NoRegionError():
                return AuthFailed(self.name, "no region: set AWS_REGION, or `region` of this provider")
            case botocore.exceptions.BotoCoreError():
                return AuthFailed(
                    self.name, f"{exc}; `aws configure` or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY help"
                )
            case ParserError():
                return off_protocol(self.name, exc)
            case _:
                return None


def _refusal(
    provider: str, status: int | None, kind: str, body: str, headers: dict[str, str]
) -> ProviderError:
    try:
        message, _ = vendor_words(json.loads(body), body)
    except ValueError:
        message = body
    match kind:
        case "ModelNotReadyException":
            return Overloaded(provider, readable(message))
        case "ModelTimeoutException" | "modelTimeoutException":
            return TimedOut(provider, readable(message))
        case "ResourceNotFoundException":
            return NoSuchModel(provider, readable(message))
        case _:
            return failure(provider, status, message, code=kind, headers=headers)
