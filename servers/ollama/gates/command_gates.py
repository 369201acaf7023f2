"""What a gate runs on a copy of the tree, under the shell server's policy and sandbox: a command, or the tests."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from ...output import fenced
from ...shell.consent import judged_tests
from ...shell.jobs.gate_runs import close_gates, run_gate
from ...shell.jobs.shell import Shell, open_shell
from ...shell.policy.refusals import refusal
from ...shell.policy.rules import Policy
from ...shell.quality.run_tests import start_all_tests

TIMEOUT_S = 600.0
UNASKED_S = 60.0
_NOTE_CHARS = 1200


@dataclass(slots=True, kw_only=True)
class Checks:
    """Each returns whether it passed, and what the model should know about it."""

    policy: Policy
    _shells: dict[Path, Shell] = field(default_factory=dict[Path, Shell])

    async def command(self, tree: Path, command: str) -> tuple[bool, str]:
        """Whether it exits 0."""
        ran = await run_gate(tree, command, timeout_s=TIMEOUT_S, policy=self.policy)
        if ran.exit is None:
            return False, ran.output[:_NOTE_CHARS]
        took = f"{ran.duration_s:.1f} s" if ran.duration_s is not None else "?"
        header = f"exit={ran.exit} · {took} · {ran.sandbox}"
        return ran.exit == 0, header if ran.exit == 0 else f"{header}\n{_told(ran.output, tree)}"

    async def tests(
        self, tree: Path, target: str | None, changed: Collection[str] = (), *, asked: bool = True
    ) -> tuple[bool | None, str]:
        """Whether the tests pass, by their runners' own reports; None: of all projects that own the changed files.

        Where nobody asked for them, a policy that refuses and a runner that finds none mean that nothing is known.
        """
        timeout_s = TIMEOUT_S if asked else UNASKED_S
        if tree not in self._shells:
            self._shells[tree] = await anyio.to_thread.run_sync(open_shell, tree, self.policy)
        shell = self._shells[tree]
        _, decision = judged_tests(shell, target, None, changed)
        if self.policy.refuses(decision.effect):
            return False if asked else None, refusal(decision, self.policy)
        started = await start_all_tests(
            shell, target, None, max_failures=5, timeout_s=timeout_s, changed=changed
        )
        try:
            with anyio.move_on_after(timeout_s + 10):
                for job in started.jobs:
                    await job.wait(timeout_s + 10)
        finally:
            for job in started.jobs:
                if job.running:
                    job.send({"kill": 0})
        report = await anyio.to_thread.run_sync(started.report)
        header = (
            f"{report.status}: {report.passed or 0} passed, {report.failed or 0} failed, "
            f"{report.errors or 0} errors · {report.runner} · {report.sandbox}"
        )
        if report.status == "passed":
            return True, header
        if not asked and not (report.failed or report.errors):
            return None, header
        faults = [f"{f.file or ''}:{f.line or ''} {f.id}: {f.message}" for f in report.failures]
        return False, f"{header}\n{_told(chr(10).join([*faults, report.note or '']), tree)}"

    def close(self) -> None:
        """End everything that still runs."""
        for shell in self._shells.values():
            shell.close()
        close_gates()


def _told(output: str, tree: Path) -> str:
    """The end of what a gate printed, fenced, with paths as the tree has them."""
    return fenced(output.replace(f"{tree}/", "").strip()[-_NOTE_CHARS:], "output of the gate")
