"""Our adapters, each on the wire of the stub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.providers import Provider, close, complete, open_provider
from orchestrator.types import Message, Request, ToolSpec, user
from tests.wire.stub import Stub

SETTINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "anthropic": ("anthropic", "anthropic", {"api_key": "k"}),
    "responses": ("openai", "openai/v1", {"api_key": "k", "api": "responses"}),
    "chat": ("openai", "openai/v1", {"api_key": "k", "api": "chat"}),
    "google": ("google", "google", {"api_key": "k"}),
    "bedrock": ("bedrock", "bedrock", {"region": "us-east-1"}),
    "ollama": ("ollama", "ollama", {}),
}
"""wire: (kind of provider, path at the stub, settings)."""

WIRES = tuple(SETTINGS)

WEATHER = ToolSpec(
    name="get_weather",
    description="Weather of a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "n": {"type": "number"}},
        "required": ["city"],
    },
)
PING = ToolSpec(name="ping", description="Answers.", parameters={"type": "object", "properties": {}})


def opened(stub: Stub, wire: str, **settings: Any) -> Provider:
    """The provider of `wire`, named after it, so that every wire is an origin of its own."""
    kind, path, own = SETTINGS[wire]
    return open_provider(wire, kind=kind, base_url=stub.url(path), **own, **settings)


def asking(wire: str, scenario: str, prompt: str = "Hi", **more: Any) -> Request:
    return Request(model=f"{wire}:stub-{scenario}", messages=(user(prompt),), **more)


async def refused(stub: Stub, histories: Sequence[Sequence[Message]]) -> list[str]:
    """What vendors say against the next question after these conversations, which are taken for their own."""
    found: list[str] = []
    for wire in WIRES:
        provider, model = opened(stub, wire), f"{wire}:stub-text"
        for history in histories:
            own = [replace(m, origin=model) if m.role == "assistant" else m for m in history]
            try:
                await complete(provider, Request(model=model, messages=(*own, user("shorter please"))))
            except OrchestratorError as exc:
                found.append(f"{wire}: {exc}")
        await close(provider)
    return found
