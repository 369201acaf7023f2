"""Runners' own reports as counts and failures: JUnit XML, `go test -json`, libtest's JSON."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from ...output import masked, visible
from .results import Failure

_TAIL = 1500
_MESSAGE = 400


@dataclass(slots=True, kw_only=True)
class Counts:
    """What a report says. `failures` holds every one; the caller cuts."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    deselected: int = 0  # collected and left out, where the runner says so
    files: set[str] = field(
        default_factory=set[str]
    )  # that tests were collected from, where the runner says so
    silent: list[str] = field(default_factory=list)  # files that ended well and reported no test
    failures: list[Failure] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.passed + self.failed + self.errors + self.skipped


def junit(data: bytes) -> Counts | None:
    """JUnit XML of pytest (xunit1 has file and line), unittest, node, vitest; None when it is none."""
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError:
        return None
    if root.tag not in ("testsuite", "testsuites"):
        return None
    counts = Counts(deselected=int(text) if (text := root.get("deselected", "")).isdecimal() else 0)
    for case in root.iter("testcase"):
        counts.files.add(case.get("file", ""))
        outcome = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        whole_file = PurePath(case.get("name", "")).is_absolute()  # node's word for a file that ran no test
        if outcome is None and whole_file:
            counts.silent.append(PurePath(case.get("name", "")).name)
        elif outcome is None:
            counts.passed += 1
        elif outcome.tag == "skipped":
            counts.skipped += 1
        else:
            counts.failures.append(_case(case, outcome))
            if counts.failures[-1].kind == "failed":
                counts.failed += 1
            else:
                counts.errors += 1
    return counts


_GO_PLACE = r"(\S+_test\.go):(\d+)(?:: ?(.*)| \+0x)"  # what a test says of itself, or a panic's stack


def go(data: bytes) -> Counts | None:
    """`go test -json`: test2json marks its own lines, so that a test's print is not taken for one."""
    counts, output, blamed = Counts(), defaultdict[str, str](str), set[str]()
    rows = [row for row in _lines(data) if "Action" in row]
    for row in rows:
        package, test = str(row.get("Package", "")), str(row.get("Test", ""))
        name = "/".join(part for part in (package or str(row.get("ImportPath", "")), test) if part)
        match row["Action"]:
            case "output" | "build-output":
                output[name] = (output[name] + str(row.get("Output", "")))[-4 * _TAIL :]
            case "pass" if test:
                counts.passed += 1
            case "skip" if test:
                counts.skipped += 1
            case "fail" if test:
                counts.failed += 1
                blamed.add(package)
                text = re.sub(r"^(?:=== |--- ).*\n", "", output[name], flags=re.MULTILINE)
                counts.failures.append(_failure(name, "failed", re.search(_GO_PLACE, text), text))
            case "fail" if package not in blamed:  # it does not build, or ended before its tests did
                counts.errors += 1
                text = output[str(row.get("FailedBuild", ""))] or output[name]
                found = re.search(r"(\S+\.go):(\d+):(?:\d+:)? ?(.*)", text)
                counts.failures.append(_failure(name, "error", found, text))
            case _:
                pass
    return counts if rows else None


def libtest(data: bytes) -> Counts | None:
    """Rust's test harness with --format json; None unless every suite ended and every announced test is there."""
    counts, announced, open_suites, suites = Counts(), 0, 0, 0
    for row in _lines(data):
        match row.get("type"), row.get("event"):
            case "suite", "started":
                suites, open_suites, announced = (
                    suites + 1,
                    open_suites + 1,
                    announced + int(row["test_count"]),
                )
            case "suite", "ok" | "failed":
                open_suites -= 1
            case "test", "ok":
                counts.passed += 1
            case "test", "ignored":
                counts.skipped += 1
            case "test", "failed" | "timeout":
                counts.failed += 1
                text = str(row.get("stdout", ""))
                found = re.search(r"panicked at (\S+?):(\d+):\d+:\n(.*)", text)
                counts.failures.append(_failure(str(row.get("name", "")), "failed", found, text))
            case _:
                pass
    return counts if suites and not open_suites and announced == counts.total else None


def jest(data: bytes) -> Counts | None:
    """jest's --json, which vitest's json reporter and mocha's adapters follow."""
    try:
        given = json.loads(data)
        counts = Counts()
        for suite in given["testResults"]:
            cases = suite.get("assertionResults") or []
            for case in cases:
                match case["status"]:
                    case "passed":
                        counts.passed += 1
                    case "failed":
                        counts.failed += 1
                        text = "\n".join(case.get("failureMessages") or [])
                        found = re.search(r"\(?([^\s()]+):(\d+):\d+\)?", text)
                        ident = f"{suite.get('name')}::{case.get('fullName') or case.get('title')}"
                        one = _failure(ident, "failed", None, text)
                        counts.failures.append(one.model_copy(update=_where(found, suite.get("name"))))
                    case _:
                        counts.skipped += 1
            if not cases and suite.get("status") == "failed":
                counts.errors += 1
                counts.failures.append(
                    _failure(str(suite.get("name")), "error", None, str(suite.get("message", "")))
                )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return counts


READERS: dict[str, Callable[[bytes], Counts | None]] = {
    "junit": junit,
    "go": go,
    "libtest": libtest,
    "jest": jest,
}


def _case(case: ElementTree.Element, outcome: ElementTree.Element) -> Failure:
    text = "\n".join(part for part in (outcome.text or "", *_printed(case)) if part.strip())
    message = outcome.get("message") or (outcome.text or "").strip().partition("\n")[0]
    file, line = case.get("file"), case.get("line")
    places = [
        *re.findall(r"^(\S[^:\n]*\.\w+):(\d+): ", outcome.text or "", re.MULTILINE),
        *re.findall(r'^  File "([^"]+)", line (\d+)', outcome.text or "", re.MULTILINE),
        *_in_stack(outcome.text or ""),
    ]
    name = PurePath(file).name if file else ""
    own = [place for place in places if not name or PurePath(place[0]).name == name]
    if own:
        file, line = own[-1]
    elif line is not None:
        line = str(int(line) + 1)  # pytest counts from 0
    whole = PurePath(case.get("name", "")).is_absolute()
    file = case.get("name") if whole else file
    kind = "failed" if outcome.tag == "failure" and not whole else "error"
    ident = _node_id(case)
    return Failure(
        id=_clean(ident, 300), kind=kind, file=file, line=int(line) if line else None, message=_clean(message, _MESSAGE),
        tail=_clean(text, -_TAIL),
    )  # fmt: skip


def _in_stack(text: str) -> list[tuple[str, str]]:
    """The first file and line of a JavaScript stack, which names modules by address."""
    found = re.search(r"[( ](file://)?(/[^():\n]+):(\d+):\d+\)?$", text, re.MULTILINE)
    return [(unquote(found[2]) if found[1] else found[2], found[3])] if found else []


def _node_id(case: ElementTree.Element) -> str:
    """`tests/test_a.py::TestA::test_one` where the report names the file, as pytest itself has it; else group::name."""
    group, file = case.get("classname") or "", case.get("file") or ""
    name = (case.get("name") or "").replace("&quot;", '"')  # node escapes it twice
    module = file.removesuffix(".py").replace("/", ".")
    if file.endswith(".py") and (group == module or group.startswith(f"{module}.")):
        return "::".join([file, *group[len(module) :].strip(".").split("."), name]).replace("::::", "::")
    return "::".join(part for part in (group, name) if part)


def _printed(case: ElementTree.Element) -> list[str]:
    return [
        f"--- {tag} ---\n{part.text}"
        for tag in ("system-out", "system-err")
        for part in case.iter(tag)
        if part.text
    ]


def _failure(ident: str, kind: Any, found: re.Match[str] | None, text: str) -> Failure:
    message = found[3] if found and found.re.groups > 2 and found[3] else text.strip().partition("\n")[0]
    where = _where(found, None)
    return Failure(
        id=_clean(ident, 300),
        kind=kind,
        message=_clean(message, _MESSAGE),
        tail=_clean(text, -_TAIL),
        **where,
    )


def _where(found: re.Match[str] | None, file: str | None) -> dict[str, Any]:
    return {"file": found[1] if found else file, "line": int(found[2]) if found else None}


def _clean(text: str, limit: int) -> str:
    shown = masked(visible(re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)))
    return shown[:limit] if limit > 0 else shown[limit:]


def _lines(data: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for line in data.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
