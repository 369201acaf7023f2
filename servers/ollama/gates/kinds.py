"""The gates there are, in the order they run: how each is asked for, when it comes unasked, and what it checks.

A new gate is one entry of KINDS.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from tokenize import TokenError
from typing import cast

import anyio

from ...source.syntax_check import note as syntax_note
from . import comments, python_code, settings
from .changes import changed_lines, lost_definitions, removal_asked, shrunk
from .counted import answers, asks_how_many, counted
from .json_schema import misfit
from .judged import Judged, Result
from .no_answer import fault_of
from .quotes import asks_for_quotes, fewer_than_asked, flat, off_topic, quoted, quoted_in_json
from .records import label_fault, labelled_fault, labels_in, table, table_fault
from .renames import rename_fault, renames_in, words_fault
from .strength import seen, tell_apart
from .wrong_data import data_fault_of, left_open


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


async def _schema(judged: Judged, schema: object) -> Result:
    known = cast("Mapping[str, object]", schema)
    fault = await misfit(known, judged.candidate.data)
    fault = fault or data_fault_of(judged.candidate.data, judged.asked, known)
    if fault is not None:
        return False, fault
    doubt = left_open(judged.candidate.data, judged.asked, known)
    return (True, "it is valid") if doubt is None else (True, "it is valid", doubt)


def _answers(judged: Judged) -> Result:
    """No answer at all: told of texts; a file is looked through for what can only be a slip."""
    if judged.schema is not None and not judged.candidate.files:
        return None, ""
    if not judged.candidate.files and (fault := label_fault(judged.candidate.answer, judged.asked.task)):
        return False, fault
    texts = list(judged.candidate.files.items()) or [("", judged.candidate.answer)]
    for path, text in texts:
        old = judged.old(path)
        fault = fault_of(text if old is None else _added(old, text), judged.asked)
        if fault is None and path.lower().endswith(".csv") and old is None:
            fault = table_fault(text, judged.asked.material, judged.asked.task)
        if fault is not None and not (old is not None and fault == "the answer is empty"):
            return False, f"{path}: {fault}" if path else fault
    return None, ""


def _keeps(judged: Judged) -> Result:
    """A rewrite that deletes definitions the task says nothing of, or that changes nothing but blank lines."""
    for path, text in judged.candidate.files.items():
        old = judged.old(path)
        if old is not None and _inked(old) == _inked(text) and not _LAYOUT.search(judged.asked.task):
            return False, f"{path}: nothing but blank lines and spaces at line ends would change"
        lost = [] if old is None else lost_definitions(path, old, text)
        gone = [name for name in lost if not removal_asked(judged.asked.task, name, lost)]
        renamed = _asked_names(judged)
        gone = [
            name
            for name in gone
            if name.rpartition(".")[2] not in renamed and name.partition(".")[0] not in renamed
        ]
        if gone:
            return False, f"{path}: {', '.join(gone[:5])} is gone, and the task does not say to remove it"
        if old is not None and (fault := shrunk(old, text, judged.asked.task)):
            return False, f"{path}: {fault}"
    for path, text in judged.python.items():
        other = python_code.changed_unasked(judged.old(path) or "", text, judged.asked.task)
        if other is not None and not _asked_names(judged):
            return True, "", f"{other} changed too, and the task does not name it"
    return None, ""


def _syntax(judged: Judged) -> Result:
    """It parses, and in Python its names are known: those of a changed file that were before, apart."""
    known: list[str] = []
    for path, text in judged.candidate.files.items():
        note = syntax_note(path, text)
        if note is not None and note.startswith("syntax: "):
            return False, f"{path}: {note.removeprefix('syntax: ')}"
        if note == "syntax ok":
            known.append(path)
    for path, text in judged.python.items():
        if path in known and (fault := python_code.unknown_names(path, text, judged.old(path))):
            return False, fault
        others = {p: d.text for p, d in judged.given.items() if p not in judged.candidate.files}
        others |= {p: new for p, new in judged.candidate.files.items() if p != path}
        if (
            path in known
            and judged.old(path) is None
            and (fault := python_code.wrong_import(path, text, others, judged.asked.task))
        ):
            return False, fault
        if (
            path in known
            and judged.old(path) is None
            and (fault := python_code.unfinished(path, text, judged.asked.task))
        ):
            return False, fault
    names = ", names known" if judged.python else ""
    return (True, f"{', '.join(known)}: syntax ok{names}") if known else (None, "no parser for these files")


def _wants_comments(judged: Judged) -> object | None:
    files = judged.candidate.files
    return (
        True
        if files
        and not judged.python
        and all(judged.old(p) for p in files)
        and comments.wanted(judged.asked.task)
        else None
    )


def _comments(judged: Judged) -> Result:
    every = (
        re.search(r"\b(?:every|each|all|both|alle|jede[nrs]?|beide)\b", judged.asked.task, re.IGNORECASE)
        is not None
    )
    for path, text in judged.candidate.files.items():
        try:
            fault = comments.fault_of(path, judged.old(path) or "", text, every=every)
        except LookupError:
            return None, "its language is not known here"
        if fault is not None:
            return False, f"{path}: {fault}"
    return True, "only comments changed"


def _wants_docstrings(judged: Judged) -> object | None:
    task = judged.asked.task
    wanted = re.search(r"\bdocstrings?\b", task, re.IGNORECASE) and not re.search(
        r"\b(?:fix|rename|refactor|type hints?|annotat|tests?|implement|rewrite|remove)\b",
        task,
        re.IGNORECASE,
    )
    old = bool(judged.python) and all(judged.old(path) is not None for path in judged.python)
    return True if wanted and old and len(judged.python) == len(judged.candidate.files) else None


def _docstrings(judged: Judged) -> Result:
    every = re.search(r"\b(?:every|each|all)\b", judged.asked.task, re.IGNORECASE) is not None
    for path, text in judged.python.items():
        try:
            fault = python_code.docstrings_fault(judged.old(path) or "", text, every=every)
        except (SyntaxError, ValueError, RecursionError):
            return None, "it does not parse"
        if fault is not None:
            return False, f"{path}: {fault}"
    return True, "only docstrings changed, no two alike"


def _asked_names(judged: Judged) -> dict[str, str]:
    """The names to be changed: as the task says it, or one definition that became another, both named in the task."""
    task = judged.asked.task
    if names := renames_in(task):
        return names
    pairs: dict[str, str] = {}
    for path, text in judged.candidate.files.items():
        old = judged.old(path)
        lost = [] if old is None else lost_definitions(path, old, text)
        new = [] if old is None else lost_definitions(path, text, old)
        ends = [name.rpartition(".")[2] for name in (*lost, *new)]
        if len(lost) == len(new) == 1 and all(re.search(rf"\b{re.escape(n)}\b", task) for n in ends):
            pairs[ends[0]] = ends[1]
    return pairs


def _wants_rename(judged: Judged) -> object | None:
    old = all(judged.old(path) is not None for path in judged.candidate.files)
    return True if judged.candidate.files and old and _asked_names(judged) else None


def _rename(judged: Judged) -> Result:
    names, task = _asked_names(judged), judged.asked.task
    everywhere = not re.search(r"\b(?:argument|parameter|local|variable)\b", task, re.IGNORECASE)
    doubts: list[str] = []
    for path, text in judged.candidate.files.items():
        old = judged.old(path) or ""
        try:
            fault, doubt = (
                (rename_fault(old, text, names, everywhere=everywhere), None)
                if path in judged.python
                else words_fault(old, text, names, task)
            )
        except (SyntaxError, TokenError, ValueError):
            return None, "it cannot be read"
        if fault is not None:
            return False, f"{path}: {fault}"
        doubts += [f"{path}: {doubt}"] if doubt else []
    for path, text in judged.given.items():
        left = python_code.names_used(text.text) & names.keys() if path.endswith(".py") else set[str]()
        if left and everywhere and path not in judged.candidate.files:
            return False, f"{path} still says {min(left)!r}"
    told = "only that name changed"
    return (True, told, doubts[0]) if doubts else (True, told)


async def _changed_lines(judged: Judged, most: object) -> Result:
    files = judged.candidate.files.items()
    counted = sum(sum(changed_lines(judged.old(path) or "", new)) for path, new in files)
    told = f"{counted} lines added and removed, at most {most} allowed"
    return counted <= cast("int", most), told


def _wants_quotes(judged: Judged) -> object | None:
    prose = not judged.candidate.files and judged.schema is None
    return True if prose and asks_for_quotes(judged.asked.task) and judged.asked.material.strip() else None


def _quotes(judged: Judged) -> Result:
    material = flat(judged.asked.material)
    candidate = judged.candidate
    texts = list(candidate.files.values()) or [candidate.answer]
    try:
        spans = (
            quoted_in_json(candidate.data)
            if candidate.data is not None
            else [span for text in texts for span in quoted(text)]
        )
    except ValueError as exc:
        return False, str(exc)
    missing = next((span for span in spans if flat(span) not in material), None)
    if missing is not None:
        return False, f"not in the material: {json.dumps(missing[:200], ensure_ascii=False)}"
    if not spans:
        wanted = asks_for_quotes(judged.asked.task)
        return False if wanted else None, "the answer quotes nothing" + (
            ", and the task asks for it" if wanted else ""
        )
    if fault := fewer_than_asked(judged.asked.task, spans):
        return False, fault
    fault, doubt = off_topic(judged.asked.task, spans, judged.asked.material)
    told = f"{len(spans)} quotes occur verbatim"
    return (False, fault) if fault else (True, told, doubt) if doubt else (True, told)


def _counts(judged: Judged) -> Result:
    """What the task asks and a program can count."""
    files = {path: text.text for path, text in judged.given.items()}
    wanted = counted(judged.asked.task, files)
    return answers(judged.candidate.answer, wanted) if wanted else (None, "nothing to count")


def _settings(judged: Judged) -> Result:
    """Changed settings are the ones the task names, with its values."""
    told: list[tuple[bool | None, str]] = []
    for path, text in judged.candidate.files.items():
        passed, note = settings.judge(path, judged.old(path) or "", text, judged.asked.task)
        if passed is False:
            return False, f"{path}: {note}"
        told.append((passed, note))
    return (True, told[0][1]) if told and all(passed for passed, _ in told) else (None, "")


def _wants_settings(judged: Judged) -> object | None:
    files = judged.candidate.files
    return True if files and all(judged.old(path) for path in files) and not _asked_names(judged) else None


def unjudged(judged: Judged) -> str:
    """Why nothing is known of a candidate that no gate could judge."""
    if asks_how_many(judged.asked.task) and not judged.candidate.files:
        return "the model counted by itself, and small models miscount; a program counts rightly"
    return "no gate could judge it"


def _wants_rows(judged: Judged) -> object | None:
    files = judged.candidate.files
    new = (
        len(files) == 1
        and judged.old(next(iter(files))) is None
        and next(iter(files)).endswith((".csv", ".txt"))
    )
    one_form = re.search(
        r"\b(?:one|a) line (?:per|for each)\b|\b\w+,\s?(?:label|kind|class|category|type|group)\b",
        judged.asked.task,
        re.IGNORECASE,
    )
    asked = judged.asked
    return True if new and one_form and labels_in(asked.task) and table(asked.material) else None


def _rows(judged: Judged) -> Result:
    """A written file of rows and their labels."""
    text = next(iter(judged.candidate.files.values()))
    fault = labelled_fault(text, judged.asked.material, judged.asked.task)
    return (
        (False, fault)
        if fault
        else (True, "each row once, each with one of the labels", "which label is right")
    )


async def _command(judged: Judged, command: object) -> Result:
    return await seen(judged, "command", str(command))


async def _tests(judged: Judged, target: object) -> Result:
    return await seen(judged, "tests", str(target))


async def _own_tests(judged: Judged, target: object) -> Result:
    path, began = str(target), time.monotonic()
    found = await judged.runs["own tests"](judged.data, path)
    if not found[0] or path not in judged.candidate.files:
        return found
    return await tell_apart(judged, path, found[1], time.monotonic() - began)


def _new_tests(judged: Judged) -> bool:
    return any(_TEST_FILE.search(path) and judged.old(path) is None for path in judged.candidate.files)


def _unlooked_at(judged: Judged) -> str:
    """What a text that parses leaves open, where nothing else is known of it."""
    if _new_tests(judged):
        return "the tests parse, and nothing ran them"
    others = judged.candidate.files.keys() - judged.python.keys()
    if others:
        return f"{min(others)} parses, and nothing checked what it says"
    new = [path for path in judged.python if judged.old(path) is None]
    return f"{new[0]} parses, and nothing ran it" if new else ""


def _wants_own_tests(judged: Judged) -> object | None:
    """The one test file that is written, or that came along with what is changed."""
    files = judged.candidate.files
    found = [path for path in dict.fromkeys([*files, *judged.given]) if _TEST_FILE.search(path)]
    return found[0] if files and len(found) == 1 and "own tests" in judged.runs else None


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


def _added(old: str, new: str) -> str:
    """The lines of a changed text that were not there."""
    had = set(old.split("\n"))
    return "\n".join(line for line in new.split("\n") if line not in had)


def _inked(text: str) -> list[str]:
    """The lines with something on them."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


_LAYOUT = re.compile(
    r"blank|empty|white ?space|spac(?:e|ing)|format|newline|line (?:break|end)|trailing|pep ?8|style|tidy|layout|clean",
    re.IGNORECASE,
)
_TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")

KINDS: tuple[GateKind, ...] = (
    GateKind(
        name="schema",
        form='{"schema": {...}}',
        value=_a_schema,
        check=_schema,
    ),
    GateKind(name="answers", check=threaded(_answers), unasked=lambda _: True, proves=False),
    GateKind(name="keeps", check=threaded(_keeps), unasked=lambda j: bool(j.candidate.files), proves=False),
    GateKind(name="max_changed_lines", form='{"max_changed_lines": n}', value=_a_count, check=_changed_lines),
    GateKind(
        name="syntax",
        form='"syntax"',
        check=threaded(_syntax),
        unasked=lambda j: True if j.candidate.files else None,
        leaves=_unlooked_at,
    ),
    GateKind(name="rows", check=threaded(_rows), unasked=_wants_rows),
    GateKind(
        name="counts",
        check=threaded(_counts),
        unasked=lambda j: None if j.candidate.files or j.schema is not None else True,
    ),
    GateKind(name="docstrings", check=threaded(_docstrings), unasked=_wants_docstrings),
    GateKind(name="comments", check=threaded(_comments), unasked=_wants_comments),
    GateKind(name="settings", check=threaded(_settings), unasked=_wants_settings),
    GateKind(name="rename", check=threaded(_rename), unasked=_wants_rename),
    GateKind(name="quotes", form='"quotes"', check=threaded(_quotes), unasked=_wants_quotes),
    GateKind(
        name="command",
        form='{"command": "..."}',
        value=lambda given: given if isinstance(given, str) and given.strip() else None,
        check=_command,
    ),
    GateKind(name="tests", form='"tests" or {"tests": "path"}', value=_a_target, check=_tests),
    GateKind(name="own tests", check=_own_tests, unasked=_wants_own_tests),
)
"""Cheap ones first: the first that fails ends it."""
