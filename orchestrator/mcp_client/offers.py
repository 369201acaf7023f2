"""What servers offer besides tools: resources, to go along with a question, and prompts, to be asked as one."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from mcp import MCPError
from pydantic import ValidationError

from ..errors import ConfigError
from ..sanitize import one_line, visible
from ..types import Image, Part, Text

if TYPE_CHECKING:
    from mcp import Client

    from .server import Hosted

MAX_BYTES = 200_000
MAX_LISTED = 500
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_NO_SUCH_METHOD = -32601


async def resources(server: Hosted) -> list[tuple[str, str]]:
    """(address, what it is) of each resource and template."""
    client = await server.client()
    listed: list[tuple[str, str]] = []
    if client.server_capabilities.resources is None:
        return listed
    async with _answers(server.name):
        for one in (await client.list_resources()).resources[:MAX_LISTED]:
            listed.append(
                (str(one.uri), one_line(visible(one.title or one.name or one.description or ""), 100))
            )
        try:
            templates = (await client.list_resource_templates()).resource_templates
        except MCPError as exc:
            if exc.error.code != _NO_SUCH_METHOD:
                raise
            templates = []
        for one in templates[:MAX_LISTED]:
            listed.append((one.uri_template, one_line(visible(one.title or one.name), 100)))
    return listed


async def resource(server: Hosted, uri: str) -> list[Part]:
    """What stands at an address of the server, ready to go along. Raises ConfigError."""
    client = await server.client()
    async with _answers(server.name):
        contents = cast(Sequence[Any], (await client.read_resource(uri)).contents)
    parts: list[Part] = []
    for one in contents:
        blob = getattr(one, "blob", None)
        if isinstance(blob, str):
            if one.mime_type not in _IMAGES:
                raise ConfigError(
                    f"{server.name}:{uri} is {one.mime_type or 'no text'}, which no model reads here"
                )
            parts.append(Image(data=blob, mime=one.mime_type))
            continue
        text = visible(one.text)
        if len(text.encode()) > MAX_BYTES:
            raise ConfigError(f"{server.name}:{uri} has more than {MAX_BYTES:,} bytes")
        parts.append(
            Text(text=f"\n\n--- {server.name}:{uri} ---\n{text}\n--- end of {server.name}:{uri} ---")
        )
    if not parts:
        raise ConfigError(f"{server.name}:{uri} is empty")
    return parts


async def prompts(server: Hosted) -> list[tuple[str, str]]:
    """(how it is written, what it is) of each prompt."""
    return [
        (
            " ".join([one.name, *(a.name if a.required else f"[{a.name}]" for a in one.arguments or ())]),
            one_line(visible(one.title or one.description or ""), 100),
        )
        for one in await _prompts(server, await server.client())
    ]


async def prompt(server: Hosted, name: str, words: str) -> str:
    """A prompt filled with `words`, by name as `argument=value` or in their order. Raises ConfigError."""
    client = await server.client()
    known = await _prompts(server, client)
    found = next((one for one in known if one.name == name), None)
    if found is None:
        there = ", ".join(one.name for one in known) or "none"
        raise ConfigError(f"the {server.name} server has no prompt {name}; there are {there}")
    filled = _filled(
        f"/{server.name}:{name}", words, {a.name: bool(a.required) for a in found.arguments or ()}
    )
    async with _answers(server.name):
        messages = (await client.get_prompt(name, filled)).messages
    said = [(one.role, one.content.text) for one in messages if one.content.type == "text"]
    if not said:
        raise ConfigError(f"the prompt {name} of the {server.name} server holds no text")
    return "\n\n".join(
        visible(text) if role == "user" else f"(as you said: {visible(text)})" for role, text in said
    )


async def _prompts(server: Hosted, client: Client) -> Sequence[Any]:
    if client.server_capabilities.prompts is None:
        return ()
    async with _answers(server.name):
        return (await client.list_prompts()).prompts[:MAX_LISTED]


def _filled(called: str, words: str, wanted: Mapping[str, bool]) -> dict[str, str]:
    try:
        given = shlex.split(words)
    except ValueError as exc:
        raise ConfigError(f"{called}: {one_line(str(exc))}; close the quotation") from exc
    filled: dict[str, str] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not (equals and name in wanted):
            name, value = next((one for one in wanted if one not in filled), ""), word
        if not name or name in filled:
            raise ConfigError(
                f"{called} takes {', '.join(wanted) or 'nothing'}, and {one_line(word, 60)!r} is too much"
            )
        filled[name] = value
    if missing := [name for name, needed in wanted.items() if needed and name not in filled]:
        raise ConfigError(f"{called} wants {', '.join(missing)}: {called} {missing[0]}=...")
    return filled


@asynccontextmanager
async def _answers(server: str) -> AsyncGenerator[None]:
    """Whatever a foreign server answers is one sentence."""
    try:
        yield
    except MCPError as exc:
        raise ConfigError(f"the {server} server: {one_line(exc.error.message, 300)}") from exc
    except (ValidationError, ValueError, AttributeError, TypeError) as exc:
        raise ConfigError(
            f"the answer of the {server} server cannot be read: {one_line(str(exc), 200)}"
        ) from exc
