"""Gemini's wire as far as Gemini CLI needs it, for a model that answers as Ollama's does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[Mapping[str, Any]], str | Mapping[str, Any]]


@contextmanager
def gemini(answer: Answer) -> Generator[str]:
    """The address under which the model is reached."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            if "countTokens" in self.path:
                said: dict[str, Any] = {"totalTokens": 100}
            else:
                said = _response(answer(_as_ollama(asked)))
            streamed = "stream" in self.path
            body = f"data: {json.dumps(said)}\n\n" if streamed else json.dumps(said)
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if streamed else "application/json")
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _as_ollama(asked: Mapping[str, Any]) -> dict[str, Any]:
    tools = [one for group in asked.get("tools") or () for one in group.get("functionDeclarations") or ()]
    messages: list[dict[str, Any]] = []
    for content in asked.get("contents") or ():
        for part in content.get("parts") or ():
            if "functionResponse" in part:
                given = part["functionResponse"]
                text = json.dumps(given.get("response"), ensure_ascii=False)
                messages.append({"role": "tool", "tool_name": given.get("name"), "content": text})
            elif "text" in part:
                role = "assistant" if content.get("role") == "model" else "user"
                messages.append({"role": role, "content": part["text"]})
    return {"tools": [{"function": {"name": one["name"]}} for one in tools], "messages": messages}


def _response(said: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(said, str):
        parts: list[dict[str, Any]] = [{"text": said}]
    else:
        calls = [(call["name"], call["arguments"]) for call in said["tool_calls"]]
        parts = [{"functionCall": {"name": name, "args": arguments}} for name, arguments in calls]
    content = {"role": "model", "parts": parts}
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage,
    }
