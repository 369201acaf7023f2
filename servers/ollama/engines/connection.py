"""The connection to one engine over HTTP: small questions with a time limit, and runs that stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio
import httpx2

from ..ledger.keys import host_of
from .http import ASK_TIMEOUT_S, Refusal, ask, client, lines
from .protocol import EngineError
from .stream import Arriving, error_text, unreachable


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
                return await ask(self._http, method, path, body)
        except (httpx2.HTTPError, TimeoutError) as exc:
            raise EngineError(unreachable(self.url, exc, self.start)) from exc
        except Refusal as exc:
            said = f"{exc.status}: {error_text(exc.body)}"
            raise EngineError(f"{self.name} answered {path} with {said}") from exc
        except ValueError as exc:
            raise EngineError(
                f"{self.url} answered {path}, but not as {self.kind} does; is another program there?"
            ) from exc

    async def run(
        self, path: str, body: object, run: Arriving, take: Callable[[Arriving, bytes], bool]
    ) -> None:
        """Post `body` and give each line to `take`, until that is true; what goes wrong is noted in `run`."""
        try:
            async with aclosing(lines(self._http, path, body)) as arriving:
                async for line in arriving:
                    if take(run, line):
                        return
        except Refusal as exc:
            run.refused(exc.status, exc.body)
        except httpx2.HTTPError as exc:
            run.broke(exc, self.url, self.start)
        finally:
            run.ended_s = run.wall_s


class Served:
    """What every Runtime is that somebody else's server stands behind: nothing of it is ours to end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.name = connection.name
        self.host = host_of(connection.url)
        self.url: str | None = connection.url
        self.note: str | None = None
        self.timed, self.simulated = True, False

    @property
    def pids(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        await self._connection.aclose()
