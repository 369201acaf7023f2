"""Commands about tools: which there are, who answers their questions, taking back what they changed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import ConfigError
from ...tools import Approve
from ...types import ToolCall, ToolResult
from ..screen.plain_screen import counted
from ..screen.tool_view import unfenced
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
    """Newest first: a later change may stand on an earlier one. The model hears of it with the next question."""
    if not talk.changes:
        raise ConfigError("the last turn changed nothing that can be taken back")
    count = len(talk.changes)
    while talk.changes:
        back = talk.changes[-1]
        server, _, tool = back.name.partition("__")
        done = await talk.session.call_tool(server, tool, back.arguments)
        said = unfenced(done.text).rstrip()
        talk.say(said)
        if done.is_error:
            raise ConfigError(
                f"{len(talk.changes)} of {counted(count, 'change')} left as they are; /undo tries again"
            )
        talk.changes.pop()
        talk.asides.append(f"\n\n--- the person took back a change with /undo ---\n{said}\n--- end ---")


def taking_back(call: ToolCall, result: ToolResult) -> list[ToolCall]:
    """What takes back what a call changed, as its answer says; nothing for one that changed nothing."""
    server, _, tool = call.name.partition("__")
    if server not in _UNDO or "undo" in tool or result.is_error:
        return []
    head = result.text.partition("\n<<")[0]
    found = re.findall(r"\bop(?:=|\":\s*\")(u?[0-9a-f]{6,})", head)[
        -1:
    ]  # before it may stand a message or a path
    where = {"repo": call.arguments["repo"]} if "repo" in call.arguments else {}
    return [ToolCall(id=op, name=_UNDO[server], arguments={"op": op, **where}) for op in found]


_UNDO = {"files": "files__undo", "git": "git__git_undo", "ollama": "files__undo"}
"""By server, the tool that takes back its changes: what a worker wrote is kept where the files server looks."""
