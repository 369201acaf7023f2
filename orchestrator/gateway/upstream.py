"""Calls that go on to the vendor as they came, with the caller's own key, and Ollama's calls that run no model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import ProviderError
from ..providers.connection import PerLoop, timeouts, trust
from ..providers.error_mapping import unreachable

if TYPE_CHECKING:
    from httpx2 import AsyncClient

URLS = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}
MARK = "x-understudy-gateway"
"""Set on what is passed on: a gateway that gets it back stands in a circle."""
_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


def _client() -> AsyncClient:
    import httpx2

    return httpx2.AsyncClient(timeout=timeouts(None), verify=trust(), follow_redirects=False)


@dataclass(slots=True)
class Upstream:
    _http: PerLoop[AsyncClient] = field(
        default_factory=lambda: PerLoop(_client, lambda client: client.aclose())
    )

    async def answer(
        self, vendor: str, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], AsyncGenerator[bytes]]:
        """Status, headers and body as they come; close the body. Raises ProviderError when nothing is reached."""
        client = await self._http.get()
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
        await self._http.aclose()


async def _raw(chunks: AsyncGenerator[bytes], stack: AsyncExitStack) -> AsyncGenerator[bytes]:
    async with stack, aclosing(chunks):
        async for chunk in chunks:
            yield chunk
