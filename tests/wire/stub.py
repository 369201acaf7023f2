"""One loopback server that speaks every vendor's wire, as strictly as they do.

The scenario is in the model's name: `stub-tools`, `stub-e429`, `stub-hang`; `stub-flaky2` fails twice with
503. Once the request holds tool results the answer is text, so that agent loops end. `stub.log` has every
request, `stub.held` is set once a client waits for what never comes, `stub.gone` is released for every client
that leaves before the end.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.recorded import Exchange
from tests.wire import as_anthropic, as_bedrock, as_chat, as_google, as_ollama, as_responses, listings
from tests.wire.sigv4 import is_signed
from tests.wire.turns import REFUSALS, TURNS, Dialect, Said, Turn, dumps

SECRET = "not-a-secret"
"""AWS_SECRET_ACCESS_KEY of every test."""
NO_TOOLS = "stub-notools does not support tools"
WORD = Turn((Said("It is sunny in both."),))


class Stub:
    """`with Stub() as stub: stub.url("anthropic")`"""

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.held = threading.Event()
        self.gone = threading.Semaphore(0)
        self.failures: dict[str, int] = {}
        self.play: Exchange | None = None  # a recorded answer to give to every model call
        self.raw: bytes | None = None  # a body to give to every model call, whatever it is
        # The protocol is named: asyncio turns Nagle off only then, which costs 40 ms an answer otherwise.
        self.socket = socket.socket(proto=socket.IPPROTO_TCP)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        config = uvicorn.Config(
            self._app(), log_level="critical", lifespan="off", timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)

    def url(self, wire: str) -> str:
        return f"http://127.0.0.1:{self.port}/{wire}"

    @property
    def sent(self) -> dict[str, Any]:
        """The body of the last model call."""
        return next(entry["body"] for entry in reversed(self.log) if entry["model"])

    def __enter__(self) -> Self:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.server.should_exit = True
        self.thread.join(60)
        self.socket.close()

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                self._route("/anthropic/v1/messages", as_anthropic.DIALECT),
                self._route("/openai/v1/chat/completions", as_chat.DIALECT),
                self._route("/openai/v1/responses", as_responses.DIALECT),
                self._route("/google/{version}/models/{call}", as_google.DIALECT),
                self._route("/bedrock/model/{model:path}/converse-stream", as_bedrock.DIALECT),
                self._route("/bedrock/model/{model:path}/invoke", as_bedrock.DIALECT),
                self._route("/ollama/api/chat", as_ollama.DIALECT),
                self._route("/bare/api/chat", as_ollama.DIALECT),
                Route("/{rest:path}", self._listing, methods=["GET", "POST"]),
            ]
        )

    def _route(self, path: str, dialect: Dialect) -> Route:
        async def answer(request: Request) -> Response:
            return await self._answer(request, dialect)

        return Route(path, answer, methods=["POST"])

    async def _answer(self, request: Request, dialect: Dialect) -> Response:
        body = await self._noted(request)
        model = self.log[-1]["model"]
        if dialect.name == "bedrock" and not await self._signed(request):
            _, refused, headers = dialect.refusal("auth", 403)
            return JSONResponse(refused, 403, headers)
        if (made := listings.embedded(request.url.path, body)) is not None:
            return JSONResponse(made)
        if self.raw is not None:
            return Response(self.raw, media_type=dialect.media)
        if self.play:
            said = "".join(dumps(each) + "\n" for each in self.play.objects)
            return Response(said, self.play.status, media_type=dialect.media)
        scenario = self._scenario(model, body, dialect)
        if scenario == "ehtml":
            return HTMLResponse("<html><body>bad gateway</body></html>", 502)
        if scenario == "slowhead":
            self.held.set()
            await anyio.sleep(3600)
        if scenario in REFUSALS:
            status, kind = REFUSALS[scenario]
            status, refused, headers = dialect.refusal(kind, status)
            return JSONResponse(refused, status, headers)
        if why := dialect.complaint(body):
            status, refused, headers = dialect.refusal("bad", 400)
            return JSONResponse(
                {"error": {"message": why, "type": "invalid_request_error"}, "message": why}, 400
            )
        if scenario == "notools" and ("tools" in body or "toolConfig" in body):
            return JSONResponse({"error": {"message": NO_TOOLS}, "message": NO_TOOLS}, 400)
        turn = TURNS.get(scenario, WORD)
        if scenario == "notools" and "Observation: " not in dumps(body):
            turn = Turn(
                (Said('Thought: I ask.\nAction: ping\nAction Input: {"n": 1}\nObservation: made up'),)
            )
        frames = dialect.frames(turn, model, body)
        return StreamingResponse(self._send(turn, frames, dialect), media_type=dialect.media)

    async def _signed(self, request: Request) -> bool:
        if request.headers.get("authorization", "").startswith("Bearer "):
            return True
        path = request.scope["raw_path"].decode()
        return is_signed(request.method, path, request.headers, await request.body(), SECRET)

    def _scenario(self, model: str, body: dict[str, Any], dialect: Dialect) -> str:
        found = re.search(r"stub-([a-z0-9]+)", model)
        name = found[1] if found else "text"
        if flaky := re.fullmatch(r"flaky(\d+)", name):
            count = self.failures[model] = self.failures.get(model, 0) + 1
            return "e503" if count <= int(flaky[1]) else "text"
        turn = TURNS.get(name)
        if turn and turn.calls and any(mark in dumps(body) for mark in dialect.answered):
            return "after tools"
        return name

    async def _send(self, turn: Turn, frames: list[bytes], dialect: Dialect) -> AsyncGenerator[bytes]:
        ended = False
        try:
            for index, frame in enumerate(frames):
                yield frame
                if not turn.after or index != dialect.first:
                    continue
                match turn.after:
                    case "hang":
                        self.held.set()
                        await anyio.sleep(3600)
                    case "drop":
                        raise ConnectionAbortedError("the stub drops the connection")
                    case "error":
                        yield dialect.midway
                    case "garbage":
                        yield (
                            b"data: {not json\n\n" if dialect.media == "text/event-stream" else b"{not json\n"
                        )
                    case "unknown":
                        yield dialect.stranger
                        continue
                    case _:
                        pass
                ended = True
                return
            ended = True
        finally:
            if not ended:
                self.gone.release()

    async def _noted(self, request: Request) -> dict[str, Any]:
        raw = await request.body()
        body = json.loads(raw) if raw else {}
        path = request.url.path
        named = re.search(r"/models?/([^/:]+)", path)
        model = body.get("model") or (named[1] if named else "")
        is_call = request.method == "POST" and "/api/show" not in path
        raw_path = request.scope["raw_path"].decode()
        entry = {
            "path": path,
            "raw_path": raw_path,
            "query": request.url.query,
            "headers": dict(request.headers),
            "body": body,
        }
        self.log.append(entry | {"model": model if is_call else ""})
        return body

    async def _listing(self, request: Request) -> Response:
        body = await self._noted(request)
        found = listings.listing(request.url.path, body)
        return JSONResponse(*found)
