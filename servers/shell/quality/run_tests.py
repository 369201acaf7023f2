"""run_tests: the project's runner in the sandbox, judged by the report it leaves, never by what it prints."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import anyio

from ...state.home import home
from ..jobs.jobs import Job
from ..jobs.shell import Shell
from .results import MAX_RECORD_BYTES, Failure, TestReport
from .test_reports import READERS, Counts
from .test_runners import ATTESTING, Runner, Wanted, interpreters, runner_for
from .tools import ask_tool, read_private, relative


@dataclass(slots=True, kw_only=True)
class TestRun:
    """One run of a project's tests; `report` can be asked at any time."""

    shell: Shell
    job: Job
    runner: Runner
    want: Wanted
    folder: Path  # where the report appears, gone once it was read
    max_failures: int
    read: TestReport | None = None

    def report(self) -> TestReport:
        """What is known now: `running`, or the final record."""
        if self.read is None and self.job.poll():
            data = read_private(self.folder / "report")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.read = self._final(data)
        return self.read or TestReport(
            status="running", runner=self.runner.name, sandbox=self.job.sandbox, job=self.job.id,
            note=f"still running; next: job(id={self.job.id!r}, action='wait')",
        )  # fmt: skip

    def _final(self, data: bytes | None) -> TestReport:
        kind, ended = self.runner.report, self.job.ended
        counts = READERS[kind](data) if kind and data is not None else None
        report = TestReport(
            status="no report",
            runner=self.runner.name,
            sandbox=self.job.sandbox,
            job=self.job.id,
            exit=ended["exit"] if ended else None,
            duration_s=ended["duration_s"] if ended else None,
            note=f"{self.runner.name} left no report, so nothing is known to have passed; the job has its log",
        )
        if ended is None:
            report.note = self.job.failure
        elif ended["ended"] == "timeout":
            report.status, report.note = (
                "timed out",
                f"stopped after {self.job.timeout_s:g} s; the log's end shows where",
            )
        elif ended["ended"] != "exit":
            report.status, report.note = "killed", f"ended by a limit ({ended['ended']}); the job has the log"
        elif kind is None:
            report.note = f"{self.runner.name} has no report this server can read; the exit code and the log are all there is"
        elif counts is not None:
            self._fill(report, counts, ended["exit"])
        return report

    def _fill(self, report: TestReport, counts: Counts, code: int) -> None:
        report.passed, report.failed, report.errors = counts.passed, counts.failed, counts.errors
        report.skipped = counts.skipped
        wrong = counts.failed + counts.errors
        report.status, report.note = ("failed" if wrong else "passed" if counts.passed else "no tests"), None
        if counts.deselected:
            report.note = (
                f"{counts.deselected} more were deselected, by the keyword or the project's configuration"
            )
        if counts.silent:
            names = ", ".join(counts.silent[:10])
            report.note = f"ended without reporting a test, so nothing is known of them: {names}"
        if not counts.total:
            report.note = report.note or "nothing was collected; is the target or the keyword right?"
        elif code and not wrong:
            report.status = "failed"
            report.note = (
                f"every listed test passed, but {self.runner.name} ended with exit code {code}; see the log"
            )
        elif wrong and not code:
            report.note = f"{self.runner.name} ended with exit code 0 although its report lists failures"
        room = MAX_RECORD_BYTES // 2
        for failure in counts.failures[: self.max_failures]:
            room -= len(failure.model_dump_json()) + 1
            if room < 0:
                break
            report.failures.append(self._placed(failure))
        report.not_shown = len(counts.failures) - len(report.failures)

    def _placed(self, failure: Failure) -> Failure:
        """The failure with its file named from the workspace's top."""
        named = {"id": failure.id.replace(f"{self.shell.root}/", "")}
        if failure.file is not None:
            named["file"] = relative(self.shell, str(self.want.folder / failure.file))
        return failure.model_copy(update=named)


async def start_tests(shell: Shell, want: Wanted, *, max_failures: int, timeout_s: float) -> TestRun:
    """Start the project's runner as a job."""
    python = await _with_pytest(shell) if want.kind == "python" else None
    runner = runner_for(shell, want, python)
    folder = (
        home() / "shell" / "reports" / secrets.token_hex(16)
    )  # outside the workspace, a name nobody can guess
    folder.mkdir(parents=True, mode=0o700)
    report = str(folder / "report")
    argv = runner.argv(folder)
    if runner.attested:  # a copy: an installation may lie where the sandbox shows nothing
        await anyio.to_thread.run_sync(shutil.copy, Path(__file__).with_name(ATTESTING), folder)
    job = await shell.start(
        None,
        ["bash", "-c", 'exec "$@" >"$0"', report, *argv] if runner.on_stdout else argv,
        cwd=str(want.folder),
        timeout_s=timeout_s,
        stdin=f"{report}\n" if runner.attested else "",
        env=dict(runner.env),
        extra=folder,
    )
    return TestRun(shell=shell, job=job, runner=runner, want=want, folder=folder, max_failures=max_failures)


async def _with_pytest(shell: Shell) -> str | None:
    """The first Python here that can import pytest, the project's own before others; None when none can."""
    script = 'for p in "$@"; do "$p" -c "import pytest" 2>/dev/null && printf %s "$p" && exit; done'
    with anyio.move_on_after(30):
        answer = await ask_tool(shell, ["bash", "-c", script, "bash", *interpreters(shell)])
        return answer.out.decode("utf-8", "replace") or None
    return None
