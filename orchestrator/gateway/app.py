"""The gateway over HTTP: which path speaks which wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as Call
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from servers.ollama.engines.address import Address
from servers.protocol.access import HEADER, refused

from ..errors import AuthFailed, BadRequest, NoSuchModel, OrchestratorError, ProviderError
from ..events import Emit, Notice, ignore
from ..providers import split
from ..providers.estimate import tokens_at_most
from ..providers.ollama import address
from ..types import Usage
from .access import forwarded
from .chat_completions import CHAT_COMPLETIONS
from .failures import AtTheDoor, headers_of
from .gateway import Gateway
from .live import Live, Relay
from .messages import MESSAGES
from .ollama import OLLAMA
from .responses import RESPONSES
from .upstream import MARK, URLS, Upstream
from .wire import Asked, Wire, malformed

MAX_BODY_BYTES = 64 << 20
WIRES = {
    "/v1/messages": MESSAGES,
    "/v1/chat/completions": CHAT_COMPLETIONS,
    "/v1/responses": RESPONSES,
    "/api/chat": OLLAMA,
    "/api/generate": OLLAMA,
}

Answer = ASGIApp


class App:
    """The ASGI application, and the connections to vendors that it holds."""

    def __init__(self, gateway: Gateway, *, token: str | None = None, emit: Emit = ignore) -> None:
        self.gateway, self.token, self.emit = gateway, token, emit
        self.upstream = Upstream()
        routes = [
            *(self._route(path, partial(self.answer, wire)) for path, wire in WIRES.items()),
            self._route("/v1/messages/count_tokens", partial(self.count_tokens, MESSAGES)),
            self._route("/v1/responses/input_tokens", partial(self.count_tokens, RESPONSES)),
            self._route("/v1/models", self.models, "GET"),
            self._route("/v1/models/{id:path}", self.one_model, "GET"),
            self._route("/api/tags", self.tags, "GET"),
            *(self._route(f"/api/{path}", self.ask_ollama) for path in ("show", "embed", "embeddings")),
            *(self._route(f"/api/{path}", self.ask_ollama, "GET") for path in ("ps", "version")),
            self._route("/health", self.health, "GET"),
            self._route("/metrics", self.metrics, "GET"),
            self._route("/", self.greet, "GET"),
        ]
        self._routed = Starlette(routes=routes, exception_handlers={404: _nowhere, 405: _nowhere})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            call = Call(scope)
            if (refusal := refused(call.headers, self.token)) is not None:
                await _refusal(_wire_at(call), AtTheDoor(*refusal))(scope, receive, send)
                return
            if MARK in call.headers:
                circle = BadRequest(
                    "gateway", "this gateway is asked by itself: the vendor's address is its own"
                )
                await _refusal(_wire_at(call), circle)(scope, receive, send)
                return
        await self._routed(scope, receive, send)

    async def answer(self, wire: Wire, call: Call) -> Answer:
        raw = await _raw(call)
        body = _object(raw)
        name = _name(body)
        model = self.gateway.model(name, native=wire is OLLAMA)
        if (theirs := self.gateway.passes_through(wire, model)) is not None:
            return await self._pass_on(
                wire, call, raw if theirs == name else json.dumps({**body, "model": theirs}).encode(), name
            )
        if wire is OLLAMA and _runs_nothing(body):
            return await self._to_ollama(call, body, model)
        asked = _sensible(wire.read(body))
        done = self._begun(wire, name, model)
        headers = {"x-understudy-model": model.encode("ascii", "replace").decode()}
        return Live(wire, asked, self.gateway.stream(asked, model), done, headers)

    async def count_tokens(self, wire: Wire, call: Call) -> Answer:
        raw = await _raw(call)
        body = _object(raw)
        name = _name(body)
        model = self.gateway.model(name)
        if self.gateway.passes_through(wire, model) is not None:
            return await self._pass_on(wire, call, raw, name)
        # No engine counts without running: this is what ordinary text stays under.
        counted = {"input_tokens": tokens_at_most(wire.read(body).request)}
        return JSONResponse(counted if wire is MESSAGES else {"object": "response.input_tokens", **counted})

    async def models(self, call: Call) -> Answer:
        ids = await self._listed()
        found = [_described(call, id) for id in ids]
        if "anthropic-version" in call.headers:
            ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
            return JSONResponse({"data": found, "has_more": False} | ends)
        return JSONResponse({"object": "list", "data": found})

    async def one_model(self, call: Call) -> Answer:
        """Described under the name it was asked for, where something answers to that name."""
        name = _name({"model": call.path_params["id"]})
        model = self.gateway.model(name)
        ids = await self._listed()
        if split(model)[0] == "ollama" and not {model, f"{model}:latest"} & set(ids):
            raise NoSuchModel("ollama", f"there is no model {name}; there are {', '.join(ids) or 'none'}")
        return JSONResponse(_described(call, name))

    async def tags(self, call: Call) -> Answer:
        """Ollama's own list, and under the names of groups and aliases what else can be asked for."""
        where = self._ollama()
        try:
            status, _, chunks = await self.upstream.answer(
                "ollama", "GET", f"{where.url}/api/tags", where.headers, b""
            )
            found = json.loads(b"".join([chunk async for chunk in chunks])) if status == 200 else {}
        except (ProviderError, ValueError):
            found = {}
        listed: list[Any] = found.get("models") or [] if isinstance(found, dict) else []
        more = [
            {
                "name": name,
                "model": name,
                "modified_at": "1970-01-01T00:00:00Z",
                "size": 0,
                "digest": "",
                "details": {},
            }
            for name in self.gateway.names()
        ]
        return JSONResponse({"models": [*listed, *more]})

    async def ask_ollama(self, call: Call) -> Answer:
        if call.method == "GET":
            return await self._to_ollama(call, None, "ollama:")
        body = _object(await _raw(call))
        name = body.get("model") or body.get("name")
        return await self._to_ollama(call, body, self.gateway.model(_name({"model": name}), native=True))

    async def health(self, call: Call) -> Answer:
        state = {
            "status": "ok",
            "version": version("understudy"),
            "in_flight": self.gateway.metrics.in_flight,
        }
        return JSONResponse(state)

    async def metrics(self, call: Call) -> Answer:
        spent = {"spent_usd": self.gateway.session.budget.spent_usd}
        return PlainTextResponse(self.gateway.metrics.text(spent), media_type="text/plain; version=0.0.4")

    async def greet(self, call: Call) -> Answer:
        return PlainTextResponse("Ollama is running, behind an Understudy gateway.\n")

    async def aclose(self) -> None:
        self.gateway.conversations.close()
        await self.upstream.aclose()

    def _route(self, path: str, handler: Callable[[Call], Any], method: str = "POST") -> Route:
        async def handle(call: Call) -> Answer:
            try:
                return await handler(call)
            except OrchestratorError as exc:
                return _refusal(_wire_at(call), exc)

        return Route(path, handle, methods=[method])

    def _begun(self, wire: Wire, name: str, model: str) -> Callable[[str, Usage], None]:
        """Counts a call from now until what it gives back is called."""
        metrics, began = self.gateway.metrics, monotonic()
        metrics.in_flight += 1

        def ended(status: str, usage: Usage) -> None:
            metrics.in_flight -= 1
            seconds = monotonic() - began
            metrics.answered(wire.name, model, status, seconds, usage)
            counted = f", {usage.input_tokens or 0:,} tokens in, {usage.output_tokens or 0:,} out"
            who = model if name == model else f"{name} as {model}"
            self.emit(
                Notice(
                    text=f"{wire.name}: {who}: {status} after {seconds:.1f} s{counted if usage.output_tokens else ''}"
                )
            )

        return ended

    async def _pass_on(self, wire: Wire, call: Call, body: bytes, name: str) -> Answer:
        headers = forwarded(call.headers, self.token)
        if not {"authorization", "x-api-key"} & headers.keys():
            raise AuthFailed(
                "gateway",
                f"{name} is answered by its vendor with your own key, and none came with this call"
                + (f" beside this gateway's token; send the token as {HEADER}" if self.token else ""),
            )
        settings = self.gateway.session.config.providers.get(wire.vendor)
        base = (settings.base_url if settings else None) or URLS[wire.vendor]
        path = call.url.path if wire.vendor == "anthropic" else call.url.path.removeprefix("/v1")
        url = base.rstrip("/") + path + (f"?{call.url.query}" if call.url.query else "")
        ended = self._begun(wire, name, f"{wire.vendor}:{name.removeprefix(f'{wire.vendor}:')}")
        try:
            status, kept, chunks = await self.upstream.answer(wire.vendor, "POST", url, headers, body)
        except BaseException:
            ended("502", Usage())
            raise
        ended(str(status), Usage())
        return Relay(status, kept, chunks)

    async def _to_ollama(self, call: Call, body: dict[str, Any] | None, model: str) -> Answer:
        provider, name = split(model)
        if provider != "ollama":
            raise NoSuchModel(
                "gateway", f"{model} is not a model of Ollama, which alone answers {call.url.path}"
            )
        sent = b"" if body is None else json.dumps({**body, "model": name}).encode()
        where = self._ollama()
        url = where.url + call.url.path
        headers = {**where.headers, **({"content-type": "application/json"} if sent else {})}
        return Relay(*await self.upstream.answer("ollama", call.method, url, headers, sent))

    def _ollama(self) -> Address:
        settings = self.gateway.session.config.providers.get("ollama")
        return address("ollama", settings.base_url if settings else None)

    async def _listed(self) -> list[str]:
        models = await self.gateway.session.models()
        return [
            *self.gateway.names(),
            *(f"{name}:{model}" for name, found in models.items() for model in found),
        ]


async def _nowhere(call: Call, exc: Exception) -> JSONResponse:
    """No such path, or not with this method."""
    assert isinstance(exc, HTTPException)
    here = f"there is no {call.method} {call.url.path} here"
    allowed = (exc.headers or {}).get("Allow")
    why = f"{here}; it takes {allowed}" if allowed else f"{here}; POST goes to {', '.join(WIRES)}"
    answer = _refusal(_wire_at(call), AtTheDoor(exc.status_code, why))
    answer.headers.update(exc.headers or {})
    return answer


def _wire_at(call: Call) -> Wire:
    """In whose words a refusal is written."""
    path = call.url.path
    if path in WIRES:
        return WIRES[path]
    if path.startswith("/api/"):
        return OLLAMA
    return (
        MESSAGES
        if path.startswith("/v1/messages") or "anthropic-version" in call.headers
        else CHAT_COMPLETIONS
    )


def _refusal(wire: Wire, exc: OrchestratorError) -> JSONResponse:
    status, body = wire.refusal(exc)
    return JSONResponse(body, status, headers_of(exc))


async def _raw(call: Call) -> bytes:
    body = bytearray()
    async for chunk in call.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise AtTheDoor(413, f"the request is larger than {MAX_BODY_BYTES >> 20} MB")
    return bytes(body)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise BadRequest("gateway", f"the request is not JSON: {exc}") from exc
    if not isinstance(body, dict):
        raise BadRequest("gateway", f"wanted a JSON object, found {type(body).__name__}")
    return body


def _described(call: Call, id: str) -> dict[str, Any]:
    """A model in the words of the vendor whose client asks."""
    if "anthropic-version" in call.headers:
        return {"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z"}
    owner = split(id)[0] if ":" in id else "understudy"
    return {"id": id, "object": "model", "created": 0, "owned_by": owner}


def _name(body: dict[str, Any]) -> str:
    match body.get("model"):
        case str(name) if name.strip():
            return name
        case found:
            raise BadRequest(
                "gateway", f"model: wanted the name of a model, found {json.dumps(found, default=str)[:80]}"
            )


def _sensible(asked: Asked) -> Asked:
    """Raises BadRequest for a choice of a tool that was not offered, after which a model calls what it likes."""
    choice, offered = asked.request.tool_choice, [tool.name for tool in asked.request.tools]
    if choice not in (None, "any", *offered):
        raise malformed(
            "tool_choice", f"one of the tools that are offered ({', '.join(offered) or 'none'})", choice
        )
    return asked


def _runs_nothing(body: dict[str, Any]) -> bool:
    """Ollama's way to load or unload a model, and its completions without a template, which are no conversation."""
    if any(body.get(key) for key in ("raw", "suffix", "template", "context")):
        return True
    return not body.get("messages") and not body.get("prompt")
