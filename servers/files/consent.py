"""The user's yes to changing files that run code later: asked in the client's own dialogue, never taken from the model."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult
from pydantic import BaseModel, Field

from ..output import ToolError, masked, one_line
from ..protocol.asking_hosts import asks_itself, way_out
from ..protocol.server import NOT_AGREED, can_ask
from ..source.patch.unified_diff import parse
from ..state import audit
from ..workspace import Confirmed, Workspace, nobody
from .editing import Edit

MAX_LINES = 12
MAX_LINE_CHARS = 160
DECLINED = "nothing was changed: the user declined"


class Yes(BaseModel):
    """The user's answer."""

    change: bool = Field(description="let the model make this change")


# What asks without much work is a coroutine: a thread for it would take longer than the question whether to ask.


async def for_write(path: str, content: str, ctx: Context[Any, Any]) -> Elicit[Yes] | Yes:
    return _ask([path], ctx, lambda: _marked("+", content))


async def for_delete(path: str, ctx: Context[Any, Any]) -> Elicit[Yes] | Yes:
    return _ask([path], ctx, lambda: ["(deleted)"])


async def for_edit(path: str, edits: list[Edit], dry_run: bool, ctx: Context[Any, Any]) -> Elicit[Yes] | Yes:
    def lines() -> list[str]:
        return [line for one in edits for line in (*_marked("-", one.old or ""), *_marked("+", one.new))]

    return Yes(change=True) if dry_run else _ask([path], ctx, lines)


def for_patch(patch: str, dry_run: bool, ctx: Context[Any, Any]) -> Elicit[Yes] | Yes:
    return Yes(change=True) if dry_run else _ask(paths_of(patch), ctx, patch.splitlines)


async def for_move(src: str, dst: str, copy: bool, ctx: Context[Any, Any]) -> Elicit[Yes] | Yes:
    return _ask([dst] if copy else [src, dst], ctx, lambda: [f"{src} -> {dst}"])


def agreed(
    ctx: Context[Any, Any], paths: Sequence[str], answer: ElicitationResult[Yes], *, dry_run: bool = False
) -> Confirmed | None:
    """Which places the user said yes to; None when they said no, ToolError when nobody may have. Found anew: the question is long ago."""
    if dry_run:
        return lambda shown: True
    if isinstance(answer, AcceptedElicitation) and answer.data is _NEEDS_NONE:
        return nobody
    names = _workspace(ctx).wants_yes(paths)
    if names and asks_itself(ctx):
        audit.record("files", asked=", ".join(names), answer="host")
        return frozenset(names).__contains__
    if not names or not can_ask(ctx):
        return nobody
    yes = isinstance(answer, AcceptedElicitation) and answer.data.change
    audit.record("files", asked=", ".join(names), answer="yes" if yes else "no")
    if not yes and isinstance(answer, AcceptedElicitation):
        return None
    if not yes:
        ways = " ".join(f"--allow {shlex.quote(name)}" for name in names)
        raise ToolError(
            f"nothing was changed: {NOT_AGREED}; the server's option {ways} would permit it unasked.{way_out(ctx)}"
        )
    return frozenset(names).__contains__


def paths_of(patch: str) -> list[str]:
    """The files a patch names; none when it cannot be read, which the call itself will say."""
    try:
        return list(dict.fromkeys(name for one in parse(patch) for name in (one.old, one.new) if name))
    except ToolError:
        return []


def _ask(
    paths: Sequence[str], ctx: Context[Any, Any], lines: Callable[[], Sequence[str]]
) -> Elicit[Yes] | Yes:
    names = _workspace(ctx).wants_yes(paths)
    if not names:
        return _NEEDS_NONE
    if asks_itself(ctx) or not can_ask(ctx):
        return Yes(change=False)
    change = lines()
    shown = [masked(one_line(line))[:MAX_LINE_CHARS] for line in change[:MAX_LINES]]
    more = [f"... and {len(change) - MAX_LINES:,} lines more"] if len(change) > MAX_LINES else []
    asked = f"Let the model change {', '.join(names)}? What is in there runs as code later."
    return Elicit("\n".join([asked, *shown, *more]), Yes)


def _marked(mark: str, text: str) -> list[str]:
    return [mark + line for line in text.splitlines()]


def _workspace(ctx: Context[Any, Any]) -> Workspace:
    return ctx.request_context.lifespan_context


_NEEDS_NONE = Yes(change=False)
"""No place needed a yes. Should one need it by now, the change itself finds that, under its lock, and refuses."""
