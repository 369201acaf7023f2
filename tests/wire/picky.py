"""A loopback server whose answer to each posted body is a function in the test: for what one vendor refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, str, str]
"""Status, content type, body."""
SSE, JSON = "text/event-stream", "application/json"


def refused(message: str, status: int = 400) -> Answer:
    return status, JSON, json.dumps({"error": {"message": message, "type": "invalid_request_error"}})


def sse(*objects: Any, done: bool = True) -> Answer:
    lines = "".join(f"data: {json.dumps(one)}\n\n" for one in objects)
    return 200, SSE, lines + ("data: [DONE]\n\n" if done else "")


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    return {
        "id": "1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }


def said(text: str = "ok") -> Answer:
    return sse(chunk({"role": "assistant", "content": text}), chunk({}, "stop"))


UNKNOWN = refused("Access denied due to missing X-Api-Key header.", 401)


@contextmanager
def picky(
    answer: Callable[[dict[str, Any]], Answer], credential: str = ""
) -> Generator[tuple[str, list[dict[str, Any]]]]:
    """(its address, the bodies it got so far). `credential`: without this header nothing is answered."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            bodies.append(body)
            self.say(*(answer(body) if self.known() else UNKNOWN))

        def do_GET(self) -> None:
            models = {
                "object": "list",
                "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}],
            }
            wanted = (200, JSON, json.dumps(models)) if credential else refused("not found", 404)
            self.say(*(wanted if self.known() else UNKNOWN))

        def known(self) -> bool:
            return not credential or self.headers[credential] == "k-1"

        def say(self, status: int, kind: str, text: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
