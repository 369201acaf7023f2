"""Calls that go on to the vendor as they came, with the caller's own key, and Ollama's calls that run no model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ..errors import ProviderError
from ..providers.connection import PerLoop, on_this_machine, reaching, timeouts
from ..providers.error_mapping import unreachable

if TYPE_CHECKING:
    from httpx2 import AsyncClient

URLS = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}
MARK = "x-understudy-gateway"
"""Set on what is passed on: a gateway that gets it back stands in a circle."""
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


def _client(url: str) -> AsyncClient:
    import httpx2

    return httpx2.AsyncClient(timeout=timeouts(None), **reaching(url), follow_redirects=False)


@dataclass(slots=True)
class Upstream:
    _clients: dict[bool, PerLoop[AsyncClient]] = field(default_factory=dict[bool, "PerLoop[AsyncClient]"])
    """For this machine, and for others."""

    async def answer(
        self, vendor: str, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], AsyncGenerator[bytes]]:
        """Status, headers and body as they come; close the body. Raises ProviderError when nothing is reached."""
        near = on_this_machine(url)
        if near not in self._clients:
            self._clients[near] = PerLoop(partial(_client, url), lambda client: client.aclose())
        client = await self._clients[near].get()
        async with AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(
                    client.stream(method, url, headers={**headers, MARK: "1"}, content=body)
                )
            except Exception as exc:
                known: ProviderError | None = unreachable(vendor, exc, url)
                raise known or exc from exc
            kept = {name: value for name, value in response.headers.items() if name not in _HOP}
            return response.status_code, kept, _raw(response.aiter_raw(), stack.pop_all())
        raise AssertionError("unreachable")

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()


async def _raw(chunks: AsyncGenerator[bytes], stack: AsyncExitStack) -> AsyncGenerator[bytes]:
    async with stack, aclosing(chunks):
        async for chunk in chunks:
            yield chunk
