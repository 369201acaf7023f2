"""What `lint` and `run_tests` return: one complete record each."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

MAX_RECORD_BYTES = 36_000


class Finding(BaseModel):
    """One thing a linter says. `line` and `col` count from 1."""

    file: str
    line: int | None
    col: int | None
    code: str | None  # None: the text does not parse
    message: str
    fixable: bool


class LintReport(BaseModel):
    """Findings by file and line. `op` undoes the fixes made."""

    findings: list[Finding]
    total: int  # found in all; more than are listed when the list is cut
    files: int  # looked at
    fixed: list[str] = []
    op: str | None = None
    notes: list[str] = []


class Failure(BaseModel):
    """One test that failed or could not run."""

    id: str
    kind: Literal["failed", "error"]
    file: str | None
    line: int | None
    message: str
    tail: str  # the end of its traceback and output


class TestReport(BaseModel):
    """What the runners' own reports say; counts are None when there is none."""

    status: Literal[
        "passed", "failed", "incomplete", "no tests", "no report", "timed out", "killed", "running"
    ]  # incomplete: what ran passed, but not all projects ran
    runner: str
    passed: int | None = None
    failed: int | None = None
    errors: int | None = None
    skipped: int | None = None
    duration_s: float | None = None
    exit: int | None = None
    failures: list[Failure] = []
    not_shown: int = 0  # further failures
    sandbox: str
    job: str  # job(id=...) has the log
    note: str | None = None
