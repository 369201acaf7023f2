"""What a wire is to the rest of the gateway: how it is read, and how answers and failures are written on it."""

from __future__ import annotations

import binascii
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import BadRequest, OrchestratorError
from ..types import Completion, Delta, Image, Request

Items = AsyncIterator[Delta | Completion]
Body = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call as a client made it."""

    request: Request  # its model is the name the client wrote
    stream: bool
    sampling: Mapping[str, Any] = field(default_factory=dict[str, Any])  # top_p, top_k, stop, seed
    native: Mapping[str, Any] = field(default_factory=dict[str, Any])  # further options of Ollama's own API
    unthinking: bool = False  # Messages: a client that does not ask for thinking wants none
    usage_chunk: bool = False  # Chat Completions: a last chunk tells the tokens
    written: frozenset[str] = frozenset()  # Responses: tools whose argument is free text
    namespaces: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Responses: the namespace and the name there, of tools in one; models know them by both together."""
    generate: bool = False  # Ollama: asked by /api/generate, whose answers have another form

    @property
    def model(self) -> str:
        return self.request.model


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One vendor's API as this gateway speaks it."""

    name: str
    vendor: str  # the provider whose models pass through on this wire; "" where none does
    media_type: str  # of streams
    read: Callable[[Body], Asked]
    """Raises BadRequest."""
    whole: Callable[[Asked, Completion], Body]
    stream: Callable[[Asked, Items], AsyncGenerator[bytes]]
    refusal: Callable[[OrchestratorError], tuple[int, Body]]
    broken: Callable[[OrchestratorError], bytes]
    """A failure after the stream has begun."""
    ping: bytes  # what keeps a waiting client from giving up; empty where the wire has nothing for it


def checked(shape: type[M], body: Body) -> M:
    """`body` in the shape of its wire. Raises BadRequest with the first thing that is wrong."""
    try:
        return shape.model_validate(body)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        said = first["msg"].replace("Input should be", "wanted").partition(" or instance of _")[0]
        raise BadRequest("gateway", f"{place}: {said}") from exc


def malformed(place: str, wanted: str, found: object) -> BadRequest:
    return BadRequest("gateway", f"{place}: wanted {wanted}, found {json.dumps(found, default=str)[:120]}")


def pictured(data: str, mime: str, place: str) -> Image:
    """A picture that stands in a request. Raises BadRequest where it is no base64, which an engine would fail over later."""
    try:
        binascii.a2b_base64("".join(data.split()), strict_mode=True)
    except ValueError as exc:
        raise malformed(place, f"a picture as base64 ({exc})", data[:40]) from exc
    return Image(data=data, mime=mime)


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """A server-sent event with a name."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def data(value: Mapping[str, Any]) -> bytes:
    """A server-sent event without one."""
    return f"data: {json.dumps(value)}\n\n".encode()
