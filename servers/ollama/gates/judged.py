"""One candidate as gates look at it, and what a gate answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from .answer import Candidate
from .documents import Document
from .no_answer import Asked

Result = tuple[bool | None, str] | tuple[bool | None, str, str]
"""Passed, failed or nothing to check; what the caller should know; and what passing leaves open, where it does."""

RunGate = Callable[[Mapping[str, bytes], str], Awaitable[Result]]
"""Runs a command where these files are in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One candidate, and everything a gate may look at."""

    candidate: Candidate
    before: Mapping[str, Document] = field(default_factory=dict[str, Document])
    """The candidate's files as they are; those that are not there are new."""
    given: Mapping[str, Document] = field(default_factory=dict[str, Document])
    """All files the worker was given."""
    asked: Asked
    schema: Mapping[str, object] | None = None
    data: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """The candidate's files as they would lie on disk."""
    runs: Mapping[str, RunGate] = field(default_factory=dict[str, RunGate])
    """How "command", "tests" and "own tests" are run."""
    tests: str | None = None
    """The test file of what changes, which the worker was not given and nobody asked to run."""

    def old(self, path: str) -> str | None:
        return self.before[path].text if path in self.before else None

    @property
    def python(self) -> dict[str, str]:
        """The new texts of Python files."""
        return {p: text for p, text in self.candidate.files.items() if p.lower().endswith((".py", ".pyi"))}
