"""The gates there are, in the order they run: how each is asked for, when it comes unasked, and what it checks.

A new gate is one entry of KINDS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import anyio

from .answer_checks import (
    counts_rightly,
    fits_schema,
    is_an_answer,
    labels_rows,
    quotes_verbatim,
    wants_quotes,
    wants_rows,
)
from .file_checks import (
    few_lines,
    keeps_the_rest,
    only_comments,
    only_docstrings,
    only_removed,
    only_renamed,
    only_settings,
    only_values,
    parses,
    unlooked_at,
    wants_comments,
    wants_docstrings,
    wants_edits,
    wants_rename,
    wants_settings,
)
from .judged import Judged, Result
from .run_checks import passes_command, passes_own_tests, passes_tests, wants_own_tests


@dataclass(frozen=True, slots=True, kw_only=True)
class GateKind:
    """One entry of the table."""

    name: str
    check: Callable[[Judged, object], Awaitable[Result]]
    form: str = ""
    """How a caller writes it; "" where it is never asked for."""
    value: Callable[[object], object | None] = lambda given: given if isinstance(given, bool) else None
    """What a caller's value means; None when it means nothing."""
    unasked: Callable[[Judged], object | None] = lambda _: None
    """The value it has where the caller named none: what the task itself asks for."""
    proves: bool = True
    """Passing it is worth something. The others only find faults, and are not told when they find none."""
    leaves: Callable[[Judged], str] = lambda _: ""
    """What passing it unasked leaves open, where it looks at the form alone."""


def threaded(check: Callable[[Judged], Result]) -> Callable[[Judged, object], Awaitable[Result]]:
    async def run(judged: Judged, _: object) -> Result:
        return await anyio.to_thread.run_sync(check, judged)

    return run


def _a_schema(given: object) -> object | None:
    return cast("dict[str, object]", given) if isinstance(given, dict) else None


def _a_target(given: object) -> object | None:
    return (
        given
        if isinstance(given, str)
        else {True: "", False: False}[given]
        if isinstance(given, bool)
        else None
    )


def _a_count(given: object) -> object | None:
    fits = isinstance(given, str | int) and not isinstance(given, bool) and str(given).isdigit()
    return int(cast("str", given)) if fits else None


KINDS: tuple[GateKind, ...] = (
    GateKind(
        name="schema",
        form='{"schema": {...}}',
        value=_a_schema,
        check=fits_schema,
    ),
    GateKind(name="answers", check=threaded(is_an_answer), unasked=lambda _: True, proves=False),
    GateKind(
        name="keeps", check=threaded(keeps_the_rest), unasked=lambda j: bool(j.candidate.files), proves=False
    ),
    GateKind(name="max_changed_lines", form='{"max_changed_lines": n}', value=_a_count, check=few_lines),
    GateKind(
        name="syntax",
        form='"syntax"',
        check=threaded(parses),
        unasked=lambda j: True if j.candidate.files else None,
        leaves=unlooked_at,
    ),
    GateKind(name="rows", check=threaded(labels_rows), unasked=wants_rows),
    GateKind(
        name="counts",
        check=threaded(counts_rightly),
        unasked=lambda j: None if j.candidate.files or j.schema is not None else True,
    ),
    GateKind(name="docstrings", check=threaded(only_docstrings), unasked=wants_docstrings),
    GateKind(name="comments", check=threaded(only_comments), unasked=wants_comments),
    GateKind(name="settings", check=threaded(only_settings), unasked=wants_settings),
    GateKind(name="removed", check=threaded(only_removed), unasked=wants_edits),
    GateKind(name="values", check=threaded(only_values), unasked=wants_edits),
    GateKind(name="rename", check=threaded(only_renamed), unasked=wants_rename),
    GateKind(name="quotes", form='"quotes"', check=threaded(quotes_verbatim), unasked=wants_quotes),
    GateKind(
        name="command",
        form='{"command": "..."}',
        value=lambda given: given if isinstance(given, str) and given.strip() else None,
        check=passes_command,
    ),
    GateKind(name="tests", form='"tests" or {"tests": "path"}', value=_a_target, check=passes_tests),
    GateKind(name="own tests", check=passes_own_tests, unasked=wants_own_tests),
)
"""Cheap ones first: the first that fails ends it."""
