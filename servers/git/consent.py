"""A yes from the user before anything leaves or enters by the network; never taken from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from pydantic import BaseModel, Field

from ..output import ToolError
from ..protocol.asking_hosts import asks_itself, way_out
from ..protocol.server import NOT_AGREED, can_ask
from ..state import audit
from .safe.places import Places
from .tools.remote import Action, Plan, plan


class Answer(BaseModel):
    """What the user says to one remote operation."""

    go: Literal["yes", "no"] = Field(description="yes: do exactly this, once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every call of one server shares; its lifespan context."""

    places: Places
    allowed: frozenset[str]  # remote actions the user's own command line permits without a question


def planned(
    action: Action, remote: str | None, ref: str | None, force: bool, repo: str | None, ctx: Context[Any, Any]
) -> Plan | str | None:
    """The plan the question is about, so that what was asked is what is done; None for a list."""
    if action == "list":
        return None
    try:
        return plan(desk_of(ctx).places.repository(repo), action, remote, ref, force=force)
    except ToolError as exc:
        return str(exc)  # the call itself says it


def question(
    found: Annotated[Plan | str | None, Resolve(planned)], ctx: Context[Any, Any]
) -> Elicit[Answer] | Answer:
    """Ask where a question is due and the client can show it."""
    if not isinstance(found, Plan) or _permitted(found, ctx) or _by_host(found, ctx) or not can_ask(ctx):
        return Answer(go="no")
    return Elicit("\n".join([found.question, *found.sent]), Answer)


def cleared(found: Plan, ctx: Context[Any, Any], answer: ElicitationResult[Answer]) -> str | None:
    """None when it may be done, else that the user said no. ToolError when nobody may have been asked."""
    permitted = _permitted(found, ctx)
    yes = isinstance(answer, AcceptedElicitation) and answer.data.go == "yes"
    by_host = _by_host(found, ctx)
    how = (
        "by the command line"
        if permitted
        else "by the host"
        if by_host
        else "by the user"
        if yes
        else "no"
        if can_ask(ctx)
        else "cannot ask"
    )
    audit.record("git", remote=found.question, allowed=how, root=str(found.top))
    if permitted or by_host:
        return None
    if not can_ask(ctx):
        why = (
            "the remote is a folder outside the root, which always needs a yes"
            if found.address.outside
            else f"the user can allow it: start understudy-git with --allow-remote {found.action}.{way_out(ctx)}"
        )
        raise ToolError(f"{found.action} needs the user's yes, and this client cannot ask; {why}")
    if not yes and isinstance(answer, AcceptedElicitation):
        return f"not done: the user declined ({found.question})"
    if not yes:
        way = (
            ""
            if found.address.outside
            else f"; understudy-git --allow-remote {found.action} would permit it unasked.{way_out(ctx)}"
        )
        raise ToolError(f"not done ({found.question}): {NOT_AGREED}{way}")
    return None


def desk_of(ctx: Context[Any, Any]) -> Desk:
    """What the calls of this server share."""
    return ctx.request_context.lifespan_context


def _permitted(found: Plan, ctx: Context[Any, Any]) -> bool:
    return found.action in desk_of(ctx).allowed and not found.address.outside


def _by_host(found: Plan, ctx: Context[Any, Any]) -> bool:
    """Whether the host has asked already; a remote outside the root is a folder it cannot know to be one."""
    return asks_itself(ctx) and not found.address.outside
