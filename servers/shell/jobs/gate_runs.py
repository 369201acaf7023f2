"""Commands of gates: nobody is there to confirm them, and each runs in a shell of its folder's own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...output import ToolError
from ..policy.refusals import refusal
from ..policy.rules import BUILT_IN, Policy
from .job_report import ending, recorded
from .shell import Shell, open_shell

_gates: list[Shell] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRun:
    """What a gate command came to."""

    exit: int | None  # None: it did not run, `output` says why
    output: str  # bounded, secrets masked; not fenced
    sandbox: str
    duration_s: float | None


async def run_gate(root: Path, command: str, *, timeout_s: float, policy: Policy = BUILT_IN) -> GateRun:
    """Run a check nobody is there to confirm: what the policy would ask about is refused, naming the rule,
    unless the policy says what else holds then (`ask_fallback`).

    A command that is still running after `timeout_s` is killed; its exit is then not 0.
    Call `close_gates` when the process ends.
    """
    shell = _gate_shell(str(root), policy)
    try:
        decision = shell.judge(command, None)
    except ToolError as exc:
        return GateRun(exit=None, output=str(exc), sandbox="", duration_s=None)
    if policy.refuses(decision.effect):
        return GateRun(exit=None, output=refusal(decision, policy), sandbox="", duration_s=None)
    job = await shell.start(command, None, timeout_s=timeout_s, stdin="")
    try:
        await job.wait(timeout_s + 10)
    finally:
        if job.running:
            job.send({"kill": 0})
    if job.ended is None:
        return GateRun(
            exit=None, output=job.failure or "it could not be stopped", sandbox=job.sandbox, duration_s=None
        )
    text = recorded(job, 0).text
    code = job.ended["exit"] if job.ended["ended"] == "exit" else job.ended["exit"] or 1
    note = "" if job.ended["ended"] == "exit" else f"\n[{ending(job)}]"
    return GateRun(exit=code, output=text + note, sandbox=job.sandbox, duration_s=job.ended["duration_s"])


def close_gates() -> None:
    """End every gate command of this process."""
    for shell in _gates:
        shell.close()
    _gates.clear()
    _gate_shell.cache_clear()


@cache
def _gate_shell(root: str, policy: Policy) -> Shell:
    shell = open_shell(Path(root), policy)
    _gates.append(shell)
    return shell
