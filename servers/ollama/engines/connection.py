"""The connection to one engine over HTTP: small questions with a time limit, and runs that stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio
import httpx2

from .protocol import EngineError
from .stream import ASK_TIMEOUT_S, Arriving, bounded_body, client, error_text, json_object, lines, unreachable


class Connection:
    """To the engine at `url`. `kind` is what it should be, `start` the command that starts it, for its errors."""

    def __init__(self, url: str, *, kind: str, start: str, headers: Mapping[str, str] | None = None) -> None:
        self.url, self.kind, self.start = url, kind, start
        self._http = client(url, headers)

    @property
    def name(self) -> str:
        return f"{self.kind} at {self.url}"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ask(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        """The JSON object it answers within ASK_TIMEOUT_S. Raises EngineError."""
        try:
            with anyio.fail_after(ASK_TIMEOUT_S):
                async with self._http.stream(method, path, json=body) as response:
                    text, status = await bounded_body(response), response.status_code
        except (httpx2.HTTPError, TimeoutError) as exc:
            raise EngineError(unreachable(self.url, exc, self.start)) from exc
        if status != 200:
            raise EngineError(f"{self.name} answered {path} with {status}: {error_text(text)}")
        found = json_object(text)
        if found is None:
            raise EngineError(
                f"{self.url} answered {path}, but not as {self.kind} does; is another program there?"
            )
        return found

    async def run(
        self, path: str, body: object, run: Arriving, take: Callable[[Arriving, bytes], bool]
    ) -> None:
        """Post `body` and give each line to `take`, until that is true; what goes wrong is noted in `run`."""
        try:
            async with self._http.stream("POST", path, json=body) as response:
                if response.status_code != 200:
                    run.refused(response.status_code, await bounded_body(response))
                    return
                async with aclosing(lines(response)) as arriving:
                    async for line in arriving:
                        if take(run, line):
                            return
        except httpx2.HTTPError as exc:
            run.broke(exc, self.url, self.start)
