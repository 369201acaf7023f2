"""run_tests: the project's runner in the sandbox, judged by the report it leaves, never by what it prints."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import anyio

from ...output import ToolError
from ...state.home import home
from ..jobs.jobs import Job
from ..jobs.shell import Shell
from .npm_script import beyond
from .results import MAX_RECORD_BYTES, Failure, TestReport
from .test_reports import READERS, Counts
from .test_runners import ATTESTING, Runner, Wanted, interpreters, runner_for, wanted
from .tools import ask_tool, read_private, relative

MAX_RUNS = 6  # at once: jobs have a limit, and more projects than that are named one by one


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

    def named(self) -> str:
        return named(self.shell.root, self.want, self.runner.name)

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
        if left := self._not_collected(counts):
            report.note = "; ".join(
                part for part in (report.note, f"left out by the project's configuration: {left}") if part
            )
        if counts.total and counts.total == counts.skipped:
            report.note = report.note or f"none ran: all {counts.skipped} were skipped"
            return
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

    def _not_collected(self, counts: Counts) -> str:
        """Files with tests of which a run of the whole project collected none; "" where all is well or not known."""
        want = self.want
        if self.runner.name != "pytest" or want.target or want.name or want.keyword or not any(counts.files):
            return ""
        left = [file for file in want.project.files if file not in counts.files]
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        return ", ".join(left[:5]) + more if not counts.errors and not counts.deselected else ""

    def _placed(self, failure: Failure) -> Failure:
        """The failure with its file and id as they can be given as the next target: from the workspace's top."""
        ident = failure.id.replace(f"{self.shell.root}/", "")
        file = (
            relative(self.shell, str(self.want.folder / failure.file)) if failure.file is not None else None
        )
        top = os.path.relpath(self.want.folder, self.shell.root)
        path, colons, name = ident.partition("::")
        if self.runner.name == "node --test" and file:
            ident = f"{file}::{name if path == 'test' and colons else ident}"
        elif top != "." and (self.want.kind == "cargo" or (self.want.folder / path).is_file()):
            ident = f"{top}/{ident}" if self.want.kind != "cargo" else f"{top}::{ident}"
        return failure.model_copy(update={"id": ident, "file": file})


@dataclass(slots=True, kw_only=True)
class TestRuns:
    """The runs of all projects that a call asked for; `job` is the one to wait for, or to look at."""

    runs: list[TestRun]
    not_run: list[str]  # `backend (pytest): why`
    root: Path

    @property
    def jobs(self) -> list[Job]:
        return [run.job for run in self.runs]

    def report(self) -> TestReport:
        """One record of all: passed when every project ran and passed."""
        reports = [run.report() for run in self.runs]
        if len(reports) == 1 and not self.not_run:
            return reports[0]
        running = [one for one in reports if one.status == "running"]
        bad = [one for one in reports if one.status not in ("passed", "running")]
        bad.sort(key=lambda one: one.status != "failed")  # a failure is known, whatever else is not
        passed = [run.named() for run, one in zip(self.runs, reports, strict=True) if one.status == "passed"]
        notes = [f"passed for {', '.join(passed)}"] if passed else []
        notes += [
            f"{run.named()}: {one.status}" + (f" ({one.note})" if one.note else "")
            for run, one in zip(self.runs, reports, strict=True)
            if one.status != "passed"
        ]
        notes += [f"not run: {'; '.join(self.not_run)}"] if self.not_run else []
        failures = [failure for one in reports for failure in one.failures]
        first = (running or bad or reports)[0]
        return TestReport(
            status=first.status if running or bad else "incomplete" if self.not_run else "passed",
            runner=" + ".join(dict.fromkeys(one.runner for one in reports)),
            passed=_sum(one.passed for one in reports),
            failed=_sum(one.failed for one in reports),
            errors=_sum(one.errors for one in reports),
            skipped=_sum(one.skipped for one in reports),
            duration_s=max((one.duration_s or 0 for one in reports), default=None),
            exit=next((one.exit for one in reports if one.exit), first.exit),
            failures=failures,
            not_shown=sum(one.not_shown for one in reports),
            sandbox=first.sandbox,
            job=first.job,
            note="; ".join(notes),
        )


def named(root: Path, want: Wanted, runner: str) -> str:
    """`backend (pytest)`."""
    return f"{os.path.relpath(want.folder, root)} ({runner})"


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


async def start_all_tests(
    shell: Shell,
    target: str | None,
    keyword: str | None,
    *,
    max_failures: int,
    timeout_s: float,
    changed: Collection[str] = (),
) -> TestRuns:
    """Start the runner of every project that is asked for, each as a job. ToolError when none can be started."""
    want, not_run = await anyio.to_thread.run_sync(wanted, shell, target, keyword, changed)
    runs: list[TestRun] = []
    refused: list[ToolError] = []
    for number, one in enumerate(want):
        if number >= MAX_RUNS:
            not_run.append(
                f"{named(shell.root, one, one.kind)}: more than {MAX_RUNS} projects; name it as target"
            )
            continue
        try:
            runs.append(await start_tests(shell, one, max_failures=max_failures, timeout_s=timeout_s))
        except ToolError as exc:
            refused.append(exc)
            runner = "pytest" if one.kind == "python" else one.kind
            not_run.append(f"{named(shell.root, one, runner)}: {exc}")
    if not runs:
        raise refused[0] if len(refused) == 1 else ToolError("; ".join(not_run))
    for run in runs:
        if run.want.kind == "node" and run.runner.report and not run.want.target and not run.want.name:
            others = beyond(run.want.folder, run.runner.name)
            not_run += (
                [f"{run.named()}: what the test script has beside it: {', '.join(others)}"] if others else []
            )
    return TestRuns(runs=runs, not_run=not_run, root=shell.root)


async def start_tests(shell: Shell, want: Wanted, *, max_failures: int, timeout_s: float) -> TestRun:
    """Start the project's runner as a job."""
    python = await _with_pytest(shell, want.folder) if want.kind == "python" else None
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


async def _with_pytest(shell: Shell, folder: Path) -> str | None:
    """The first Python here that can import pytest, the project's own before others; None when none can."""
    script = 'for p in "$@"; do "$p" -c "import pytest" 2>/dev/null && printf %s "$p" && exit; done'
    with anyio.move_on_after(30):
        answer = await ask_tool(shell, ["bash", "-c", script, "bash", *interpreters(shell, folder)])
        return answer.out.decode("utf-8", "replace") or None
    return None
