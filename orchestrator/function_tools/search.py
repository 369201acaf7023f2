"""Web search with an engine of yours: `tools=[web_search(searxng("https://searx.example"))]`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from ..errors import ConfigError
from ..in_thread import in_thread
from .function_tool import FunctionTool, tool
from .http import http_fetch

Found = Sequence[Mapping[str, Any]]
Backend = Callable[[str, int], Found | Awaitable[Found]]
"""Given a query and how many are wanted: results with title, url and snippet. Sync or async; what it raises is told."""


def web_search(backend: Backend, *, max_results: int = 8, timeout_s: float = 20.0) -> FunctionTool[..., Any]:
    """A tool that searches with `backend`; `max_results`: most that a call returns. Raises ConfigError for what cannot be asked."""
    given: Any = backend
    if not callable(given):
        raise ConfigError(f"web_search: wanted a function (query, count), found {type(given).__name__}")

    @tool(name="web_search", read_only=True, timeout_s=timeout_s)
    async def search(query: str, count: int = 5) -> list[dict[str, Any]]:
        """Search the web. Returns title, url and snippet of each result, the best first."""
        wanted = max(1, min(count, max_results))
        found = (
            backend(query, wanted)
            if inspect.iscoroutinefunction(backend)
            else await in_thread(backend, query, wanted)
        )
        listed: Any = await found if inspect.isawaitable(found) else found
        if not isinstance(listed, Sequence) or not all(
            isinstance(one, Mapping) for one in cast("list[Any]", listed)
        ):
            raise ValueError("the engine gave no list of results with title, url and snippet")
        return [
            {key: one.get(key) for key in ("title", "url", "snippet")}
            for one in cast("Found", listed)[:wanted]
        ]

    return search


def searxng(base_url: str, **options: Any) -> Backend:
    """A SearXNG server whose JSON format is on, at home or elsewhere; `options` as http_fetch has them."""
    host = urlsplit(base_url).hostname or ""
    fetch = http_fetch(hosts=[host], allow=[host], **options)

    async def backend(query: str, count: int) -> Found:
        asked = urlencode({"q": query, "format": "json"})
        answer = await fetch.function(f"{base_url.rstrip('/')}/search?{asked}")
        if answer["status"] != 200:
            raise ValueError(f"{host} answered with status {answer['status']}; is its JSON format on?")
        results = json.loads(answer["text"])["results"][:count]
        return [{**one, "snippet": one.get("content")} for one in results]

    return backend
