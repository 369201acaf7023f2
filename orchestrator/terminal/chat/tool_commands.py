"""Commands about tools: which there are, who answers their questions, taking back what they changed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import ConfigError
from ...tools import Approve
from ...types import ToolResult
from .conversation import Conversation, choice_in


async def tools(talk: Conversation, rest: str) -> None:
    for spec in (await talk.session.toolbox([rest] if rest else None)).specs:
        first = spec.description.strip().split("\n")[0]
        talk.say(f"{spec.name}  {first}")


async def servers(talk: Conversation, rest: str) -> None:
    if not talk.session.hosted:
        talk.say("no server is configured; `understudy init` writes an mcp.json")
    for name in talk.session.hosted:
        tools = (await talk.session.toolbox([name])).specs
        command = talk.config.servers[name].command
        talk.say(f"{name}  {len(tools)} tools  {command}")


async def approve(talk: Conversation, rest: str) -> None:
    modes: dict[str, Approve | None] = {"ask": None, "yes": _yes, "no": _no}
    if rest:
        talk.approvals = choice_in(rest, modes, "/approve")
    now = next((mode for mode, answer in modes.items() if answer is talk.approvals), "yes")
    talk.say(
        {
            "ask": "you are asked before a tool does what it should not do unasked",
            "yes": "every question of a tool is answered with yes; /approve ask asks again",
            "no": "every question of a tool is answered with no; /approve ask asks again",
        }[now]
    )


async def _yes(question: str, choices: Sequence[str]) -> str | None:
    return choices[0]


async def _no(question: str, choices: Sequence[str]) -> str | None:
    return None


async def undo(talk: Conversation, rest: str) -> None:
    """Newest first: a later change may stand on an earlier one."""
    changes, talk.changes = talk.changes, []
    if not changes:
        raise ConfigError("the last turn changed nothing that can be taken back")
    for place, (server, operation) in enumerate(reversed(changes)):
        tool = "git_undo" if server == "git" else "undo"
        done = await talk.session.call_tool(server, tool, {"op": operation})
        talk.say(done.text)
        if done.is_error:
            talk.changes = changes[: len(changes) - place]
            raise ConfigError(f"{len(talk.changes)} of {len(changes)} changes stand; /undo tries again")


def changes_in(result: ToolResult) -> list[tuple[str, str]]:
    """What a tool's answer says it changed: server, and operation to undo."""
    server, _, tool = result.name.partition("__")
    if server not in ("files", "git") or "undo" in tool:
        return []
    head = result.text.partition("\n<<")[0]
    return [(server, found) for found in re.findall(r"\bop(?:=|\":\s*\")([0-9a-f]{6,})", head)]
