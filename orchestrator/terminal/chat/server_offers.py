"""`@server:uri` and `/server:prompt` in what a person types, and the lists of both."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from ...errors import ConfigError
from ...types import Part

if TYPE_CHECKING:
    from ...mcp_client.server import Hosted
    from .conversation import Conversation

    Ask = Callable[[Hosted], Awaitable[list[tuple[str, str]]]]

_RESOURCE = re.compile(r"(?<![\w@.])@([\w.-]+):(\S+)")


async def with_resources(text: str, hosted: Mapping[str, Hosted]) -> tuple[list[Part], list[str]]:
    """(what the @server:uri in a question name, notes about it). One that names no server stays a word."""
    parts, notes, seen = list[Part](), list[str](), set[tuple[str, str]]()
    for name, written in _RESOURCE.findall(text):
        if name not in hosted or (name, written) in seen:
            continue
        seen.add((name, written))
        from ...mcp_client.offers import resource

        try:
            parts += await resource(hosted[name], written.rstrip(".,;!?)]}'"))
        except ConfigError as exc:
            notes.append(f"{name}:{written} does not go along: {exc}")
        else:
            notes.append(f"{name}:{written} goes along")
    return parts, notes


async def asked_prompt(line: str, hosted: Mapping[str, Hosted]) -> str | None:
    """What a line that names a server's prompt asks; None for any other. Raises ConfigError."""
    word, _, rest = line.removeprefix("/").partition(" ")
    server, colon, name = word.partition(":")
    if not colon or server not in hosted:
        return None
    from ...mcp_client.offers import prompt

    return await prompt(hosted[server], name, rest)


async def resources(talk: Conversation, rest: str) -> None:
    from ...mcp_client.offers import resources

    await _listed(talk, rest, "resources", "@", resources)


async def prompts(talk: Conversation, rest: str) -> None:
    from ...mcp_client.offers import prompts

    await _listed(talk, rest, "prompts", "/", prompts)


async def _listed(talk: Conversation, rest: str, kind: str, mark: str, ask: Ask) -> None:
    servers = talk.session.hosted
    if rest and rest not in servers:
        raise ConfigError(f"no server {rest!r}; there are {', '.join(servers) or 'none'}")
    found = False
    for name in [rest] if rest else servers:
        try:
            listed = await ask(servers[name])
        except ConfigError as exc:
            talk.say(str(exc))
            continue
        for written, meaning in listed:
            found = True
            talk.say(f"{mark}{name}:{written}  {meaning}".rstrip())
    if not found:
        talk.say(f"no server offers {kind}")
