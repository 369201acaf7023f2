"""The deterministic checks a candidate must pass before anything of it counts or touches the disk.

A gate answers passed, failed, or "there was nothing to check", which is never a pass.
"""

from __future__ import annotations

import difflib
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import anyio

from ...output import ToolError
from ...source.syntax_check import note as syntax_note
from ..ledger.receipt import Checked, Gated
from .answer import Candidate
from .documents import Document
from .json_schema import misfit, schema_wrong

MAX_NOTE_CHARS = 2000
FORMS = (
    '"syntax", "quotes", "tests", "none", {"command": "..."}, {"tests": "path"}, {"max_changed_lines": n}, '
    '{"schema": {...}}, or a list of these'
)

RunGate = Callable[[Mapping[str, bytes], str], Awaitable[tuple[bool, str]]]
"""Runs a command where these files are in place; whether it passed, and a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What is asked of a candidate."""

    syntax: bool = True
    """Every file that has a known syntax must parse."""
    quotes: bool = False
    """Every quoted span occurs verbatim in what the worker was given."""
    schema: Mapping[str, object] | None = None
    max_changed_lines: int | None = None
    command: str | None = None
    tests: str | None = None
    """A test target; "" means all."""
    off: bool = False


def parse_gates(given: object, schema: Mapping[str, object] | None) -> Gates:
    """The gates a caller asked for in any of the forms they may take. ToolError says which there are."""
    gates = Gates(schema=schema)
    try:
        gates = gates if given is None else _with(gates, given)
    except RecursionError:
        raise ToolError(f"the gate is nested too deeply; a gate is {FORMS}") from None
    if gates.schema is not None and (wrong := schema_wrong(gates.schema)):
        raise ToolError(f"the schema is not valid JSON Schema: {wrong}")
    if gates.off and (
        gates.command or gates.tests is not None or gates.quotes or gates.max_changed_lines is not None
    ):
        raise ToolError('gate "none" cannot stand beside another gate')
    return replace(gates, syntax=False) if gates.off else gates


@dataclass(slots=True, kw_only=True)
class Judging:
    """One candidate before its gates."""

    gates: Gates
    candidate: Candidate
    inputs: Mapping[str, Document]
    material: str
    """Everything the worker could quote from: files and context."""
    data: Mapping[str, bytes]
    """The candidate's files as they would lie on disk."""
    runs: Mapping[str, RunGate]
    """How the "command" and "tests" gates are run."""
    checks: list[Checked] = field(default_factory=list[Checked])

    async def verdict(self) -> Gated:
        """The verdict of all gates; cheap ones first, and the first failure ends it."""
        gates = self.gates
        if gates.schema is not None and not await self._checked("schema", self._schema):
            return Gated(passed=False, checks=self.checks)
        cheap: list[tuple[bool, str, Callable[[], tuple[bool | None, str]]]] = [
            (gates.max_changed_lines is not None, "max_changed_lines", self._changed_lines),
            (gates.syntax and bool(self.candidate.files), "syntax", self._syntax),
            (gates.quotes, "quotes", self._quotes),
        ]
        for asked, name, check in cheap:
            if asked and not await self._checked(name, anyio.to_thread.run_sync, check):
                return Gated(passed=False, checks=self.checks)
        for name, what in (("command", gates.command), ("tests", gates.tests)):
            if what is not None and not await self._checked(name, self.runs[name], self.data, what):
                return Gated(passed=False, checks=self.checks)
        passed = True if any(check.passed for check in self.checks) else None
        return Gated(passed=passed, checks=self.checks)

    async def _checked(
        self, name: str, check: Callable[..., Awaitable[tuple[bool | None, str]]], *args: object
    ) -> bool:
        """Run one check and note it; false when it failed."""
        began = time.perf_counter()
        try:
            passed, note = await check(*args)
        except ToolError as exc:  # a gate that cannot run has not been passed
            passed, note = False, str(exc)
        took_s = time.perf_counter() - began
        self.checks.append(Checked(gate=name, passed=passed, note=note[:MAX_NOTE_CHARS], took_s=took_s))
        return passed is not False

    def _syntax(self) -> tuple[bool | None, str]:
        known: list[str] = []
        for path, text in self.candidate.files.items():
            note = syntax_note(path, text)
            if note is not None and note.startswith("syntax: "):
                return False, f"{path}: {note.removeprefix('syntax: ')}"
            if note == "syntax ok":
                known.append(path)
        return (True, f"{', '.join(known)}: syntax ok") if known else (None, "no parser for these files")

    async def _schema(self) -> tuple[bool | None, str]:
        fault = await misfit(self.gates.schema or {}, self.candidate.data)
        return fault is None, fault or "it is valid"

    def _changed_lines(self) -> tuple[bool | None, str]:
        most = self.gates.max_changed_lines or 0
        counted = sum(
            sum(changed_lines(self._before(path), new)) for path, new in self.candidate.files.items()
        )
        return counted <= most, f"{counted} lines changed, at most {most} allowed"

    def _quotes(self) -> tuple[bool | None, str]:
        material = _flat(self.material)
        texts = list(self.candidate.files.values()) or [self.candidate.answer]
        try:
            spans = (
                quoted_in_json(self.candidate.data)
                if self.candidate.data is not None
                else [span for text in texts for span in quoted(text)]
            )
        except ValueError as exc:
            return False, str(exc)
        missing = next((span for span in spans if _flat(span) not in material), None)
        if missing is not None:
            return False, f"not in the material: {json.dumps(missing[:200], ensure_ascii=False)}"
        return (True, f"{len(spans)} quotes occur verbatim") if spans else (None, "the answer quotes nothing")

    def _before(self, path: str) -> str:
        return self.inputs[path].text if path in self.inputs else ""


def changed_lines(old: str, new: str) -> tuple[int, int]:
    """(added, removed) lines, as a diff counts them."""
    added = removed = 0
    for line in difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm=""):
        added += line.startswith("+") and not line.startswith("+++ ")
        removed += line.startswith("-") and not line.startswith("--- ")
    return added, removed


def quoted(text: str) -> list[str]:
    """The spans in double quotes of a text, and its block-quoted lines. ValueError when a quote is left open."""
    spans = [line[1:].strip().strip('"') for line in text.splitlines() if line.startswith(">")]
    for paragraph in re.split(r"\n\s*\n", text):
        plain = "\n".join(line for line in paragraph.splitlines() if not line.startswith(">"))
        if (
            plain.count('"') % 2
            or plain.count("“") != plain.count("”")
            or plain.count("«") != plain.count("»")
        ):
            raise ValueError(f"a quotation mark has no partner in: {plain[:120]!r}")
        spans += [a or b or c for a, b, c in _QUOTED.findall(plain)]
    return [span for span in spans if span.strip()]


def quoted_in_json(value: object, *, quoting: bool = False) -> list[str]:
    """The spans a JSON answer quotes: values under quote-like keys, and what its other texts put in quotes."""
    if isinstance(value, str):
        return [value] if quoting and value.strip() else quoted(value) if not quoting else []
    if isinstance(value, list):
        return [
            span for item in cast("list[object]", value) for span in quoted_in_json(item, quoting=quoting)
        ]
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return [
            s
            for key, item in pairs
            for s in quoted_in_json(item, quoting=quoting or bool(_QUOTING.search(key)))
        ]
    return []


def _flat(text: str) -> str:
    """With every run of white space as one space: a quote may be wrapped otherwise than its source."""
    return " ".join(text.split())


def _with(gates: Gates, item: object) -> Gates:
    if isinstance(item, str) and item.strip().startswith(("{", "[")):
        try:
            item = json.loads(item)
        except (ValueError, RecursionError):
            raise ToolError(f"gate {item[:80]!r} is not valid JSON; a gate is {FORMS}") from None
    if isinstance(item, list):
        for inner in cast("list[object]", item):
            gates = _with(gates, inner)
        return gates
    if isinstance(item, str):
        name, _, value = (part.strip() for part in re.sub("[=:]", "\0", item, count=1).partition("\0"))
        return _one(gates, name, value or True)
    if isinstance(item, dict):
        for name, value in cast("dict[str, object]", item).items():
            gates = _one(gates, name, value)
        return gates
    raise ToolError(f"gate {item!r} is unknown; a gate is {FORMS}")


def _one(gates: Gates, name: str, value: object) -> Gates:
    match name:
        case "none":
            return replace(gates, off=bool(value))
        case "syntax" | "quotes" if isinstance(value, bool):
            return replace(gates, syntax=value) if name == "syntax" else replace(gates, quotes=value)
        case "command" if isinstance(value, str) and value.strip():
            return replace(gates, command=value)
        case "tests" if isinstance(value, bool | str):
            target = value if isinstance(value, str) else ""
            return gates if value is False else replace(gates, tests=target)
        case "max_changed_lines" if (
            isinstance(value, str | int) and not isinstance(value, bool) and str(value).isdigit()
        ):
            return replace(gates, max_changed_lines=int(value))
        case "schema" | "json_schema" | "json" if isinstance(value, dict):
            return replace(gates, schema=cast("dict[str, object]", value))
        case _:
            found = f"gate {name!r}" + ("" if value is True else f" with {str(value)[:80]!r}")
            raise ToolError(f"{found} is unknown; a gate is {FORMS}")


_QUOTED = re.compile(r'"([^"]*)"|“([^”]*)”|«([^»]*)»')
_QUOTING = re.compile(r"quot|verbatim|excerpt|evidence", re.IGNORECASE)
