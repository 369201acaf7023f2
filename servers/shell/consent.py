"""A yes from the user: asked in the client's own dialogue, never taken from the model.

Works in both protocol eras: as a request to the client during the call (to 2025-11-25), or as a call
that comes back with the answer (from 2026-07-28). A client that cannot ask gets a refusal in words.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from anyio.abc import TaskGroup
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult
from pydantic import BaseModel, Field

from ..output import ToolError, one_line
from ..protocol.asking_hosts import asks_itself, way_out
from ..protocol.server import NOT_AGREED, can_ask
from ..state import audit
from .jobs.jobs import Job, as_text
from .jobs.shell import Shell
from .policy.judge import Decision
from .policy.refusals import allowing_line, refusal, rule_for
from .quality.test_runners import runner_for, wanted


class Answer(BaseModel):
    """What the user says to a command that wants a yes."""

    run: Literal["once", "always", "program", "no"] = Field(
        description="always: this exact command; program: these programs in this folder; both until the server ends"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What the user allowed until the server ends."""

    exactly: set[str] = field(default_factory=set)  # keys of commands
    programs: set[tuple[str, Path]] = field(default_factory=set)  # and the folder they may run in

    def lines(self, root: Path) -> list[str]:
        """For a person, one line each."""
        rows = [f"{name} in {os.path.relpath(folder, root)}" for name, folder in sorted(self.programs)]
        exact = f"{len(self.exactly)} exact command{'s' * (len(self.exactly) != 1)}"
        return [
            f"allowed until the server ends: {row}" for row in [*rows, *([exact] if self.exactly else [])]
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every call of one server shares; its lifespan context."""

    shell: Shell
    tasks: TaskGroup
    allowed: Allowed

    def watch(self, job: Job) -> None:
        """Notice the end of a job when it comes, not when somebody asks: protected places are put back then."""
        self.tasks.start_soon(job.wait, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command, what the policy says of it, and what the user has said or could say."""

    decision: Decision
    shown: str
    key: str  # what an "always" holds for: exactly this
    folder: Path
    programs: tuple[str, ...] = ()  # a yes to these in this folder would let it run
    covered: bool = False  # and the user gave it


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """A command may run, or the user said no: `declined` says so, and nothing is wrong."""

    declined: str | None
    agreed: bool  # somebody said yes to it, or to its kind
    approved: bool  # the user said yes to exactly this


def case_of(
    desk: Desk, command: str | None, argv: list[str] | None, cwd: str, env: dict[str, str] | None
) -> Case:
    """The case of run_command. Raises ToolError when the call makes no sense."""
    shell = desk.shell
    decision = shell.judge(command, argv, cwd, env)
    folder, shown = shell.folder(cwd), command or as_text(argv or ())
    case = Case(
        decision=decision,
        shown=shown,
        key=repr((command, argv, cwd, sorted((env or {}).items()))),
        folder=folder,
    )
    if decision.effect != "ask":
        return case
    given = frozenset(name for name, place in desk.allowed.programs if folder.is_relative_to(place))
    if given and shell.judge(command, argv, cwd, env, also=given).effect == "allow":
        return replace(case, covered=True)
    names = {
        rule_for(one.part) if one.rule == "default" else None
        for one in decision.findings
        if one.effect == "ask"
    }
    programs = frozenset(name for name in names if name)
    enough = (
        None not in names and shell.judge(command, argv, cwd, env, also=programs | given).effect == "allow"
    )
    return replace(case, programs=tuple(sorted(programs))) if enough else case


def confirm(
    command: str | None, argv: list[str] | None, cwd: str, env: dict[str, str] | None, ctx: Context[Any, Any]
) -> Elicit[Answer] | Answer:
    """For run_command: ask where the policy says so and the client can. The call itself decides again."""
    try:
        return _ask(ctx, case_of(desk_of(ctx), command, argv, cwd, env))
    except ToolError:
        return _NOT_ASKED  # the call says what is wrong


def confirm_tests(target: str | None, keyword: str | None, ctx: Context[Any, Any]) -> Elicit[Answer] | Answer:
    """The same for run_tests, which is judged as its runners."""
    try:
        return _ask(ctx, tests_case(desk_of(ctx).shell, target, keyword))
    except ToolError:
        return _NOT_ASKED


def tests_case(shell: Shell, target: str | None, keyword: str | None) -> Case:
    """The case of run_tests. Raises ToolError when there are none to run."""
    rule, decision = judged_tests(shell, target, keyword)
    return Case(
        decision=decision,
        shown=f"the tests, by {as_text(rule)}",
        key=repr(("tests", rule)),
        folder=shell.root,
    )


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


def cleared(ctx: Context[Any, Any], case: Case, confirmed: ElicitationResult[Answer]) -> Clearance:
    """What was decided about a command. Raises ToolError when it may not run. Either way the audit has it."""
    desk, decision = desk_of(ctx), case.decision
    policy = desk.shell.policy
    answer, refused = None, None
    if decision.effect == "ask":
        answer = _answer(ctx, case, confirmed)
    if policy.refuses(decision.effect) and answer is None:
        refused = refusal(decision, policy) + (way_out(ctx) if decision.effect == "ask" else "")
    worst = decision.worst
    audit.record(
        "shell", event="decision", root=str(desk.shell.root), command=case.shown, effect=decision.effect,
        part=worst.part, rule=worst.rule, answer=answer, ran=not refused and answer != "no",
        sandbox=desk.shell.sandbox.level,
    )  # fmt: skip
    if refused:
        raise ToolError(refused)
    if answer == "no" and not isinstance(confirmed, AcceptedElicitation):
        raise ToolError(
            f"not run: {NOT_AGREED} ({one_line(worst.part)}: {worst.rule}). "
            f"A policy file (--policy FILE) with {allowing_line(worst)} would permit it unasked.{way_out(ctx)}"
        )
    declined = f"not run: the user declined ({worst.part}: {worst.rule})" if answer == "no" else None
    agreed = answer not in (None, "no")
    return Clearance(declined=declined, agreed=agreed, approved=agreed and answer not in ("covered", "host"))


def _answer(ctx: Context[Any, Any], case: Case, confirmed: ElicitationResult[Answer]) -> str | None:
    """Who said yes or no to a command that is asked about; None when nobody could."""
    desk = desk_of(ctx)
    if case.key in desk.allowed.exactly:
        return "always"
    if case.covered:
        return "covered"
    if asks_itself(ctx):
        return "host"
    if not can_ask(ctx):
        return None
    answer = confirmed.data.run if isinstance(confirmed, AcceptedElicitation) else "no"
    if answer == "program" and case.programs:
        desk.allowed.programs.update((name, case.folder) for name in case.programs)
    elif answer in ("always", "program"):
        desk.allowed.exactly.add(case.key)
    return answer


def _ask(ctx: Context[Any, Any], case: Case) -> Elicit[Answer] | Answer:
    desk = desk_of(ctx)
    settled = case.decision.effect != "ask" or case.key in desk.allowed.exactly or case.covered
    if settled or asks_itself(ctx) or not can_ask(ctx):
        return _NOT_ASKED
    return Elicit(_question(desk.shell, case), Answer)


_NOT_ASKED = Answer(run="no")


def desk_of(ctx: Context[Any, Any]) -> Desk:
    """What the calls of this server share."""
    return ctx.request_context.lifespan_context


def shell_policy(shell: Shell, allowed: Allowed) -> str:
    """What decides here, for a person: the policy, the sandbox, and what was allowed for this session."""
    policy = shell.policy
    rules = f"what no rule names: {policy.default}; where nobody can be asked: {policy.ask_fallback}"
    held = shell.sandbox.named(network=policy.network)
    return "\n".join([f"policy: {policy.source}; {rules}", held, *allowed.lines(shell.root)])


def _question(shell: Shell, case: Case) -> str:
    decision, shown = case.decision, one_line(case.shown)
    online = " with the network on" if decision.network or shell.policy.network else ""
    worst = decision.worst
    why = f"{worst.part}: " if worst.part and worst.part != shown else ""
    names = ", ".join(case.programs)
    wider = f"\nprogram: {names} in {case.folder.relative_to(shell.root.parent)}" if names else ""
    return (
        f"Run this in {shell.root.name} (sandbox: {shell.sandbox.level}{online})?\n{shown[:2000]}\n"
        f"Asked because: {why}{'no rule allows it' if worst.rule == 'default' else worst.rule}{wider}"
    )
