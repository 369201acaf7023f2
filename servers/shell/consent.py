"""A yes from the user: asked in the client's own dialogue, never taken from the model.

Works in both protocol eras: as a request to the client during the call (to 2025-11-25), or as a call
that comes back with the answer (from 2026-07-28). A client that cannot ask gets a refusal in words.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from anyio.abc import TaskGroup
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult
from pydantic import BaseModel, Field

from ..output import ToolError, one_line
from ..protocol.server import NOT_AGREED, can_ask
from ..state import audit
from .jobs.jobs import Job, as_text
from .jobs.shell import Shell, allowing_line, refusal
from .policy.judge import Decision
from .quality.test_runners import runner_for, wanted


class Answer(BaseModel):
    """What the user says to a command that wants a yes."""

    run: Literal["once", "always", "no"] = Field(
        description="always: this exact command, until the server ends"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every call of one server shares; its lifespan context."""

    shell: Shell
    tasks: TaskGroup
    always: set[str] = field(default_factory=set)  # commands the user said "always" to

    def watch(self, job: Job) -> None:
        """Notice the end of a job when it comes, not when somebody asks: protected places are put back then."""
        self.tasks.start_soon(job.wait, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """A command may run, or the user said no: `declined` says so, and nothing is wrong."""

    declined: str | None
    approved: bool  # the user said yes to exactly this


def confirm(
    command: str | None, argv: list[str] | None, cwd: str, env: dict[str, str] | None, ctx: Context[Any, Any]
) -> Elicit[Answer] | Answer:
    """For run_command: ask where the policy says so and the client can. The call itself decides again."""
    try:
        decision = desk_of(ctx).shell.judge(command, argv, cwd, env)
    except ToolError:
        return _NOT_ASKED  # the call says what is wrong
    return _ask(ctx, decision, key_of(command, argv, cwd, env), command or as_text(argv or ()))


def confirm_tests(target: str | None, keyword: str | None, ctx: Context[Any, Any]) -> Elicit[Answer] | Answer:
    """The same for run_tests, which is judged as its runners."""
    shell = desk_of(ctx).shell
    try:
        rule, decision = judged_tests(shell, target, keyword)
    except ToolError:
        return _NOT_ASKED
    return _ask(ctx, decision, key_of(None, rule, "tests", None), f"the tests, by {as_text(rule)}")


def judged_tests(
    shell: Shell, target: str | None, keyword: str | None, changed: Collection[str] = ()
) -> tuple[list[str], Decision]:
    """What the policy is asked about before tests run, and what it says: the strictest of what it says to each runner.

    Raises ToolError when there are none to run.
    """
    rules: list[list[str]] = []
    refused: list[ToolError] = []
    for want in wanted(shell, target, keyword, changed)[0]:
        try:
            rules.append(["pytest"] if want.kind == "python" else list(runner_for(shell, want).rule))
        except ToolError as exc:
            refused.append(exc)
    if not rules:
        raise refused[0]
    judged = [(rule, shell.judge(None, rule)) for rule in rules]
    return max(judged, key=lambda one: ("allow", "ask", "deny").index(one[1].effect))


def cleared(
    ctx: Context[Any, Any], decision: Decision, key: str, confirmed: ElicitationResult[Answer], shown: str
) -> Clearance:
    """What was decided about a command. Raises ToolError when it may not run. Either way the audit has it."""
    desk = desk_of(ctx)
    policy = desk.shell.policy
    answer, refused = None, None
    if decision.effect == "ask" and key in desk.always:
        answer = "always"
    elif decision.effect == "ask" and can_ask(ctx):
        answer = confirmed.data.run if isinstance(confirmed, AcceptedElicitation) else "no"
        if answer == "always":
            desk.always.add(key)
    elif policy.refuses(decision.effect):
        refused = refusal(decision, policy)
    worst = decision.worst
    audit.record(
        "shell", event="decision", root=str(desk.shell.root), command=shown, effect=decision.effect, part=worst.part,
        rule=worst.rule, answer=answer, ran=not refused and answer != "no", sandbox=desk.shell.sandbox.level,
    )  # fmt: skip
    if refused:
        raise ToolError(refused)
    if answer == "no" and not isinstance(confirmed, AcceptedElicitation):
        raise ToolError(
            f"not run: {NOT_AGREED} ({one_line(worst.part)}: {worst.rule}). "
            f"A policy file (--policy FILE) with {allowing_line(worst)} would permit it unasked"
        )
    declined = f"not run: the user declined ({worst.part}: {worst.rule})" if answer == "no" else None
    return Clearance(declined=declined, approved=answer in ("once", "always"))


def key_of(command: str | None, argv: list[str] | None, cwd: str, env: dict[str, str] | None) -> str:
    """What an "always" holds for: exactly this."""
    return repr((command, argv, cwd, sorted((env or {}).items())))


def _ask(ctx: Context[Any, Any], decision: Decision, key: str, shown: str) -> Elicit[Answer] | Answer:
    desk = desk_of(ctx)
    if decision.effect != "ask" or key in desk.always or not can_ask(ctx):
        return _NOT_ASKED
    return Elicit(_question(desk.shell, decision, one_line(shown)), Answer)


_NOT_ASKED = Answer(run="no")


def desk_of(ctx: Context[Any, Any]) -> Desk:
    """What the calls of this server share."""
    return ctx.request_context.lifespan_context


def _question(shell: Shell, decision: Decision, shown: str) -> str:
    online = " with the network on" if decision.network or shell.policy.network else ""
    worst = decision.worst
    why = f"{worst.part}: " if worst.part and worst.part != shown else ""
    return (
        f"Run this in {shell.root.name} (sandbox: {shell.sandbox.level}{online})?\n{shown[:2000]}\n"
        f"Asked because: {why}{'no rule allows it' if worst.rule == 'default' else worst.rule}"
    )
